"""Calls that wait for the commit of Django's transaction: `delay_on_commit`. Mixed into `Task`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from windlass.errors import ConfigurationError


class OnCommit:
    """What a task of a Django application can do beside `delay` and `apply_async`."""

    def delay_on_commit(self: Any, *args: Any, **kwargs: Any) -> None:
        """As `delay`, once the current transaction is committed; at once outside of one.

        Nothing is sent if it is rolled back, and there is no id to return.

        Raises:
            ConfigurationError: Django is not installed.
        """
        _on_commit(functools.partial(self.delay, *args, **kwargs))

    def apply_async_on_commit(
        self: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """As `apply_async`, once the current transaction is committed; see `delay_on_commit`."""
        _on_commit(functools.partial(self.apply_async, args, kwargs, **options))


def _on_commit(call: Any) -> None:
    try:
        transaction = importlib.import_module("django.db").transaction
    except ModuleNotFoundError as error:
        msg = "delay_on_commit waits for a transaction of Django, which is not installed."
        raise ConfigurationError(msg) from error
    transaction.on_commit(call)

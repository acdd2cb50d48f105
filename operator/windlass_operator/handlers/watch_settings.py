"""How kopf watches for us: without limits, without comparing, without keeping anything on objects.

Each setting stands against a default that was found wanting: most of them cost time with every
event, and one of them let ten objects a second through, however many had changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf

from windlass_operator.handlers.watches import WATCHED


class _NoComparing(kopf.DiffBaseStorage):
    """Every body is new: kopf would copy each one deeply, to find changes that nobody asks for."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


class _NoProgress(kopf.ProgressStorage):
    """A handler of events has no progress to be stored on the object."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Keep nothing."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing was kept."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Nothing waits to be woken."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def watch_settings() -> kopf.OperatorSettings:
    """Explicit settings of the watches."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.chunk_size = 200
    for group, version, plural, _, selector in WATCHED:
        if selector:  # or every pod of the cluster comes here, to be thrown away
            settings.watching.label_selectors[group, version, plural] = selector
    # A worker of kopf's outlives its event: with a limit, only so many objects were heard of in
    # each idle time-out, however many had changed.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1
    settings.persistence.finalizer = "windlass.dev/kopf"
    settings.persistence.diffbase_storage = _NoComparing()
    settings.persistence.progress_storage = _NoProgress()
    settings.process.ultimate_exiting_timeout = 25
    return settings

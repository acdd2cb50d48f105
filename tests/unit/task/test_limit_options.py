"""The limits that a task declares, and the key that its calls carry."""

from __future__ import annotations

from typing import Any

import pytest

from windlass import Windlass, sending
from windlass.errors import ConfigurationError
from windlass.limit_options import declared, key_ahead, key_maker
from windlass.messages import key_of
from windlass.runtime.declaring_limits import declared_limits


@pytest.fixture
def app() -> Windlass:
    return Windlass("limits", broker="memory://", set_as_current=False)


def task(app: Windlass, **options: Any) -> Any:
    def run(user: str, day: int = 1) -> None:
        """Nothing."""

    return app.task(name="shop.mail", **options)(run)


KEYED: dict[str, Any] = {"limit_key": "{user}", "max_concurrency_per_key": 2}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limit_key": "{usr}", "fair_share": True}, "Did you mean 'user'"),
        ({"limit_key": "{5}", "fair_share": True}, "names argument 5"),
        ({"limit_key": "{user}"}, "no effect without"),
        ({"fair_share": True}, "needs limit_key="),
        ({"max_concurrency_per_key": 2}, "needs limit_key="),
        ({"max_concurrency": 0}, "from 1 to 1,000,000"),
        ({"max_concurrency": True}, "whole number"),
        ({"fair_share": "yes", "limit_key": "{user}"}, "True or False"),
        ({"max_concurrency": 2, "acks_late": False}, "does not go with acks_late=False"),
        ({"rate_limit_scope": "clustr"}, "Did you mean 'cluster'"),
        ({"rate_limit": "often"}, "'100/m'"),
    ],
)
def test_limits_that_make_no_sense_are_an_error_when_declared(
    app: Windlass, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        task(app, **options)


def test_a_rate_is_declared_unless_it_is_of_each_worker(app: Windlass) -> None:
    def limits(**options: Any) -> Any:
        return dict(declared(task(app, **options), app.conf.current))

    assert limits(rate_limit=" 100 / m") == {"rate_limit": "100/m"}
    assert limits(rate_limit="100/m", rate_limit_scope="worker") == {}
    app.conf.task_rate_limit_scope = "worker"
    assert limits(rate_limit="100/m") == {}
    assert limits(rate_limit="100/m", rate_limit_scope="cluster") == {"rate_limit": "100/m"}
    app.conf.worker_disable_rate_limits = True
    assert limits(rate_limit="100/m", rate_limit_scope="cluster", max_concurrency=3) == {
        "max_concurrency": 3
    }


def test_only_tasks_with_limits_are_declared(app: Windlass) -> None:
    task(app, **KEYED)
    app.task(name="shop.free")(lambda: None)
    assert declared_limits(app) == {"shop.mail": {"max_concurrency_per_key": 2, "has_key": True}}


def test_a_limit_of_runs_is_refused_where_the_settings_acknowledge_at_start() -> None:
    app = Windlass("early", broker="memory://", set_as_current=False, task_acks_late=False)
    app.task(name="shop.mail", max_concurrency=2)(lambda: None)

    with pytest.raises(ConfigurationError, match="acks_late=False"):
        declared_limits(app)


@pytest.mark.parametrize(
    ("spec", "args", "kwargs", "key"),
    [
        ("{user}", ("anna",), {}, "anna"),
        ("{0}:{day}", ("anna",), {"day": 3}, "anna:3"),
        ("{user}", ("ü",), {}, "%C3%BC"),
        (lambda user, day=1: None, ("anna",), {}, ""),
    ],
)
def test_the_key_is_the_first_header_of_a_call(
    app: Windlass, spec: Any, args: tuple[Any, ...], kwargs: dict[str, Any], key: str
) -> None:
    keyed = task(app, limit_key=spec, fair_share=True)
    tail = sending.build(app, keyed.name, keyed, args, kwargs, {}).tail

    assert key_of(b"\1" + b"0" + bytes(18) + tail) == key
    assert b'{"key":"' in tail


def test_a_call_of_a_task_without_keys_says_nothing_of_them(app: Windlass) -> None:
    plain = task(app)
    tail = sending.build(app, plain.name, plain, ("anna",), {}, {}).tail

    assert key_of(b"\1" + b"0" + bytes(18) + tail) is None


@pytest.mark.parametrize(
    ("spec", "key"),
    [("{day}", "5"), ("{user}", None), ("{user!r}", None), (["user"], None), (["day"], "hash")],
)
def test_a_key_that_needs_a_result_is_left_to_the_worker(
    app: Windlass, spec: Any, key: str | None
) -> None:
    maker = key_maker(task(app, limit_key=spec, fair_share=True))
    assert maker is not None
    found = key_ahead(maker, (5,), {}, is_fed=True)

    assert found == key or (key == "hash" and len(str(found)) == 32)

"""Statement 41: where calls go, and what a worker serves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from windlass.errors import ConfigurationError, InvalidQueueName, QueueNotDeclared
from windlass.routing import Route, Router, consumed_queues
from windlass.settings import Settings


def make_router(routes: object = None, **settings: Any) -> Router:
    return Router(Settings(task_routes=routes, **settings))


def queue_of(router: Router, name: str, **options: Any) -> str:
    return router.route(name, options).queue


def by_tenant(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    task: object = None,
) -> Any:
    return kwargs.get("route")


def test_without_routes_a_call_goes_to_the_default_queue() -> None:
    assert make_router().route("shop.add", {}) == Route("default", None, {})
    assert queue_of(make_router(task_default_queue="main"), "shop.add") == "main"


def test_exact_name_wins_over_patterns_and_patterns_in_the_order_given() -> None:
    router = make_router(
        {
            "feed.*": "globbed",
            re.compile(r"(feed|mail)\..*"): "matched",
            "feed.import": {"queue": "exact", "priority": 7},
            "mail.urgent.?": "late",
        }
    )

    assert queue_of(router, "feed.import") == "exact"
    assert queue_of(router, "feed.export") == "globbed"
    assert queue_of(router, "mail.urgent.1") == "matched"
    assert queue_of(router, "shop.add") == "default"
    assert router.route("feed.import", {}).priority == 7


def test_order_of_patterns_is_that_of_the_list_of_pairs() -> None:
    pairs = [("feed.*", "first"), (re.compile(r"feed\.x"), "second")]

    assert queue_of(make_router(pairs), "feed.x") == "first"
    assert queue_of(make_router(pairs[::-1]), "feed.x") == "second"
    assert queue_of(make_router((pairs,)), "feed.x") == "first"


def test_glob_matches_the_whole_name_and_a_pattern_the_beginning() -> None:
    router = make_router({"feed.?": "glob", re.compile("mail"): "pattern"})

    assert queue_of(router, "feed.x") == "glob"
    assert queue_of(router, "feed.xy") == "default"
    assert queue_of(router, "mail.x") == "pattern"
    assert queue_of(router, "email.x") == "default"


def test_the_call_wins_over_the_route() -> None:
    router = make_router({"shop.*": {"queue": "shop", "priority": 3, "expires": 60}})

    assert router.route("shop.add", {"queue": "mine", "priority": 0}) == Route(
        "mine", 0, {"queue": "shop", "priority": 3, "expires": 60}
    )
    assert queue_of(router, "shop.add", queue=None) == "shop"


def test_a_route_may_leave_the_queue_alone() -> None:
    route = make_router({"shop.*": {"priority": 3}}).route("shop.add", {})

    assert (route.queue, route.priority) == ("default", 3)


def test_function_router_sees_the_call_and_may_pass() -> None:
    seen: list[Any] = []

    def router(
        name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Any, task: Any = None
    ) -> Any:
        seen.append((name, args, kwargs, options, task))

    made = make_router([router, by_tenant, {"shop.*": "static"}])

    assert made.route("shop.add", {"priority": 1}, (1,), {"route": "acme"}, "task").queue == "acme"
    assert made.route("shop.add", {}, (), {"route": {"queue": "dict", "priority": 2}}).priority == 2
    assert made.route("shop.add", {}).queue == "static"
    assert made.route("other", {}).queue == "default"
    assert seen[0] == ("shop.add", (1,), {"route": "acme"}, {"priority": 1}, "task")


def test_function_router_may_be_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routers_of_the_test.py").write_text(
        "def route(name, *_, task=None): return 'by-path'"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    for routes in ("routers_of_the_test.route", ["routers_of_the_test:route"]):
        assert queue_of(make_router(routes), "shop.add") == "by-path"


def test_router_object_of_old_celery_is_asked() -> None:
    class OldRouter:
        def route_for_task(self, name: str, args: Any = None, kwargs: Any = None) -> Any:
            return {"queue": "old"}

    assert queue_of(make_router([OldRouter()]), "shop.add") == "old"


def test_a_call_depends_on_functions_only_where_nothing_static_decides_first() -> None:
    router = make_router([{"shop.*": "static"}, by_tenant])

    assert not router.depends_on_call("shop.add")
    assert router.depends_on_call("mail.send")
    assert not make_router({"shop.*": "static"}).depends_on_call("mail.send")


def test_names_without_end_do_not_fill_memory() -> None:
    router = make_router({"shop.*": "static"})

    for number in range(10_000):
        router.route(f"shop.task{number}", {})

    assert len(router._known) <= 4096


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({"shop.add": 7}, r"task_routes\['shop.add'\] is 7; expected a queue name or a mapping"),
        ({7: "shop"}, "task_routes key 7; expected a task name, a glob or a pattern"),
        ([7], "task_routes has 7; expected a mapping"),
        ({"a": {"quue": "x"}}, "Did you mean 'queue'"),
        ({"a": {"routing_key": "a.b"}}, r"routing_key='a.b' and no queue.*write {'queue': 'a.b'}"),
        ({"a": {"delivery_mode": 1}}, r"task_routes\['a'\].*as durable as the broker"),
        ({"a": "not a queue"}, "Queue name 'not a queue' is not usable"),
        ("no.such.router", "'no.such.router'"),
    ],
)
def test_bad_routes_are_refused_with_their_place(routes: object, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        make_router(routes)


def test_bad_answer_of_a_function_names_the_function() -> None:
    router = make_router(by_tenant)

    with pytest.raises(ConfigurationError, match=r"by_tenant gave for 'shop.add' is 7; expected"):
        router.route("shop.add", {}, (), {"route": 7})


def test_exchange_and_routing_key_beside_a_queue_say_nothing_new() -> None:
    router = make_router({"feed.*": {"queue": "feeds", "routing_key": "feed.import"}})

    assert router.route("feed.import", {}) == Route("feeds", None, {"queue": "feeds"})


def test_queue_objects_count_by_their_name() -> None:
    class Queue:
        name = "feeds"

    router = make_router({"feed.*": {"queue": Queue()}})

    assert queue_of(router, "feed.x") == "feeds"
    assert queue_of(router, "other", queue=Queue()) == "feeds"


def test_unknown_queue_is_made_unless_that_is_switched_off() -> None:
    strict = make_router(
        {"a": "billing"}, task_queues=["billing", "mail"], task_create_missing_queues=False
    )

    assert queue_of(make_router(), "x", queue="new") == "new"
    assert queue_of(strict, "a") == "billing"
    with pytest.raises(
        QueueNotDeclared,
        match=r"Task 'x' was sent to queue 'bilings', which is not declared. "
        r"Expected one of: 'billing', 'mail'. Did you mean 'billing'\?",
    ):
        queue_of(strict, "x", queue="bilings")
    with pytest.raises(QueueNotDeclared, match="'default'"):
        queue_of(strict, "x")


def test_worker_serves_the_declared_queues_unless_told_otherwise() -> None:
    declared = Settings(task_queues=("a", "b", "c"))

    assert consumed_queues(Settings()) == ("default",)
    assert consumed_queues(declared) == ("a", "b", "c")
    assert consumed_queues(declared, select=("z", "a", "z")) == ("z", "a")
    assert consumed_queues(declared, exclude=("b", "unknown")) == ("a", "c")
    assert consumed_queues(declared, select=("a", "b"), exclude=("a",)) == ("b",)


def test_worker_selection_that_cannot_work_is_an_error() -> None:
    strict = Settings(task_queues=("a",), task_create_missing_queues=False)

    with pytest.raises(ConfigurationError, match="No queue is left to serve: -X excludes default"):
        consumed_queues(Settings(), exclude=("default",))
    with pytest.raises(QueueNotDeclared, match="Queue 'z' was named"):
        consumed_queues(strict, select=("z",))
    with pytest.raises(InvalidQueueName):
        consumed_queues(Settings(), select=("a b",))

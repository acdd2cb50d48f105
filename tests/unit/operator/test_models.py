"""Specs that cannot be used: the text names the field and what it may be."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_builders import make_pool, make_queue, pool_body, queue_body
from windlass_operator.models.quantities import (
    LONG_DURATION,
    SHORT_DURATION,
    parse_duration,
    parse_memory_kib,
    short_age,
)
from windlass_operator.models.resource import InvalidSpecError, identity_of
from windlass_operator.models.taskqueue import DeletionPolicy, TaskQueue
from windlass_operator.models.workerpool import ScaleDownPolicy, WorkerPool


def refusal(body: dict[str, Any]) -> str:
    model: Any = TaskQueue if body["kind"] == "TaskQueue" else WorkerPool
    with pytest.raises(InvalidSpecError) as refused:
        model.from_object(body)
    return str(refused.value)


@pytest.mark.parametrize(
    ("sentence", "body", "words"),
    [
        (
            "a typo names the nearest field",
            queue_body(drainTargt="5m"),
            ("TaskQueue shop/emails has an invalid spec", "spec.drainTargt is not a field",
             "'drainTarget'"),
        ),
        (
            "a missing field is named",
            {**pool_body(), "spec": {"replicas": 1}},
            ("spec.app is required", "spec.image is required", "spec.queues is required"),
        ),
        (
            "a number is no duration",
            queue_body(drainTarget=60),
            ("spec.drainTarget", "60 has no unit", "'60s'"),
        ),
        (
            "a word that is no duration",
            queue_body(drainTarget="soon"),
            ("'soon' is no duration", "'90s'"),
        ),
        (
            "a rate without a time",
            queue_body(rateLimit="100"),
            ("spec.rateLimit", "'100' is no rate", "'100/s'"),
        ),
        (
            "a rate of nothing",
            queue_body(rateLimit="0.00/m"),
            ("spec.rateLimit", "must let something through", "paused"),
        ),
        (
            "nothing at once",
            queue_body(maxConcurrency=0),
            ("spec.maxConcurrency", "greater than or equal to 1"),
        ),
        (
            "parked messages that wait for ever and a day",
            queue_body(deadLetter={"parkedAfter": "4000d"}),
            ("spec.deadLetter.parkedAfter", "315360000"),
        ),
        (
            "both ways to name a broker",
            queue_body(broker={"url": "redis://r", "secretKeyRef": {"name": "x"}}),
            ("name exactly one of url and secretKeyRef",),
        ),
        (
            "credentials in an address",
            queue_body(broker={"url": "redis://:pw@r"}),
            ("must not carry credentials", "Secret"),
        ),
        (
            "replicas and autoscaling",
            pool_body(replicas=1, autoscaling={"maxReplicas": 2}),
            ("name exactly one of replicas and autoscaling",),
        ),
        (
            "a minimum above the maximum",
            pool_body(autoscaling={"minReplicas": 3, "maxReplicas": 2}),
            ("minReplicas must not be more than maxReplicas",),
        ),
        (
            "a queue twice",
            pool_body(queues=[{"name": "a"}, {"name": "a"}]),
            ("must not name a queue twice",),
        ),
        (
            "solo with slots",
            pool_body(pool="solo", concurrency=3),
            ("solo runs one task at a time", "concurrency to 1"),
        ),
        (
            "a pool that there is not",
            pool_body(pool="gevent"),
            ("spec.pool", "'prefork', 'threads', 'asyncio' or 'solo'"),
        ),
        (
            "containers of another form",
            pool_body(podTemplate={"spec": {"containers": [{"image": "x"}]}}),
            ("spec.podTemplate", "spec.containers.0.name", "required"),
        ),
        (
            "a name that children could not carry",
            pool_body(name="a" * 48),
            ("name must be at most 47 characters", "Deployments"),
        ),
        (
            "a queue's name that its Secret could not carry",
            queue_body(name="a" * 64),
            ("name must be at most 63 characters",),
        ),
    ],
)  # fmt: skip
def test_refusals_say_what_is_wrong_and_what_is_expected(
    sentence: str, body: dict[str, Any], words: tuple[str, ...]
) -> None:
    text = refusal(body)

    assert [word for word in words if word.lower() not in text.lower()] == [], text


def test_several_wrong_fields_are_all_named() -> None:
    text = refusal(queue_body(drainTarget="x", maxDeliveries=0))

    assert "spec.drainTarget" in text
    assert "spec.maxDeliveries" in text


def test_an_empty_queue_works() -> None:
    queue = make_queue()

    assert queue.queue_name == "emails"
    assert queue.spec.deletion_policy is DeletionPolicy.RETAIN
    assert queue.spec.dead_letter.retention == 7 * 86_400


@pytest.mark.parametrize(
    ("words", "per_s"), [("100/s", 100.0), ("30/m", 0.5), ("2.5/h", 2.5 / 3600), (None, None)]
)
def test_a_rate_is_kept_in_words_and_read_a_second(words: str | None, per_s: float | None) -> None:
    queue = make_queue(rateLimit=words)

    assert queue.spec.rate_limit == words
    assert queue.rate_per_s == (None if per_s is None else pytest.approx(per_s))


def test_the_queue_name_is_the_objects_unless_it_is_given() -> None:
    assert make_queue("a").queue_name == "a"
    assert make_queue("a", queueName="B/c").queue_name == "B/c"


@pytest.mark.parametrize(
    ("spec", "grace_s"),
    [
        ({}, 300.0),
        ({"drainTimeout": "90s"}, 90.0),
        ({"timeLimits": {"hard": "6m"}}, 375.0),
        ({"timeLimits": {"soft": "6m"}}, 300.0),
        ({"autoscaling": {"maxReplicas": 1, "scaleDown": {"policy": "Immediate"}}}, 0.0),
    ],
)
def test_grace_is_the_longest_that_a_task_may_run(spec: dict[str, Any], grace_s: float) -> None:
    assert make_pool(**spec).grace_s == grace_s


def test_a_pool_with_a_fixed_number_removes_idle_workers_only() -> None:
    assert make_pool(replicas=1).policy is ScaleDownPolicy.IDLE_ONLY


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("0s", 0), ("2m2m", 240)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_days_and_milliseconds_where_they_make_sense() -> None:
    assert parse_duration("7d", LONG_DURATION) == 604_800
    assert parse_duration("1s500ms", SHORT_DURATION) == 1.5


@pytest.mark.parametrize(
    "text",
    ["", "s", "5", "-5s", "5 s", "5S", "1.5h", "5s\n", "٣s", "7d", True, None, "9" * 32 + "s"],
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0


def test_memory() -> None:
    assert parse_memory_kib("512Mi") == 512 * 1024
    with pytest.raises(ValueError, match=r"no memory size; expected e\.g\. '512Mi'"):
        parse_memory_kib("512MB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")],
)
def test_ages_are_said_as_kubectl_says_them(seconds: float, text: str) -> None:
    assert short_age(seconds) == text


def test_identity_of_a_deleted_object() -> None:
    body = queue_body()
    body["metadata"] |= {
        "deletionTimestamp": "2026-11-24T07:00:00Z",
        "finalizers": ["windlass.dev/cleanup"],
    }
    identity = identity_of(body)

    assert identity.is_deleting
    assert identity.deleted_s == identity.created_s + 3600
    assert identity.key == "shop/emails"

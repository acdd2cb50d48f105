"""Documents that the API server takes, and those it refuses with the words a person needs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from operator_builders import pool_body, queue_body, schedule_body


def changed(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The body with one field set; value ... removes it."""
    result = copy.deepcopy(dict(body))
    *parents, last = path.split(".")
    node = result
    for part in parents:
        node = node.setdefault(part, {})
    if value is ...:
        node.pop(last, None)
    else:
        node[last] = value
    return result


def queue(path: str, value: Any) -> dict[str, Any]:
    return changed(queue_body(), path, value)


def pool(path: str, value: Any, **spec: Any) -> dict[str, Any]:
    return changed(pool_body(**spec), path, value)


def beat(path: str, value: Any, **spec: Any) -> dict[str, Any]:
    return changed(schedule_body(**spec), path, value)


def auto(**spec: Any) -> dict[str, Any]:
    return pool("spec.autoscaling", {"maxReplicas": 5, **spec})


LONG = "a" * 48
FULL_POOL = pool_body(
    imagePullPolicy="Always",
    pool="threads",
    concurrency=8,
    timeLimits={"soft": "90s", "hard": "1h30m"},
    drainTimeout="10m",
    maxTasksPerChild=100,
    maxMemoryPerChild="512Mi",
    autoscaling={
        "minReplicas": 0,
        "maxReplicas": 20,
        "tasksPerSlot": 5,
        "targetUtilization": 70,
        "activation": 3,
        "wakeHorizon": "2m",
        "scaleUp": {"window": "10s"},
        "scaleDown": {
            "policy": "Drain",
            "window": "1h",
            "toZeroAfter": "0s",
            "maxDisruptionPercent": 10,
            "cordonTimeout": "30s",
        },
        "fallback": {"behavior": "AtLeast", "replicas": 2, "failureThreshold": 5},
    },
    rollout={"strategy": "Drain", "maxOldVersions": 3},
    paused=True,
    podTemplate={
        "metadata": {"labels": {"team": "shop"}, "annotations": {"a/b": "c"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [
                {
                    "name": "worker",
                    "resources": {"requests": {"cpu": "100m"}},
                    "env": [{"name": "A", "value": "1"}],
                    "ports": [{"containerPort": 9000}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                },
                {"name": "beside", "image": "x"},
            ],
        },
    },
)
FULL_QUEUE = queue_body(
    queueName="E-Mails/v2",
    broker={"secretKeyRef": {"name": "my-broker"}},
    drainTarget="2d",
    expectedTaskDuration="1s500ms",
    maxDeliveries=1000,
    rateLimit="2.5/m",
    maxConcurrency=1_000_000,
    deadLetter={"retention": "3650d", "parkedAfter": "2d", "expired": True, "failed": True},
    paused=True,
    deletionPolicy="Purge",
)
FULL_SCHEDULE = schedule_body(
    schedule="*/15 8-17 * jan-mar mon-fri",
    timeZone="America/Argentina/Buenos_Aires",
    suspend=True,
    startingDeadlineSeconds=600,
    concurrencyPolicy="Replace",
    catchUp="All",
    args=[1, "two", {"three": [None, 4.5]}],
    kwargs={"full": True, "of": {"any": ["form"]}},
    priority=9,
    expires="1h30m",
    jitter="30s",
    startAt="2026-12-01T00:00:00+01:00",
    endAt="2027-12-01T00:00:00Z",
    maxRuns=1000,
)

GOOD = {
    "a queue with every field": FULL_QUEUE,
    "a pool with every field": FULL_POOL,
    "a schedule with every field": FULL_SCHEDULE,
    "a schedule with nothing but what is needed": schedule_body(),
    "an interval": schedule_body(every="30s"),
    "the longest interval in hours": schedule_body(every="8760h"),
    "an interval from a time on": schedule_body(every="7d", startAt="2027-01-01T06:00:00Z"),
    "a crontab by a word": schedule_body(schedule="@daily", timeZone="UTC"),
    "a queue with nothing at all": queue_body(),
    "a queue without a spec": {k: v for k, v in queue_body().items() if k != "spec"},
    "a broker by its address": queue("spec.broker", {"url": "rediss://redis.shop.svc:6379/1"}),
    "dead letters that are kept for ever": queue("spec.deadLetter", {"retention": "0s"}),
    "parked messages that wait for three days": queue("spec.deadLetter", {"parkedAfter": "72h"}),
    "one message a day": queue("spec.rateLimit", "0.041667/h"),
    "one message at a time": queue("spec.maxConcurrency", 1),
    "the longest drain target in hours": queue("spec.drainTarget", "720h"),
    "a queue name of 63 characters": queue("metadata.name", "a" * 63),
    "a pool name of 47 characters": pool("metadata.name", "a" * 47),
    "no worker at all, by hand": pool_body(replicas=0),
    "as many at least as at most": auto(minReplicas=5),
    "solo with a soft limit": pool_body(pool="solo", timeLimits={"soft": "5m"}),
    "a fallback that holds": auto(fallback={"behavior": "Hold", "failureThreshold": 1}),
    "a fallback to zero": auto(fallback={"behavior": "Static", "replicas": 0}),
    "an app as module:attribute": pool("spec.app", "shop.tasks:app"),
    "an image by its digest": pool("spec.image", "r.example:5000/shop@sha256:" + "0" * 64),
    "a hard limit alone": pool("spec.timeLimits", {"hard": "168h"}),
}

#: sentence -> (document, words that a person needs)
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    # typos
    "a typo in a queue's field": (queue("spec.queuName", "x"), ('unknown field "spec.queuName"',)),
    "a typo in a pool's field": (pool("spec.imge", "x"), ('unknown field "spec.imge"',)),
    "a typo deep down": (auto(scaleDown={"polcy": "Drain"}), ("scaleDown.polcy",)),
    "a field of another kind": (pool("spec.drainTarget", "1m"), ('"spec.drainTarget"',)),
    "a typo in podTemplate": (pool("spec.podTemplate", {"spce": {}}), ("spec.podTemplate.spce",)),
    "labels of podTemplate in the wrong place": (
        pool("spec.podTemplate", {"metadata": {"name": "x"}}),
        ("spec.podTemplate.metadata.name",),
    ),
    # what is required
    "no app": (pool("spec.app", ...), ("spec.app", "Required value")),
    "no image": (pool("spec.image", ...), ("spec.image", "Required value")),
    "no queues": (pool("spec.queues", ...), ("spec.queues", "Required value")),
    "an empty list of queues": (pool("spec.queues", []), ("spec.queues", "at least 1 items")),
    "a pool without a spec": (
        {k: v for k, v in pool_body().items() if k != "spec"},
        ("spec", "Required value"),
    ),
    "autoscaling without an end": (
        pool("spec.autoscaling", {"minReplicas": 1}),
        ("spec.autoscaling.maxReplicas", "Required value"),
    ),
    "a Secret without a name": (
        queue("spec.broker", {"secretKeyRef": {"key": "url"}}),
        ("spec.broker.secretKeyRef.name", "Required value"),
    ),
    "a container without a name": (
        pool("spec.podTemplate", {"spec": {"containers": [{"image": "x"}]}}),
        ("containers[0].name", "Required value"),
    ),
    "no task": (beat("spec.task", ...), ("spec.task", "Required value")),
    "no queue to send to": (beat("spec.queueRef", ...), ("spec.queueRef", "Required value")),
    "neither crontab nor interval": (
        beat("spec.schedule", ...), ("name exactly one of schedule", "'0 3 * * mon-fri'", "30s")),
    "crontab and interval": (beat("spec.every", "5m"), ("name exactly one of schedule", "every")),
    "an interval with a zone": (
        schedule_body(every="1d", timeZone="Europe/Paris"), ("timeZone means something only",)),
    "four fields": (
        beat("spec.schedule", "0 3 * *"), ("schedule must be five fields", "'0 3 * * mon-fri'")),
    "six fields": (beat("spec.schedule", "0 0 3 * * *"), ("schedule must be five fields",)),
    "a zone in the crontab line": (
        beat("spec.schedule", "TZ=Europe/Paris 0 3 * * *"), ("A zone goes into timeZone",)),
    "a word that is no crontab": (beat("spec.schedule", "@reboot"), ("@hourly, @daily",)),
    "the operator's own zone": (beat("spec.timeZone", "Local"), ("must be an IANA name",)),
    "a zone by its distance": (beat("spec.timeZone", "+01:00"), ("must be an IANA name",)),
    "an interval of nothing": (
        schedule_body(every="0s"), ("every must be between 1s and 365d",)),
    "an interval in milliseconds": (schedule_body(every="500ms"), ("spec.every", "should match")),
    "an end before the start": (
        schedule_body(startAt="2027-01-02T00:00:00Z", endAt="2027-01-01T00:00:00Z"),
        ("endAt must be later than startAt",),
    ),
    "a start that is no time": (beat("spec.startAt", "tomorrow"), ("spec.startAt", "date-time")),
    "a start in seconds": (beat("spec.startAt", "1800000000"), ("spec.startAt", "date-time")),
    "a pool's queue with 64 letters": (
        pool("spec.queues", [{"name": "q" * 64}]), ("spec.queues[0].name", "63")),
    "another policy than a CronJob's": (
        beat("spec.concurrencyPolicy", "Skip"), ('"Allow", "Forbid", "Replace"',)),
    "a catch-up that we do not have": (
        beat("spec.catchUp", "Two"), ('"None", "One", "All"',)),
    "no seconds to start in": (
        beat("spec.startingDeadlineSeconds", 0), ("greater than or equal to 1",)),
    "a priority of ten": (beat("spec.priority", 10), ("less than or equal to 9",)),
    "a message that lives for a year": (
        beat("spec.expires", "365d"), ("expires must be between 1s and 30d",)),
    "a jitter of two days": (beat("spec.jitter", "48h"), ("jitter must be at most 24h",)),
    "arguments that are no list": (beat("spec.args", "all"), ("spec.args", "array")),
    "a task's name with a space": (beat("spec.task", "my task"), ("spec.task", "should match")),
    "a schedule's name that is too long": (
        beat("metadata.name", "a" * 201), ("name must be at most 200 characters",)),
    "a typo in a schedule's field": (
        beat("spec.timezone", "UTC"), ('unknown field "spec.timezone"',)),
    # types and bounds
    "a number as a word": (pool("spec.concurrency", "4"), ("spec.concurrency", "integer")),
    "a truth as a word": (pool("spec.paused", "yes"), ("spec.paused", "boolean")),
    "queues as plain names": (pool("spec.queues", ["emails"]), ("spec.queues[0]", "object")),
    "containers that are no list": (
        pool("spec.podTemplate", {"spec": {"containers": "worker"}}),
        ("spec.podTemplate.spec.containers", "array"),
    ),
    "no slot at all": (pool("spec.concurrency", 0), ("spec.concurrency", "than or equal to 1")),
    "too many slots": (pool("spec.concurrency", 1001), ("less than or equal to 1000",)),
    "fewer than no workers": (pool_body(replicas=-1), ("spec.replicas", "than or equal to 0")),
    "a maximum of none": (
        auto(maxReplicas=0), ("maxReplicas", "greater than or equal to 1")),
    "more than all of the time": (auto(targetUtilization=101), ("less than or equal to 100",)),
    "no delivery at all": (queue("spec.maxDeliveries", 0), ("greater than or equal to 1",)),
    "a queue twice": (
        pool("spec.queues", [{"name": "a"}, {"name": "a"}]),
        ("spec.queues[1]", "Duplicate value"),
    ),
    "51 queues": (
        pool("spec.queues", [{"name": f"q{n}"} for n in range(51)]),
        ("spec.queues", "at most 50 items"),
    ),
    # words
    "a pool that we do not have": (
        pool("spec.pool", "gevent"), ('"prefork", "threads", "asyncio", "solo"',)),
    "a policy that we do not have": (
        auto(scaleDown={"policy": "Idle"}), ('"IdleOnly", "Drain", "Immediate"',)),
    "a strategy that we do not have": (
        pool("spec.rollout", {"strategy": "Recreate"}), ('"RollingUpdate", "Drain"',)),
    "a deletion policy that we do not have": (
        queue("spec.deletionPolicy", "Delete"), ('"Retain", "Purge"',)),
    "an app as a file": (pool("spec.app", "shop/tasks.py"), ("spec.app", "should match")),
    "an image with a space": (pool("spec.image", "shop: 1"), ("spec.image", "should match")),
    "a queue name with a space": (
        queue("spec.queueName", "my queue"), ("spec.queueName", "should match")),
    "a queue by its broker's name": (
        pool("spec.queues", [{"name": "E_Mails"}]), ("spec.queues[0].name", "should match")),
    # durations and sizes
    "a duration without a unit": (queue("spec.drainTarget", "60"), ("should match", "(s|m|h)")),
    "a duration as a number": (queue("spec.drainTarget", 60), ("spec.drainTarget", "string")),
    "a negative duration": (queue("spec.drainTarget", "-5s"), ("should match",)),
    "no time at all to drain": (
        queue("spec.drainTarget", "0s"), ("drainTarget must be between 1s and 30d",)),
    "more time to drain than there is": (
        queue("spec.drainTarget", "31d"), ("drainTarget must be between 1s and 30d",)),
    "tasks that take no time": (
        queue("spec.expectedTaskDuration", "0s"),
        ("expectedTaskDuration must be between 1ms and 168h",),
    ),
    "dead letters for eleven years": (
        queue("spec.deadLetter", {"retention": "4000d"}),
        ("retention must be at most 3650d",),
    ),
    "parked messages for eleven years": (
        queue("spec.deadLetter", {"parkedAfter": "4000d"}),
        ("parkedAfter must be at most 3650d",),
    ),
    "a dead letter's policy as a word": (
        queue("spec.deadLetter", {"failed": "always"}), ("spec.deadLetter.failed", "boolean")),
    "a typo in a dead letter's policy": (
        queue("spec.deadLetter", {"expire": True}), ('unknown field "spec.deadLetter.expire"',)),
    "a rate of nothing": (
        queue("spec.rateLimit", "0.0/s"), ("rateLimit must let something through", "paused")),
    "a rate without a time": (queue("spec.rateLimit", "100"), ("spec.rateLimit", "should match")),
    "a rate as a number": (queue("spec.rateLimit", 100), ("spec.rateLimit", "string")),
    "a rate a day": (queue("spec.rateLimit", "100/d"), ("should match", "(s|m|h)")),
    "nothing at once": (
        queue("spec.maxConcurrency", 0), ("spec.maxConcurrency", "than or equal to 1")),
    "a time limit in days": (pool("spec.timeLimits", {"hard": "1d"}), ("should match",)),
    "a soft limit of nothing": (
        pool("spec.timeLimits", {"soft": "0s"}), ("a time limit must be between 1s and 168h",)),
    "a hard limit of a month": (
        pool("spec.timeLimits", {"hard": "720h"}), ("a time limit must be between 1s and 168h",)),
    "no time to drain": (
        pool("spec.drainTimeout", "1s"), ("drainTimeout must be between 5s and 168h",)),
    "a window of a day": (
        auto(scaleDown={"window": "24h"}), ("scaleDown.window must be at most 1h",)),
    "an upward window of a day": (
        auto(scaleUp={"window": "24h"}), ("scaleUp.window must be at most 1h",)),
    "a horizon of a week": (auto(wakeHorizon="168h"), ("wakeHorizon must be at most 24h",)),
    "a cordon of a day": (
        auto(scaleDown={"cordonTimeout": "24h"}), ("cordonTimeout must be between 1s and 1h",)),
    "two weeks to zero": (
        auto(scaleDown={"toZeroAfter": "336h"}), ("toZeroAfter must be at most 168h",)),
    "memory in megabytes": (
        pool("spec.maxMemoryPerChild", "512MB"), ("spec.maxMemoryPerChild", "should match")),
    # rules
    "neither replicas nor autoscaling": (
        pool("spec.autoscaling", ...), ("name exactly one of replicas", "and autoscaling")),
    "both replicas and autoscaling": (
        pool("spec.replicas", 3), ("name exactly one of replicas", "and autoscaling")),
    "more at least than at most": (
        auto(minReplicas=9), ("minReplicas must not be more than maxReplicas",)),
    "a way to zero that is closed": (
        auto(minReplicas=1, scaleDown={"toZeroAfter": "5m"}),
        ("toZeroAfter means something only with minReplicas 0",),
    ),
    "a fallback above the maximum": (
        auto(fallback={"behavior": "Static", "replicas": 9}),
        ("fallback.replicas must not be more than maxReplicas",),
    ),
    "a fallback without a number": (
        auto(fallback={"behavior": "AtLeast"}), ("Static and AtLeast need replicas",)),
    "a number for a fallback that holds": (
        auto(fallback={"replicas": 1}), ("means nothing with behavior Hold",)),
    "old versions of a rollout in place": (
        pool("spec.rollout", {"maxOldVersions": 1}), ("only with strategy Drain",)),
    "solo with two slots": (
        pool_body(pool="solo", concurrency=2), ("pool solo runs one task at a time", "prefork")),
    "solo with a hard limit": (
        pool_body(pool="solo", timeLimits={"hard": "5m"}),
        ("pool solo cannot enforce a hard time limit",),
    ),
    "solo with processes to replace": (
        pool_body(pool="solo", maxTasksPerChild=9), ("no process of its own to replace",)),
    "a soft limit after the hard one": (
        pool("spec.timeLimits", {"soft": "6m", "hard": "5m"}),
        ("soft must be shorter than hard",),
    ),
    "a password in the address": (
        queue("spec.broker", {"url": "redis://:secret@redis:6379/0"}),
        ("url must not carry credentials", "secretKeyRef"),
    ),
    "an address of something else": (
        queue("spec.broker", {"url": "amqp://rabbit"}), ("spec.broker.url", "should match")),
    "an address and a Secret": (
        queue("spec.broker", {"url": "redis://r", "secretKeyRef": {"name": "x"}}),
        ("name exactly one of url and secretKeyRef",),
    ),
    "a broker that is nowhere": (
        queue("spec.broker", {}), ("name exactly one of url and secretKeyRef",)),
    "a pool name that is too long": (
        pool("metadata.name", LONG), ("name must be at most 47 characters",)),
    "a queue name that is too long": (
        queue("metadata.name", "a" * 64), ("name must be at most 63 characters",)),
}  # fmt: skip

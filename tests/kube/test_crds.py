"""The CRDs on a real API server: defaults, rules, and what a person is told about bad YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from operator_builders import pool_body, queue_body, schedule_body
from resource_documents import BAD, FULL_QUEUE, GOOD
from resource_files import KINDS, crd, fields, schema
from windlass_cluster.access import Access
from windlass_cluster.errors import CommandFailedError
from windlass_cluster.namespace import Namespace, fresh_namespace
from windlass_operator.models.beatschedule import BeatSchedule
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.models.workerpool import WorkerPool

pytestmark = pytest.mark.kube

MODELS: Mapping[str, Any] = {
    "TaskQueue": TaskQueue, "WorkerPool": WorkerPool, "BeatSchedule": BeatSchedule,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def crds(kube_api: Access) -> None:
    """All CRDs, by server-side apply."""
    for kind in KINDS:
        kube_api.apply(crd(kind))
    for plural in KINDS.values():
        kube_api.kubectl(
            "wait", f"crd/{plural}.windlass.dev", "--for=condition=Established", "--timeout=30s"
        )


@pytest.fixture(scope="module")
def somewhere(kube_api: Access) -> Iterator[Namespace]:
    """One namespace for all that is only tried out."""
    with fresh_namespace(kube_api, "crds") as namespace:
        yield namespace


def clean(body: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Only what a person writes."""
    name = body["metadata"]["name"]
    return {**body, "metadata": {"name": name, "namespace": namespace}}


def try_out(where: Namespace, body: Mapping[str, Any]) -> None:
    """Validate, default and admit, and store nothing."""
    text = yaml.safe_dump(clean(body, where.name))
    where.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def made(where: Namespace, body: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = clean(body, where.name)
    where.kubectl("create", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(cleaned))
    return where.get(body["kind"].lower(), body["metadata"]["name"])


@pytest.mark.parametrize("sentence", GOOD)
def test_good_documents_are_taken(somewhere: Namespace, sentence: str) -> None:
    try_out(somewhere, GOOD[sentence])


@pytest.mark.parametrize("sentence", BAD)
def test_bad_documents_are_refused_in_words(somewhere: Namespace, sentence: str) -> None:
    document, words = BAD[sentence]

    with pytest.raises(CommandFailedError) as refused:
        try_out(somewhere, document)

    for word in words:
        assert word in str(refused.value), sentence


def rules() -> list[str]:
    """The message of every CEL rule, root included."""
    return [
        rule["message"]
        for kind in KINDS
        for node in (schema(kind), *(field.node for field in fields(schema(kind))))
        for rule in node.get("x-kubernetes-validations", ())
    ]


IMMUTABLE = ("queueName cannot be changed", "broker cannot be changed")


def test_every_rule_has_a_document_that_breaks_it() -> None:
    said = [word for _, words in BAD.values() for word in words] + list(IMMUTABLE)

    untold = [rule for rule in rules() if not any(word in rule for word in said)]

    assert untold == []


@pytest.mark.parametrize("sentence", GOOD)
def test_what_the_server_takes_the_models_take(sentence: str) -> None:
    body = GOOD[sentence]

    assert MODELS[body["kind"]].from_object(body).identity.kind == body["kind"]


def test_an_empty_queue_is_given_its_defaults(kube_namespace: Namespace) -> None:
    body = {k: v for k, v in queue_body().items() if k != "spec"}

    assert made(kube_namespace, body)["spec"] == {
        "drainTarget": "60s",
        "maxDeliveries": 3,
        "deadLetter": {
            "retention": "7d",
            "parkedAfter": "0s",
            "expired": False,
            "failed": False,
        },
        "paused": False,
        "deletionPolicy": "Retain",
    }


def test_defaults_of_the_server_are_the_models(kube_namespace: Namespace) -> None:
    """A body that was defaulted says the same as one that was not."""
    bodies = (queue_body(), pool_body(), pool_body(name="by-hand", replicas=1), schedule_body())
    for body in bodies:
        model = MODELS[body["kind"]]
        stored = made(kube_namespace, body)

        assert model.from_object(stored).spec == model.from_object(body).spec


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"queueName": "other"}, IMMUTABLE[0]),
        ({"queueName": "one"}, {"queueName": "other"}, IMMUTABLE[0]),
        ({"queueName": "one"}, {"queueName": None}, IMMUTABLE[0]),
        ({}, {"broker": {"url": "redis://r"}}, IMMUTABLE[1]),
        ({"broker": {"url": "redis://r"}}, {"broker": {"url": "redis://s"}}, IMMUTABLE[1]),
        ({"broker": {"url": "redis://r"}}, {"broker": None}, IMMUTABLE[1]),
    ],
)
def test_what_would_leave_messages_behind_cannot_be_changed(
    kube_namespace: Namespace, before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    made(kube_namespace, queue_body(**before))

    with pytest.raises(CommandFailedError, match=words):
        patch(kube_namespace, "taskqueue/emails", {"spec": after})


def patch(where: Namespace, what: str, body: Mapping[str, Any], *args: str) -> None:
    where.kubectl("patch", what, "--type=merge", "--patch", yaml.safe_dump(dict(body)), *args)


def test_other_settings_of_a_queue_can_be_changed(kube_namespace: Namespace) -> None:
    made(kube_namespace, FULL_QUEUE)

    patch(kube_namespace, "taskqueue/emails", {"spec": {"paused": False, "drainTarget": "5m"}})

    assert kube_namespace.get("tq", "emails")["spec"]["drainTarget"] == "5m"


def test_a_pool_is_scaled_by_kubectl_and_answers_with_its_status(
    kube_namespace: Namespace,
) -> None:
    made(kube_namespace, pool_body(replicas=1))

    kube_namespace.kubectl("scale", "wp", "emails", "--replicas=3")
    status = {"replicas": 2, "selector": "windlass.dev/pool=emails"}
    patch(kube_namespace, "wp/emails", {"status": status}, "--subresource=status")

    assert kube_namespace.get("wp", "emails")["spec"]["replicas"] == 3
    scale = kube_namespace.get("wp", "emails", "--subresource=scale")
    assert scale["status"] == status


def test_an_autoscaled_pool_cannot_be_scaled_by_hand(kube_namespace: Namespace) -> None:
    made(kube_namespace, pool_body())

    with pytest.raises(CommandFailedError, match="name exactly one of replicas"):
        kube_namespace.kubectl("scale", "wp", "emails", "--replicas=3")


def test_tables_show_what_is_asked_first(kube_namespace: Namespace) -> None:
    made(kube_namespace, queue_body())
    made(kube_namespace, pool_body())
    made(kube_namespace, schedule_body())

    schedules = kube_namespace.kubectl("get", "bs").splitlines()[0].split()
    queues = kube_namespace.kubectl("get", "tq").splitlines()[0].split()
    pools = kube_namespace.kubectl("get", "wp").splitlines()[0].split()
    wide = kube_namespace.kubectl("get", "wp", "-o", "wide").splitlines()[0].split()
    both = kube_namespace.kubectl("get", "windlass", "-o", "name").split()

    assert queues == [
        "NAME", "READY", "BACKLOG", "RUNNING", "SCHEDULED", "DEAD", "OLDEST", "AGE",
    ]  # fmt: skip
    assert pools == ["NAME", "READY", "DESIRED", "CURRENT", "BUSY", "BACKLOG", "OLDEST", "AGE"]
    assert {"REASON", "SCALING"} <= set(wide)
    assert schedules == [
        "NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "NEXT", "AGE",
    ]  # fmt: skip
    assert sorted(both) == [
        "beatschedule.windlass.dev/nightly",
        "taskqueue.windlass.dev/emails",
        "workerpool.windlass.dev/emails",
    ]


def test_status_is_written_by_its_subresource_only(kube_namespace: Namespace) -> None:
    made(kube_namespace, queue_body())

    patch(kube_namespace, "tq/emails", {"status": {"backlog": 5}})

    assert "status" not in kube_namespace.get("tq", "emails")


@pytest.mark.parametrize("kind", KINDS)
def test_explain_is_the_reference(kube_api: Access, kind: str) -> None:
    text = kube_api.kubectl("explain", f"{KINDS[kind]}.spec", "--recursive")

    for field in fields(schema(kind)["properties"]["spec"]):
        name = field.path.rpartition(".")[2].removesuffix("[]")
        assert name in text or name in ("*", ""), field.path


def test_crds_can_be_applied_again_without_a_change(kube_api: Access) -> None:
    before = kube_api.get("crd", "workerpools.windlass.dev")["metadata"]["generation"]

    kube_api.apply(crd("WorkerPool"))

    assert kube_api.get("crd", "workerpools.windlass.dev")["metadata"]["generation"] == before

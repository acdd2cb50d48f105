"""Events: the same news is counted up, a flood is cut off, and a lost one harms nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from operator_process import connect
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator.kube import Kube
from windlass_operator.models.resource import Identity
from windlass_operator.plan import EmitEvent
from windlass_operator.recorder import BURST, Recorder

pytestmark = pytest.mark.kube


@pytest.fixture
async def kube(windlass_api: Access) -> AsyncIterator[Kube]:
    made = await connect(windlass_api.kubeconfig)
    yield made
    await made.close()


def _identity(namespace: Namespace, name: str = "work") -> Identity:
    return Identity(kind="WorkerPool", namespace=namespace.name, name=name, uid=f"uid-{name}")


async def test_event_reaches_those_who_describe_the_object(kube: Kube, home: Namespace) -> None:
    recorder = Recorder(kube, "operator-0")
    await recorder.emit(_identity(home), EmitEvent(reason="ScaledUp", message="0 -> 4: work"))

    (event,) = home.get("events", "--field-selector=involvedObject.name=work")["items"]

    assert (event["type"], event["reason"], event["message"]) == (
        "Normal", "ScaledUp", "0 -> 4: work",
    )  # fmt: skip
    assert event["involvedObject"]["kind"] == "WorkerPool"
    assert event["reportingInstance"] == "operator-0"


async def test_same_news_is_counted_on_one_event(kube: Kube, home: Namespace) -> None:
    recorder = Recorder(kube, "operator-0")
    news = EmitEvent(reason="BrokerUnreachable", message="no answer", is_warning=True)
    for _ in range(4):
        await recorder.emit(_identity(home), news)

    (event,) = home.get("events")["items"]

    assert (event["type"], event["count"]) == ("Warning", 4)


async def test_flood_about_one_object_is_cut_and_another_is_heard(
    kube: Kube, home: Namespace
) -> None:
    recorder = Recorder(kube, "operator-0")
    for number in range(int(BURST) + 15):
        await recorder.emit(_identity(home), EmitEvent(reason="ScaledUp", message=f"{number}"))
    await recorder.emit(_identity(home, "other"), EmitEvent(reason="ScaledUp", message="1"))

    events = home.get("events")["items"]
    names = [event["involvedObject"]["name"] for event in events]

    # A token may come back while the test runs.
    assert BURST <= names.count("work") <= BURST + 5
    assert names.count("other") == 1


async def test_event_that_cannot_be_written_is_no_failure(kube: Kube, home: Namespace) -> None:
    gone = Identity(kind="WorkerPool", namespace="there-is-no-such", name="work", uid="u")

    await Recorder(kube, "operator-0").emit(gone, EmitEvent(reason="ScaledUp", message="lost"))

    assert kube.requests == {("create", "events"): 1}

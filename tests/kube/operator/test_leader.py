"""One leader at a time: by a Lease, with fail-stop, and nothing written without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from operator_process import connect
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator.apply import Applier, NotLeaderError, Place
from windlass_operator.brokers import Brokers
from windlass_operator.kube import Kube, KubeError, Ref
from windlass_operator.leader import Leader
from windlass_operator.models.resource import Identity
from windlass_operator.plan import DeleteObject, Plan
from windlass_operator.recorder import Recorder
from windlass_operator.store import Store

pytestmark = pytest.mark.kube

#: As in production, a tenth as long.
_DURATION_S, _RENEW_S, _RETRY_S = 1.5, 1.0, 0.2
_SOON_S = 20


@pytest.fixture
async def kube(windlass_api: Access) -> AsyncIterator[Kube]:
    made = await connect(windlass_api.kubeconfig)
    yield made
    await made.close()


Candidate = Callable[[str], Leader]


@pytest.fixture
def candidate(kube: Kube, home: Namespace) -> Candidate:
    def make(identity: str) -> Leader:
        return Leader(
            kube,
            namespace=home.name,
            name="windlass-operator",
            identity=identity,
            duration_s=_DURATION_S,
            renew_s=_RENEW_S,
            retry_s=_RETRY_S,
        )

    return make


async def _soon(wanted: Awaitable[None]) -> None:
    await asyncio.wait_for(wanted, _SOON_S)


async def test_second_candidate_waits_while_the_first_renews(candidate: Candidate) -> None:
    first, second = candidate("first"), candidate("second")
    await _soon(first.acquire())
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.acquire())

    done, _ = await asyncio.wait({waiting, keeping}, timeout=2 * _DURATION_S)

    assert done == set()
    assert (first.is_leading, second.is_leading) == (True, False)
    keeping.cancel()
    await _soon(waiting)
    assert second.is_leading
    assert second.transitions == 1


async def test_leader_stops_writing_before_another_may_begin(candidate: Candidate) -> None:
    """A holder that renews no more knows it first: its own time is the shorter one."""
    first, second = candidate("first"), candidate("second")
    await _soon(first.acquire())
    assert first.is_leading

    await _soon(second.acquire())

    assert not first.is_leading
    assert second.is_leading


async def test_released_lease_is_taken_at_once(
    candidate: Candidate, kube: Kube, home: Namespace
) -> None:
    first, second = candidate("first"), candidate("second")
    await _soon(first.acquire())
    await first.release()
    assert not first.is_leading
    lease = await kube.get(Ref(kind="Lease", namespace=home.name, name="windlass-operator"))
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""

    await asyncio.wait_for(second.acquire(), _DURATION_S)

    assert second.is_leading


async def test_leadership_ends_when_the_lease_cannot_be_renewed(
    candidate: Candidate, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = candidate("first")
    await _soon(leader.acquire())

    async def refuse(*_: object, **__: object) -> None:
        raise KubeError(0, "no route to host", "PUT lease")

    monkeypatch.setattr(kube, "replace", refuse)

    await _soon(leader.keep())

    assert not leader.is_leading


async def test_renewing_takes_one_request_and_notices_a_thief(
    candidate: Candidate, kube: Kube, home: Namespace
) -> None:
    leader = candidate("first")
    await _soon(leader.acquire())
    keeping = asyncio.create_task(leader.keep())
    before = kube.requests[("get", "leases")]
    renewals = kube.requests.get(("update", "leases"), 0)

    async def renewed() -> None:
        while kube.requests.get(("update", "leases"), 0) < renewals + 3:
            await asyncio.sleep(0.05)

    await _soon(renewed())
    assert kube.requests[("get", "leases")] == before
    patch = '{"spec": {"holderIdentity": "thief"}}'
    await asyncio.to_thread(
        home.kubectl, "patch", "lease/windlass-operator", "--type=merge", "-p", patch
    )

    await _soon(keeping)

    assert not leader.is_leading


async def test_two_who_try_at_the_same_moment_do_not_both_win(candidate: Candidate) -> None:
    many = [candidate(f"candidate-{number}") for number in range(5)]
    trying = {asyncio.create_task(one.acquire()) for one in many}

    done, late = await asyncio.wait(trying, timeout=_SOON_S, return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()

    assert len(done) >= 1
    assert sum(one.is_leading for one in many) == 1


async def test_nothing_is_written_without_leadership(
    candidate: Candidate, kube: Kube, home: Namespace
) -> None:
    leader = candidate("first")
    applier = Applier(
        kube, Brokers(1.0), Store(), Recorder(kube, "test"), lambda: leader.is_leading
    )
    home.kubectl("create", "deployment", "kept", "--image=example/kept")
    identity = Identity(kind="WorkerPool", namespace=home.name, name="kept", uid="u")
    plan = Plan(actions=(DeleteObject(api_version="apps/v1", kind="Deployment", name="kept"),))
    before = dict(kube.requests)

    with pytest.raises(NotLeaderError):
        await applier.apply(Place(identity=identity), plan)

    assert kube.requests == before
    await _soon(leader.acquire())
    await applier.apply(Place(identity=identity), plan)
    home.wait("deployment/kept", until="delete", timeout_s=30)

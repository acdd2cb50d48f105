"""A cluster of three nodes: keyspaces on different nodes, slots that move, a node that dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders import make_message
from redis_groups import ClusterGroup
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon
from windlass.errors import BrokerError, ConfigurationError, OperationalError
from windlass.redis_store.resp import packed
from windlass.redis_store.routes import slot_of
from windlass.states import Stage
from windlass_operator.brokers import Brokers

SOON = 60  # seconds: bounds a failing test, never slows a passing one
KEYSPACE = "shop"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterGroup]:
    """Tests of this file take it in their order: the last one kills a node."""
    with ClusterGroup(KEYSPACE) as started:
        yield started


def other_keyspaces(cluster: ClusterGroup) -> list[str]:
    """Return a keyspace on each of the nodes that `KEYSPACE` is not on."""
    found: dict[int, str] = {}
    for name in (f"team-{n}" for n in range(100)):
        found.setdefault(cluster.owner_of(name).port, name)
    found.pop(cluster.owner_of(KEYSPACE).port, None)
    return list(found.values())


def test_keyspaces_live_on_the_nodes_that_own_their_slots(
    cluster: ClusterGroup, open_shop: Callable[..., Any]
) -> None:
    names = [KEYSPACE, *other_keyspaces(cluster)]
    assert len(names) == 3
    shops = [
        open_shop(broker_url=cluster.url, result_backend="redis://", keyspace=name)
        for name in names
    ]
    for shop in shops:
        shop.start_worker()

    results = [shop.send(10, first=100 * n) for n, shop in enumerate(shops)]

    for n, sent in enumerate(results):
        assert [r.get(timeout=SOON) for r in sent] == [2 * (100 * n + i) for i in range(10)]
    for name in names:
        keys = cluster.owner_of(name).client().keys("*")
        assert any(f"{{{name}}}".encode() in key for key in keys)
        assert not any(f"{{{n}}}".encode() in key for n in names for key in keys if n != name)


def test_a_slot_moves_to_another_node_under_load_and_nothing_is_lost_or_run_twice(
    cluster: ClusterGroup, open_shop: Callable[..., Any]
) -> None:
    shop = open_shop(
        broker_url=cluster.url, result_backend="redis://", keyspace=KEYSPACE, worker_lease_s=15
    )
    shop.start_worker()
    held = shop.hold("over-the-move")
    waiter: list[Any] = []
    waiting = threading.Thread(target=lambda: waiter.append(held.get(timeout=SOON)))
    waiting.start()
    sent: list[Any] = []
    sending = threading.Thread(target=lambda: sent.extend(shop.send(50)))
    target = cluster.nodes[1]

    cluster.move_slot(KEYSPACE, target, while_moving=lambda: _start_once(sending))
    shop.go("over-the-move")
    sending.join(SOON)

    assert cluster.owner_of(KEYSPACE) is target
    assert [r.get(timeout=SOON) for r in sent] == [2 * n for n in range(50)]
    waiting.join(SOON)
    assert waiter == ["over-the-move"]
    assert sorted(shop.runs()) == sorted(r.id for r in sent)
    cluster.move_slot(KEYSPACE, cluster.nodes[0])


def test_what_is_asked_while_a_slot_moves_is_asked_where_it_goes_or_tried_again(
    cluster: ClusterGroup,
) -> None:
    broker = RedisBroker(cluster.url, keyspace=KEYSPACE, retry=PublishRetry(max_retries=0))
    broker.enqueue([make_message(id="there", queue="q")])
    outcomes: list[str] = []

    def ask_all() -> None:
        key = packed("GET", broker.keys.result("nobody"))
        assert broker.links.call([key]) == [None]  # a key that is not there: ASK
        cordon(broker, "worker")  # a script on one key: ASK, on a node that does not know it
        try:
            broker.enqueue([make_message(id=f"new-{len(outcomes)}", queue="q")])
        except OperationalError as error:  # keys on both nodes
            outcomes.append(str(error))
        else:
            outcomes.append("stored")

    target = cluster.nodes[1]
    cluster.move_slot(KEYSPACE, target, while_moving=ask_all)

    assert any("TRYAGAIN" in outcome for outcome in outcomes), outcomes
    assert broker.enqueue([make_message(id="new", queue="q")]) == [True]
    assert broker.stage("there") is Stage.QUEUED
    broker.purge("q")
    broker.close()
    cluster.move_slot(KEYSPACE, cluster.nodes[0])


async def test_async_calls_follow_a_slot(
    cluster: ClusterGroup, open_shop: Callable[..., Any]
) -> None:
    shop = open_shop(broker_url=cluster.url, result_backend="redis://", keyspace=KEYSPACE)

    @shop.app.task(name="forms_tasks.add")
    def add(x: int, y: int) -> int: ...

    await add.adelay(1, 1)
    await asyncio.to_thread(cluster.move_slot, KEYSPACE, cluster.nodes[2])
    result = await add.adelay(2, 2)
    shop.start_worker()

    assert await result.aget(timeout=SOON) == 4
    await shop.app.aclose()
    cluster.move_slot(KEYSPACE, cluster.nodes[0])


async def test_the_operator_reads_keyspaces_wherever_they_are(cluster: ClusterGroup) -> None:
    names = [KEYSPACE, *other_keyspaces(cluster)]
    for name in names:
        broker = RedisBroker(cluster.url, keyspace=name)
        broker.enqueue([make_message(id="read-me", queue="read")])
        broker.close()
    brokers = Brokers(timeout_s=SOON)

    await brokers.survey({cluster.url: {name: {"read": 60_000} for name in names}})

    views = brokers.readings[cluster.url].views
    assert {name: view.depths["read"].open for name, view in views.items()} == dict.fromkeys(
        names, 1
    )
    brokers.close()


def test_a_single_server_and_a_cluster_are_told_apart_with_the_address_to_use(
    cluster: ClusterGroup, redis_url: str
) -> None:
    single = redis_url.removeprefix("redis://").removesuffix("/0")
    with pytest.raises(ConfigurationError, match=rf"is a Redis server of its own. Use {redis_url}"):
        RedisBroker(f"redis+cluster://{single}", keyspace=KEYSPACE).ping()
    wrong = next(n for n in cluster.nodes[:3] if n is not cluster.owner_of(KEYSPACE))
    with pytest.raises(BrokerError, match=r"does not hold this keyspace.*redis\+cluster://"):
        RedisBroker(wrong.url, keyspace=KEYSPACE).stage("x")


def test_one_seed_is_enough_and_a_dead_one_is_passed_over(cluster: ClusterGroup) -> None:
    url = f"redis+cluster://127.0.0.1:1;127.0.0.1:{cluster.nodes[1].port}"
    broker = RedisBroker(url, keyspace=KEYSPACE)

    broker.stage("x")

    assert broker.links.link().open().fileno() > 0
    broker.close()


def test_slots_are_the_servers_own(cluster: ClusterGroup) -> None:
    client = cluster.nodes[0].client()

    for name in (KEYSPACE, "default", "a.b-c_d"):
        key = RedisBroker(cluster.url, keyspace=name).keys.messages
        assert slot_of(name) == client.execute_command("CLUSTER KEYSLOT", key)


def test_clients_and_workers_go_on_after_their_node_is_killed(
    cluster: ClusterGroup, open_shop: Callable[..., Any]
) -> None:
    """The last test: the node stays dead, its replica has taken over."""
    shop = open_shop(broker_url=cluster.url, result_backend="redis://", keyspace=KEYSPACE)
    shop.start_worker()
    before = shop.send(20)
    assert [r.get(timeout=SOON) for r in before] == [2 * n for n in range(20)]
    held = shop.hold("over-the-failover")
    owner = cluster.owner_of(KEYSPACE)
    assert owner is cluster.nodes[0]
    owner.client().execute_command("WAIT", 1, 5000)

    owner.kill()
    during = shop.send(20, first=100)
    shop.go("over-the-failover")

    assert [r.get(timeout=SOON) for r in during] == [2 * n for n in range(100, 120)]
    assert held.get(timeout=SOON) == "over-the-failover"
    assert cluster.owner_of(KEYSPACE) is cluster.nodes[3]


def _start_once(thread: threading.Thread) -> None:
    if not thread.ident:
        thread.start()

"""Signing and encryption in real workers: all that the engine sends verifies, nothing else runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import sealed_tasks as tasks
from sealing_keys import sealing, write_keys
from waiting import eventually
from windlass import Windlass, chain, chord, group
from windlass.beat.declared import make_entry
from windlass.beat.entry import API
from windlass.control_plane import dead_letters
from windlass.control_plane.dead_letters import Reason
from windlass.control_plane.depth import read_depths
from windlass.control_plane.schedules import put_schedule, trigger_schedule
from windlass.exceptions import ChordError, SecurityError
from windlass.results import codec

SECRET = "card 4111-1111"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys", ["first"])


@pytest.fixture
def sealed(server, keys: Path) -> Iterator[Windlass]:
    """The worker's app as a sender: what it sends is signed and encrypted."""
    yield from _sender(tasks.app, server.url, sealing(keys, "require", "require"))


def _sender(app: Windlass, url: str, more: dict[str, Any]) -> Iterator[Windlass]:
    app.close()
    settings = {"broker_url": url, "result_backend": url, **more}
    app.conf.update(settings)
    yield app
    app.close()
    for name in settings:
        del app.conf[name]


@pytest.fixture
def start_sealed(start_worker, keys: Path) -> Callable[..., Any]:
    def start(signing: str = "require", encryption: str = "require") -> Any:
        env = {
            f"WINDLASS_{name.upper()}": value
            for name, value in sealing(keys, signing, encryption).items()
        }
        return start_worker("-c", "1", tasks="sealed_tasks", **env)

    return start


def test_all_that_the_engine_sends_is_sealed_and_verifies(sealed, start_sealed, marks) -> None:
    start_sealed()
    assert tasks.add.delay(1, 2).get(timeout=20) == 3
    assert tasks.flaky.delay("x").get(timeout=20) == [2, "x!!"]
    assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.si(4, 5)).delay().get(timeout=20) == 9
    joined = chord([tasks.add.s(n, n) for n in range(3)], tasks.join.s("end"))
    assert joined.delay().get(timeout=20) == [0, 2, 4, "end"]
    assert tasks.replaced.delay(1).get(timeout=20) == 12
    assert tasks.replaced_by_group.delay(1).get(timeout=20) == [2, 3]
    grown = chord([tasks.adds_to_chord.s(1), tasks.add.s(0, 2)], tasks.join.s())
    assert grown.delay().get(timeout=20) == [1, 2, 101]
    nested = chain(tasks.add.s(0, 1), group(tasks.add.s(1), tasks.add.s(2)), tasks.join.s())
    assert nested.delay().get(timeout=20) == [2, 3]
    assert tasks.progresses.delay().get(timeout=20) == "PROGRESS"
    assert tasks.add.apply_async((3, 4), link=tasks.told.s()).get(timeout=20) == 7
    eventually(lambda: marks.lines("told") == ["7"])
    failing = chord([tasks.add.s(1, 1), tasks.fail.s("no")], tasks.join.s())
    failing.link_error(tasks.told.s())
    body = failing.delay()
    with pytest.raises(ChordError, match="KeyError"):
        body.get(timeout=20)
    eventually(lambda: marks.lines("told") == ["7", body.id])
    assert _reasons(sealed) == {}


def test_a_schedule_is_signed_once_and_fires_from_anywhere(sealed, start_sealed, marks) -> None:
    raw = {"task": "sealed_tasks.note", "schedule": 3600, "args": ("noted", SECRET)}
    entry = make_entry(sealed, "s", raw, API)
    assert entry == make_entry(sealed, "s", raw, API)
    assert SECRET.encode() not in entry.encode()
    put_schedule(sealed.broker, entry)
    start_sealed()
    # As the operator does, which has no keys.
    trigger_schedule(sealed.broker, "s")

    eventually(lambda: marks.lines("noted") == [repr(SECRET)])


def test_nothing_secret_lies_on_the_broker(sealed, server) -> None:
    tasks.note.delay("secret", SECRET)
    tasks.note.apply_async(("secret",), {"value": SECRET}, countdown=60)
    chain(tasks.join.s([SECRET]), tasks.join.s(SECRET)).delay()
    link = {"link": tasks.note.s(SECRET), "link_error": tasks.told.s(SECRET)}
    tasks.add.apply_async((1, 2), **link)
    client = server.client()

    assert all(SECRET.encode() not in _everything(client, key) for key in client.scan_iter())


def test_values_between_tasks_and_results_are_not_readable_either(
    sealed, start_sealed, server
) -> None:
    start_sealed()
    failed = tasks.fail.delay(SECRET)
    # Their values are there, and nobody takes the message with them.
    chain(tasks.join.s([SECRET]), tasks.join.s().set(queue="nobody")).delay()
    waits = chord([tasks.join.s([SECRET]), tasks.add.s(1, 2).set(queue="nobody")], tasks.join.s())
    waits.delay()
    with pytest.raises(KeyError, match=SECRET):
        failed.get(timeout=20)
    eventually(lambda: read_depths(sealed.broker, ["nobody"])[0].open == 2)
    eventually(lambda: read_depths(sealed.broker, ["default"])[0].backlog == 0)
    client = server.client()

    assert all(SECRET.encode() not in _everything(client, key) for key in client.scan_iter())


def test_what_is_not_sealed_as_required_is_a_dead_letter(app, sealed, start_sealed, marks) -> None:
    start_sealed()
    bare = app.send_task("sealed_tasks.note", ["ran", 1])

    assert eventually(lambda: _reasons(app)) == {bare.id: Reason.UNSIGNED}
    assert marks.lines("ran") == []


def test_what_was_altered_on_the_broker_is_a_dead_letter_and_does_not_run(
    app, sealed, start_sealed, marks, server
) -> None:
    altered, moved, good = (tasks.note.delay("ran", n).id for n in range(3))
    client, messages = server.client(), sealed.broker.keys.messages
    raw = client.hget(messages, altered)
    client.hset(messages, altered, raw[:-1] + bytes([raw[-1] ^ 1]))
    client.hset(messages, moved, client.hget(messages, moved).replace(b".note", b".told"))
    start_sealed()

    expected = {altered: Reason.BAD_SIGNATURE, moved: Reason.BAD_SIGNATURE}
    eventually(lambda: _reasons(app) == expected)
    assert sealed.AsyncResult(good).get(timeout=20) is None
    assert (marks.lines("ran"), marks.lines("told")) == (["2"], [])


def test_a_forged_result_is_refused(app, sealed) -> None:
    forged = codec.encode_success("some-id", "cheap", codec.About())
    app.backend.store_raw("some-id", forged, 60_000)

    with pytest.raises(SecurityError, match="not signed"):
        sealed.AsyncResult("some-id").get(timeout=20)


def test_keys_rotate_under_a_running_worker(sealed, start_sealed, keys: Path) -> None:
    worker = start_sealed()
    assert tasks.add.delay(1, 2).get(timeout=20) == 3

    for step, ids in enumerate((["first", "second"], ["second", "first"], ["second"]), 1):
        write_keys(keys, ids)
        # Each process looks when it uses a key: the slot, and this one.
        eventually(partial(_has_met, worker, step))
        eventually(partial(_signs_by, sealed, ids[0]))
    assert tasks.add.delay(3, 3).get(timeout=20) == 6

    assert _reasons(sealed) == {}


def _has_met(worker: Any, changes: int) -> bool:
    assert tasks.add.delay(1, 0).get(timeout=20) == 1
    return worker.log().count("keys_changed") >= changes


def _signs_by(app: Windlass, key: str) -> bool:
    seals = app.conf.current.seals
    return seals is not None and seals.seal(b"", b"")[2:].startswith(key.encode())


def test_before_it_is_required_old_senders_are_served(app, sealed, start_sealed) -> None:
    start_sealed("sign", "encrypt")
    bare = app.send_task("sealed_tasks.add", [1, 2])

    assert sealed.AsyncResult(bare.id).get(timeout=20) == 3
    assert tasks.add.delay(1, 2).get(timeout=20) == 3


def _reasons(app: Windlass) -> dict[str, str]:
    return {dead.id: dead.reason for dead in dead_letters.list_dead(app.broker, "default")}


def _everything(client: Any, key: bytes) -> bytes:
    kind = client.type(key)
    if kind == b"string":
        return client.get(key) or b""
    if kind == b"hash":
        return b" ".join(k + v for k, v in client.hgetall(key).items())
    if kind == b"list":
        return b" ".join(client.lrange(key, 0, -1))
    if kind == b"set":
        return b" ".join(client.smembers(key))
    return repr(client.zrange(key, 0, -1)).encode()

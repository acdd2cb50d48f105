"""Signatures: partial calls as data (Celery semantics 32 and 33)."""

from __future__ import annotations

import copy
import json
import pickle  # noqa: TID251 - a copy of our own, nothing from the wire
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_broker import body_of, broker_of, opened, recording_app
from windlass import Task, Windlass, maybe_signature, signature
from windlass.canvas import Signature
from windlass.errors import NotRegistered


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def add(app: Windlass) -> Task[..., Any]:
    @app.task(name="add")
    def add(x: int, y: int = 0, z: int = 0) -> int:
        return x * 100 + y * 10 + z

    return add


# -- statement 32


def test_arguments_at_call_time_go_before_the_own_ones(app: Windlass, add: Task[..., Any]) -> None:
    add.s(2).delay(1)

    assert body_of(broker_of(app).sent[-1])[0] == [1, 2]
    assert add.s(2)(1) == 120
    assert add.s(2).apply((1,)).get() == 120


def test_immutable_signature_ignores_arguments_at_call_time(
    app: Windlass, add: Task[..., Any]
) -> None:
    add.si(1, 2).delay(9)

    assert body_of(broker_of(app).sent[-1])[0] == [1, 2]
    assert add.si(1, 2)(9) == 120


def test_kwargs_merge_and_those_at_call_time_win(app: Windlass, add: Task[..., Any]) -> None:
    add.s(1, y=2, z=3).apply_async((), {"z": 4})

    assert body_of(broker_of(app).sent[-1])[1] == {"y": 2, "z": 4}


def test_options_merge_and_those_at_call_time_win(app: Windlass, add: Task[..., Any]) -> None:
    sig = add.s(1).set(queue="a", priority=3)
    sig.apply_async(queue="b")

    sent = broker_of(app).sent[-1]
    assert (sent.queue, sent.priority) == ("b", 3)
    assert sig.options == {"queue": "a", "priority": 3}


def test_unknown_option_is_refused_when_it_is_set(add: Task[..., Any]) -> None:
    with pytest.raises(TypeError, match="Did you mean 'countdown'"):
        add.s(1).set(cuntdown=1)


def test_signature_is_a_dict_that_survives_json(app: Windlass, add: Task[..., Any]) -> None:
    sig = add.s(1, y=2).set(queue="q")
    data = json.loads(json.dumps(sig))
    again = Signature.from_dict(data, app=app)

    assert isinstance(sig, dict)
    assert {"task", "args", "kwargs", "options", "subtask_type", "immutable"} == data.keys()
    assert again() == 120
    assert (again.task, again.args, again.kwargs, again.options) == (
        "add",
        (1,),
        {"y": 2},
        {"queue": "q"},
    )


def test_signature_copies_and_pickles(app: Windlass, add: Task[..., Any]) -> None:
    app.set_current()
    sig = add.s(1, y=[2])
    deep = copy.deepcopy(sig)
    deep.kwargs["y"].append(3)

    assert sig.kwargs == {"y": [2]}
    assert pickle.loads(pickle.dumps(sig)) == sig


def test_clone_leaves_the_original_alone(add: Task[..., Any]) -> None:
    sig = add.s(2, y=1)
    twin = sig.clone((1,), {"y": 5}, queue="q")

    assert (twin.args, twin.kwargs, twin.options) == ((1, 2), {"y": 5}, {"queue": "q"})
    assert (sig.args, sig.kwargs, sig.options) == ((2,), {"y": 1}, {})


def test_signature_of_a_name_a_task_and_a_dict(app: Windlass, add: Task[..., Any]) -> None:
    by_name = signature("add", (1,), app=app)
    by_task = signature(add, (1,))

    assert by_name == by_task == signature(dict(by_task))
    assert signature(by_task) == by_task
    assert signature(by_task) is not by_task
    assert maybe_signature(by_task) is by_task
    assert maybe_signature(None) is None
    assert maybe_signature(dict(by_name), app) == by_name


def test_signature_of_an_unknown_task_is_sent_by_name(app: Windlass) -> None:
    sig = signature("far.away", (1,), app=app)
    sig.delay()

    assert opened(broker_of(app).sent[-1]).task == "far.away"
    with pytest.raises(NotRegistered, match=r"far\.away"):
        sig()


def test_only_signatures_can_be_piped(add: Task[..., Any]) -> None:
    with pytest.raises(TypeError):
        add.s(1) | {"task": "add"}  # type: ignore[operator]
    with pytest.raises(TypeError):
        {"task": "add"} | add.s(1)


def test_repr_reads_as_a_call(add: Task[..., Any]) -> None:
    assert repr(add.s(1, y="a")) == "add(1, y='a')"


async def test_async_twins_send_the_same(app: Windlass, add: Task[..., Any]) -> None:
    await add.s(2).adelay(1)
    await add.s(2).aapply_async((1,), queue="q")

    assert [(body_of(sent)[0], sent.queue) for sent in broker_of(app).sent] == [
        ([1, 2], "default"),
        ([1, 2], "q"),
    ]


# -- statement 33, the sender's part


def test_links_travel_in_the_body_with_their_own_links(app: Windlass, add: Task[..., Any]) -> None:
    inner = add.s(3).set(eta=datetime(2026, 1, 1, tzinfo=UTC))
    outer = add.s(2)
    outer.link(inner)
    add.apply_async((1,), link=outer, link_error=[add.si(7), add.si(8)])

    embed = body_of(broker_of(app).sent[-1])[2]
    (callback,) = embed["callbacks"]
    assert [callback["task"], callback["args"]] == ["add", [2]]
    assert callback["options"]["link"][0]["args"] == [3]
    assert callback["options"]["link"][0]["options"]["eta"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert [errback["args"] for errback in embed["errbacks"]] == [[7], [8]]


def test_same_callback_is_linked_once(add: Task[..., Any]) -> None:
    sig = add.s(1)
    sig.link(add.s(2))
    sig.link(add.s(2))
    sig.on_error(add.si(3)).link_error(add.si(4))

    assert len(sig.options["link"]) == 1
    assert len(sig.options["link_error"]) == 2
    assert [sig, add.s(2)] == sig.flatten_links()

"""What a Celery user expects of workflows, run by a worker in memory (engine.md, section 3)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from recording_broker import recording_app
from waiting import eventually
from windlass import Windlass, chain, chord, group, signature, xmap, xstarmap
from windlass.contrib.testing.worker import start_worker
from windlass.errors import ChordError, TaskRevokedError
from windlass.result import GroupResult, result_from_tuple

# -- 25: replace


def test_replaced_task_has_the_value_of_the_chain_that_took_its_place(
    shop: SimpleNamespace,
) -> None:
    result = shop.become.delay(shop.add.s(1, 2) | shop.add.s(10))

    assert result.get(timeout=10) == 13


def test_replaced_task_has_the_list_of_the_group_that_took_its_place(shop: SimpleNamespace) -> None:
    result = shop.become.delay(group(shop.add.s(1, 2), shop.add.s(3, 4)))

    assert result.get(timeout=10) == [3, 7]


def test_chain_goes_on_after_a_step_that_was_replaced_by_a_chord(shop: SimpleNamespace) -> None:
    inner = chord([shop.add.s(1, 1), shop.add.s(2, 2)], shop.total.s())
    result = (shop.become.s(inner) | shop.add.s(100)).delay()

    assert result.get(timeout=10) == 106


def test_member_of_a_header_that_was_replaced_counts_with_its_replacement(
    shop: SimpleNamespace,
) -> None:
    members = [shop.become.s(shop.add.s(1, 1) | shop.add.s(1)), shop.add.s(2, 2)]

    assert chord(members, shop.same.s()).delay().get(timeout=10) == [3, 4]


def test_failure_of_a_replacement_is_that_of_the_task_and_ends_the_chain(
    shop: SimpleNamespace,
) -> None:
    result = (shop.become.s(shop.add.s(1, 1) | shop.boom.s()) | shop.add.s(1)).delay()

    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=10)
    assert result.parent.state == "FAILURE"


def test_links_of_a_replaced_task_are_those_of_the_last_of_its_replacement(
    shop: SimpleNamespace,
) -> None:
    task = shop.become.s(shop.add.s(1, 1) | shop.add.s(40))
    task.link(shop.note.s("linked"))
    task.delay().get(timeout=10)

    eventually(lambda: (42, "linked") in shop.calls)


# -- 30: results of groups


def test_group_raises_the_first_failure_in_order_or_gives_values_and_exceptions(
    shop: SimpleNamespace,
) -> None:
    result = group(shop.add.s(1, 1), shop.boom.s(), shop.add.s(2, 2))()

    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=10)
    values = result.get(propagate=False, timeout=10)
    assert [values[0], type(values[1]), values[2]] == [2, ValueError, 4]
    assert result.completed_count() == 2
    assert (result.ready(), result.successful(), result.failed()) == (True, False, True)


def test_group_is_restored_by_its_id(shop: SimpleNamespace) -> None:
    result = group(shop.add.s(1, 1) | group(shop.add.s(1), shop.add.s(2)), shop.add.s(2, 2))()
    result.save()
    again = GroupResult.restore(result.id, app=shop.app)

    assert again == result
    assert again is not None
    assert again.get(timeout=10) == [[3, 4], 4]
    result.delete()
    assert GroupResult.restore(result.id, app=shop.app) is None


async def test_group_is_awaited(shop: SimpleNamespace) -> None:
    result = await group(shop.add.s(1, 1), shop.add.s(2, 2)).adelay()

    assert await result == [2, 4]
    assert await (await (shop.add.s(1, 1) | shop.add.s(2)).adelay()) == 4
    assert await (await chord([shop.add.s(1, 1)], shop.total.s()).aapply_async()) == 2


def test_members_are_told_of_one_by_one_by_iterating(shop: SimpleNamespace) -> None:
    result = group(shop.add.s(i, i) for i in range(5))()
    seen: dict[str, Any] = {}

    assert sorted(result.iterate(timeout=10)) == [0, 2, 4, 6, 8]
    assert result.join(callback=seen.__setitem__, timeout=10) == []
    assert list(seen.values()) == [0, 2, 4, 6, 8]


def test_result_tuple_is_a_handle_again_after_json(shop: SimpleNamespace) -> None:
    result = (shop.add.s(1, 1) | group(shop.add.s(1), shop.add.s(2)) | shop.total.s()).delay()
    again = result_from_tuple(json.loads(json.dumps(result.as_tuple())), app=shop.app)

    assert again.get(timeout=10) == 7
    assert again.parent.get(timeout=10) == [3, 4]
    assert again.parent.parent.get(timeout=10) == 2


# -- 32: partial, immutable, kwargs


def test_value_goes_before_the_arguments_of_the_next_step(shop: SimpleNamespace) -> None:
    assert (shop.add.s(1, 2) | shop.note.s("a", "b")).delay().get(timeout=10) is None

    assert (3, "a", "b") in shop.calls


def test_immutable_step_takes_no_value(shop: SimpleNamespace) -> None:
    assert (shop.boom.si() | shop.add.s(1)).tasks[0].immutable
    assert (shop.add.s(1, 2) | shop.add.si(5, 5)).delay().get(timeout=10) == 10
    assert chord([shop.add.s(1, 1)], shop.add.si(2, 2)).delay().get(timeout=10) == 4


def test_arguments_of_a_canvas_go_to_what_comes_first(shop: SimpleNamespace) -> None:
    assert (shop.add.s(1) | shop.add.s(2)).delay(10).get(timeout=10) == 13
    assert group(shop.add.s(1), shop.add.s(2)).delay(10).get(timeout=10) == [11, 12]
    assert chord([shop.add.s(1), shop.add.s(2)], shop.same.s()).delay(10).get(timeout=10) == [
        11,
        12,
    ]
    assert (shop.add.s() | shop.add.s(1)).apply_async((), {"x": 1, "y": 2}).get(timeout=10) == 4


def test_canvas_is_data_that_json_carries(shop: SimpleNamespace) -> None:
    canvas = shop.add.s(1, 1) | group(shop.add.s(1), shop.add.s(2)) | shop.total.s()

    assert signature(json.loads(json.dumps(canvas)), app=shop.app).delay().get(timeout=10) == 7


# -- 33: link


def test_callback_of_a_chain_gets_the_last_value(shop: SimpleNamespace) -> None:
    canvas = shop.add.s(1, 1) | shop.add.s(2)
    canvas.link(shop.note.s("chain"))
    canvas.delay().get(timeout=10)

    eventually(lambda: (4, "chain") in shop.calls)


def test_callback_of_a_group_is_sent_by_the_first_member_and_takes_no_value(
    shop: SimpleNamespace,
) -> None:
    canvas = group(shop.add.s(1, 1), shop.add.s(2, 2))
    linked = canvas.link(shop.note.s("group"))
    canvas.delay().get(timeout=10)

    assert linked.immutable
    eventually(lambda: ("group",) in shop.calls)
    assert [call for call in shop.calls if "group" in call] == [("group",)]


def test_callback_may_be_a_canvas_and_its_failure_is_its_own(shop: SimpleNamespace) -> None:
    task = shop.add.s(1, 1)
    task.link(group(shop.add.s(1), shop.add.s(2)) | shop.note.s("joined"))

    assert task.delay().get(timeout=10) == 2
    eventually(lambda: ([3, 4], "joined") in shop.calls)


def test_group_refuses_links_at_call_time(shop: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="chord"):
        group(shop.add.s(1, 1)).apply_async(link=shop.note.s())


# -- 34 and 35: errbacks, failure of a chain


def test_failure_ends_a_chain_with_the_same_exception_and_one_call_of_the_errback(
    shop: SimpleNamespace,
) -> None:
    canvas = chain(shop.add.s(1, 1), shop.boom.s(), shop.add.s(1), shop.add.s(2))
    result = canvas.on_error(shop.errback.s()).delay()

    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=10)
    failing = result.parent.parent
    states = [node.state for node in (result, result.parent, failing, failing.parent)]
    assert states == ["FAILURE", "FAILURE", "FAILURE", "SUCCESS"]
    assert [call for call in shop.calls if call[0] in result.as_list()] == [
        (failing.id, "ValueError", "boom")
    ]


def test_errback_that_takes_one_argument_is_sent_the_failed_id(shop: SimpleNamespace) -> None:
    @shop.app.task(name="failed_id")
    def failed_id(task_id: str) -> None:
        shop.calls.append(("failed", task_id))

    result = shop.boom.s().on_error(failed_id.s()).delay()

    eventually(lambda: ("failed", result.id) in shop.calls)


def test_revoked_member_ends_the_chain(shop: SimpleNamespace) -> None:
    result = (shop.add.s(1, 1).set(countdown=600) | shop.add.s(1)).delay()
    result.parent.revoke()

    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


# -- 36, 37 and 38: chords


def test_body_gets_the_values_in_the_order_of_the_header(shop: SimpleNamespace) -> None:
    header = [shop.add.s(i, 0) | shop.add.s(0) if i % 2 else shop.add.s(i, 0) for i in range(9)]

    assert chord(header, shop.same.s()).delay().get(timeout=10) == list(range(9))


def test_failed_header_ends_the_body_with_chorderror_and_its_errback_is_called_once(
    shop: SimpleNamespace,
) -> None:
    canvas = chord([shop.boom.s(), shop.add.s(1, 1), shop.boom.s()], shop.total.s())
    canvas.link_error(shop.errback.s())
    result = canvas.delay()

    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError\('boom'\)") as caught:
        result.get(timeout=10)
    assert isinstance(caught.value.__cause__, ValueError)
    assert result.parent[1].get(timeout=10) == 2  # the others run on
    calls = [call for call in shop.calls if call[0] == result.id]
    assert len(calls) == 1
    assert calls[0][1] == "ChordError"


def test_errback_goes_to_the_header_too_where_the_setting_says_so() -> None:
    app = recording_app(task_allow_error_cb_on_chord_header=True)
    task = app.task(lambda *args: None, name="task")
    canvas = chord([task.s(), chord([task.s()], task.s())], task.s())
    canvas.link_error(task.s("errback"))

    assert canvas.tasks[0].options["link_error"][0].immutable
    assert canvas.tasks[1].body.options["link_error"]
    assert canvas.body.options["link_error"] == [task.s("errback")]


def test_empty_header_calls_the_body_with_an_empty_list(shop: SimpleNamespace) -> None:
    assert chord([])(shop.same.s()).get(timeout=10) == []
    assert (shop.add.s(1, 1) | chord([], shop.same.s())).delay().get(timeout=10) == []


def test_empty_forms(shop: SimpleNamespace) -> None:
    assert chain().apply_async() is None
    assert group([]).apply_async().get(timeout=10) == []
    assert group([])().ready()


def test_chord_without_a_body_is_refused(shop: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="no body"):
        chord([shop.add.s(1, 1)])()


def test_chord_of_chords(shop: SimpleNamespace) -> None:
    inner = [chord([shop.add.s(i, i), shop.add.s(1, 1)], shop.total.s()) for i in range(3)]

    assert chord(inner, shop.same.s()).delay().get(timeout=10) == [2, 4, 6]


def test_task_is_added_to_the_header_while_it_runs(shop: SimpleNamespace) -> None:
    result = chord([shop.grow.s(1), shop.add.s(2, 0)], shop.same.s()).delay()

    assert result.get(timeout=10) == [1, 2, 101]


def test_adding_to_no_chord_is_an_error(shop: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="not in the header of a chord"):
        shop.grow.delay(1).get(timeout=10)


# -- 39: chunks, map, starmap


def test_chunks_are_lists_of_values(shop: SimpleNamespace) -> None:
    result = shop.add.chunks(zip(range(10), range(10), strict=True), 4)()

    assert result.get(timeout=10) == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]


def test_map_and_starmap_are_one_message(shop: SimpleNamespace) -> None:
    assert xmap(shop.same.s(), [1, 2]).delay().get(timeout=10) == [1, 2]
    assert xstarmap(shop.add.s(), [(1, 2), (3, 4)]).delay().get(timeout=10) == [3, 7]
    assert (shop.add.starmap([(1, 2)]) | shop.total.s()).delay().get(timeout=10) == 3


def test_one_failure_of_a_map_fails_all_of_it(shop: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="boom"):
        shop.boom.map([1, 2]).delay().get(timeout=10)


# -- the tree


def test_steps_know_their_place_in_the_tree(shop: SimpleNamespace) -> None:
    result = (shop.place.s() | group(shop.place.s(), shop.place.s()) | shop.place.s()).delay()
    result.get(timeout=10)
    members, first = result.parent, result.parent.parent

    assert first.get() == [None, None, None, None]  # it is the root itself
    assert members[1].get() == [first.id, first.id, members.id, 1]
    assert result.get() == [first.id, members[1].id, None, None]


def test_children_lead_from_the_first_step_to_the_last(shop: SimpleNamespace) -> None:
    result = (shop.add.s(1, 1) | shop.add.s(1) | group(shop.add.s(1), shop.add.s(2))).delay()
    result.get(timeout=10)
    first = result.parent.parent

    assert first.children == [result.parent]
    assert first.children[0].children == [result]
    assert [value for _, value in first.collect(timeout=10)] == [2, 3, [4, 5], 4, 5]


def test_canvas_that_a_task_sends_is_its_child(shop: SimpleNamespace) -> None:
    @shop.app.task(name="parent")
    def parent() -> None:
        group(shop.add.s(1, 1), shop.add.s(2, 2)).delay()

    sent = parent.delay()
    sent.get(timeout=10)

    (child,) = sent.children
    assert child.get(timeout=10) == [2, 4]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle"])
def test_values_go_on_in_every_serializer(serializer: str) -> None:
    app = Windlass(
        "mixed", broker="memory://mixed", backend="memory://mixed",
        accept_content=["json", "msgpack", "pickle"], task_serializer=serializer,
        set_as_current=False,
    )  # fmt: skip

    @app.task
    def keep(value: Any, *more: Any) -> Any:
        return value

    other = keep.s(1).set(serializer="msgpack")
    canvas = keep.s("ä") | group(keep.s(), other, keep.s(2)) | keep.s({"k": [1]}) | keep.s()
    with start_worker(app):
        assert canvas.delay().get(timeout=10) == ["ä", "ä", "ä"]
        assert chord([keep.s(b"1"), keep.s(None)], other).delay().get(timeout=10) == [b"1", None]

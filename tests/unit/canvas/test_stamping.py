"""Stamps: put on every task of a canvas, in the request, on retries and on what a task sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from windlass import StampingVisitor, Task, chord, group


class Recorder(StampingVisitor):
    """Stamps with what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        self.asked.append(f"signature {sig.task.rpartition('.')[2]}")
        return {"own": sig.task.rpartition(".")[2]}

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        self.asked.append("group")
        return {"in_group": "yes"}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        self.asked.append("group end")

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any]:
        self.asked.append("chain")
        return {"in_chain": "yes"}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        self.asked.append("chain end")

    def on_chord_body(self, sig: Any, **header: Any) -> dict[str, Any]:
        self.asked.append("body")
        return {"body": "yes"}

    def on_callback(self, callback: Any, **header: Any) -> dict[str, Any]:
        self.asked.append("callback")
        return {"linked": "yes"}

    def on_errback(self, errback: Any, **header: Any) -> dict[str, Any]:
        self.asked.append("errback")
        return {"linked": "error"}


def test_stamps_reach_every_task_of_a_canvas(shop: SimpleNamespace) -> None:
    canvas = chord([shop.stamps.s(), shop.stamps.s() | shop.same.s()], shop.same.s())
    canvas.stamp(tenant="acme")
    values = canvas.delay().get(timeout=10)

    assert values == [{"tenant": "acme"}, {"tenant": "acme"}]
    assert canvas.body.options["tenant"] == "acme"


def test_visitor_is_asked_for_each_part(shop: SimpleNamespace) -> None:
    visitor = Recorder()
    first = shop.stamps.s()
    first.link(shop.note.s())
    first.link_error(shop.errback.s())
    canvas = chord([first | shop.same.s()], shop.same.s())
    canvas.stamp(visitor=visitor)

    assert visitor.asked == [
        "group", "chain", "callback", "signature note", "errback", "signature errback",
        "signature stamps", "signature same", "chain end", "group end", "body", "signature same",
    ]  # fmt: skip
    (stamps,) = canvas.delay().get(timeout=10)
    assert stamps == {"own": "stamps", "in_group": "yes", "in_chain": "yes"}
    assert first.options["link"][0].options["linked"] == "yes"


def test_first_stamp_stays_or_both_are_kept(shop: SimpleNamespace) -> None:
    sig = shop.add.s(1, 1)
    sig.stamp(tenant="a")
    sig.stamp(tenant="b")
    assert sig.options["tenant"] == "b"
    sig.stamp(append_stamps=True, tenant="c")

    assert sorted(sig.options["tenant"]) == ["b", "c"]
    assert sig.options["stamped_headers"] == ["tenant"]


def test_stamp_is_not_changed_by_a_later_call(shop: SimpleNamespace) -> None:
    sig = shop.stamps.s()
    sig.stamp(tenant="a")

    assert sig.apply_async(stamped_headers=["other"]).get(timeout=10) == {"tenant": "a"}


def test_generator_is_stamped_as_it_is_read(shop: SimpleNamespace) -> None:
    lazy = group(shop.stamps.s() for _ in range(3))
    lazy.stamp(tenant="acme")

    assert lazy.delay().get(timeout=10) == [{"tenant": "acme"}] * 3


def test_stamps_go_on_to_what_a_task_sends_and_to_its_retries(shop: SimpleNamespace) -> None:
    @shop.app.task(name="sender", bind=True, max_retries=1, default_retry_delay=0)
    def sender(self: Task[..., Any]) -> list[str]:
        if not self.request.retries:
            raise self.retry()
        sent = shop.stamps.delay(), (shop.stamps.s() | shop.same.s()).delay()
        return [result.id for result in sent]

    sig = sender.s()
    sig.stamp(tenant="acme")
    ids = sig.delay().get(timeout=10)

    values = [shop.app.AsyncResult(task_id).get(timeout=10) for task_id in ids]
    assert values == [{"tenant": "acme"}] * 2


def test_replacement_has_the_stamps(shop: SimpleNamespace) -> None:
    sig = shop.become.s(shop.stamps.s() | shop.same.s())
    sig.stamp(tenant="acme")

    assert sig.delay().get(timeout=10) == {"tenant": "acme"}


def test_only_listed_headers_of_a_visitor_are_stamps(shop: SimpleNamespace) -> None:
    class Some(StampingVisitor):
        def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
            return {"a": 1, "queue": "default", "stamped_headers": ["a"]}

    sig = shop.stamps.s()
    sig.stamp(visitor=Some())

    assert sig.options["queue"] == "default"
    assert sig.delay().get(timeout=10) == {"a": 1}


def test_unknown_options_are_still_refused(shop: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="tennant"):
        shop.stamps.s().set(tennant="acme")

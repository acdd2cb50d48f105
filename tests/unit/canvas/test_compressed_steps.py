"""Compression inside workflows: of what takes no value, and of nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from windlass import chord
from windlass.canvas.compile import Compiler, Entry
from windlass.canvas.unfold import unfold
from windlass.errors import ChordError


def test_first_messages_are_compressed_and_all_values_arrive(shop: SimpleNamespace) -> None:
    text = "x" * 5000
    first = shop.same.s(text).set(compression="zlib")
    canvas = first | shop.same.s().set(compression="zlib") | shop.same.s()

    assert canvas.delay().get(timeout=10) == text


def test_a_later_message_that_takes_no_value_is_compressed_and_runs(shop: SimpleNamespace) -> None:
    text = "x" * 50_000
    later = shop.same.si(text).set(compression="zlib")
    compiler = Compiler(shop.app)
    compiler.sequence(unfold(shop.add.s(1, 1) | later), Entry())
    (release,) = compiler.continuations[0].releases

    assert len(release.before) < 1000
    assert (shop.add.s(1, 1) | later).delay().get(timeout=10) == text


def test_a_compressed_message_that_is_told_of_a_failure_fails_as_any_other(
    shop: SimpleNamespace,
) -> None:
    body = shop.same.si("x" * 50_000).set(compression="zlib")
    canvas = chord([shop.boom.s(), shop.add.s(1, 1)], body)
    canvas.link_error(shop.errback.s())
    result = canvas.delay()

    with pytest.raises(ChordError, match=r"ValueError\('boom'\)"):
        result.get(timeout=10)
    assert [call[1] for call in shop.calls if call[0] == result.id] == ["ChordError"]

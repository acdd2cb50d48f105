"""Frames survive being cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.messages import Outgoing
from windlass.runtime import wire
from windlass.runtime.outcome import Buried, Finished, Retried, Returned, Unknown

AGAIN = Outgoing(id="a", queue="q", tail=b"tail", delay_ms=5)
OUTCOMES = [
    Finished("SUCCESS"),
    Finished("SUCCESS", b"result"),
    Finished("SUCCESS", b"result", (AGAIN,)),
    Finished("FAILURE", b"error"),
    Finished("IGNORED"),
    Retried(AGAIN, b"retry"),
    Returned(counted=False),
    Buried("undecodable", "why", b"result"),
    Unknown("some.task"),
]
handed = st.builds(
    wire.Handed,
    id=st.text(min_size=1, max_size=36),
    queue=st.text(min_size=1, max_size=20),
    token=st.integers(min_value=0, max_value=2**53),
    raw=st.binary(max_size=300),
    deliveries=st.integers(min_value=0, max_value=10),
    handbacks=st.integers(min_value=0, max_value=10),
    note=st.booleans(),
)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_outcome_comes_out_as_it_went_in(outcome):
    inbox = bytearray(wire.answer_frame(7, 1.5, outcome))
    ((kind, seq, duration_ms, payload),) = wire.take_answers(inbox)

    assert (seq, duration_ms) == (7, 1.5)
    assert wire.decode_answer(kind, payload) == outcome
    assert not inbox


@given(st.lists(st.sampled_from(OUTCOMES), max_size=8), st.integers(min_value=1, max_value=40))
def test_answers_survive_being_read_in_pieces(outcomes, size):
    stream = b"".join(wire.answer_frame(n, 0.5, each) for n, each in enumerate(outcomes))
    inbox, found = bytearray(), []
    for at in range(0, len(stream), size):
        inbox += stream[at : at + size]
        found += wire.take_answers(inbox)

    assert [wire.decode_answer(kind, payload) for kind, _, _, payload in found] == outcomes
    assert [seq for _, seq, _, _ in found] == list(range(len(outcomes)))


@given(st.lists(handed, max_size=5), st.integers(min_value=1, max_value=60))
def test_batches_survive_being_read_in_pieces(messages, size):
    batch = wire.Batch(3, 17, messages)
    stream = wire.batch_frame(batch) + wire.cancel_frame(9) + wire.stop_frame()
    inbox, found = bytearray(), []
    for at in range(0, len(stream), size):
        inbox += stream[at : at + size]
        found += list(wire.frames_to_slot(inbox))

    assert [kind for kind, _ in found] == [wire.BATCH, wire.CANCEL, wire.STOP]
    assert wire.decode_batch(found[0][1]) == batch
    assert wire.decode_cancel(found[1][1]) == 9


def test_common_outcomes_need_no_encoding():
    assert len(wire.answer_frame(1, 0.1, Finished("SUCCESS"))) == wire.HEADER_SIZE
    assert wire.answer_frame(1, 0.1, Finished("SUCCESS", b"xy"))[-2:] == b"xy"

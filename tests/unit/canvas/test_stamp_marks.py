"""Which stamps are revoked: values, lists of values, and what is no stamp at all."""

from __future__ import annotations

import pytest

from windlass import Windlass
from windlass.contrib.testing.worker import start_worker
from windlass.errors import TaskRevokedError
from windlass.stamp_marks import Mark, StampMarks, marks_of


def signal_for(headers, stamps, signal=""):
    return StampMarks(1, marks_of(headers, signal)).signal_for(stamps, 0)


@pytest.mark.parametrize(
    ("headers", "stamps"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": [1, 2]}, {"a": 2}),
        ({"a": 2}, {"a": [1, 2]}),
        ({"a": (1, 2)}, {"a": [2, 3]}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": 9, "b": 1}, {"b": 1}),
    ],
)
def test_one_value_in_common_is_enough(headers, stamps):
    assert signal_for(headers, stamps) == ""


@pytest.mark.parametrize(
    ("headers", "stamps"),
    [({"a": 1}, {"a": "1"}), ({"a": 1}, {"b": 1}), ({"a": []}, {"a": []}), ({"a": 1}, None)],
)
def test_other_values_and_other_headers_are_left_alone(headers, stamps):
    assert signal_for(headers, stamps) is None


def test_mark_is_read_as_it_was_written():
    (mark,) = marks_of({"a": {"x": "é"}}, "SIGINT")

    assert Mark.decode(mark.encode(), 0) == mark


@pytest.mark.parametrize("headers", [{}, None, "customer", ["customer"], {"a": object()}])
def test_what_is_no_mapping_of_json_values_is_refused_in_the_caller(headers):
    app = Windlass("shop", broker="memory://", set_as_current=False)

    with pytest.raises(TypeError, match=r"(?i)stamped header"):
        app.control.revoke_by_stamped_headers(headers)


def test_stamped_messages_are_revoked_when_a_worker_meets_them():
    app = Windlass("shop", broker="memory://", backend="memory://", set_as_current=False)
    ran = []
    task = app.task(ran.append, name="note")
    before = task.apply_async(("before",), stamps={"customer": "c1"})
    other = task.apply_async(("other",), stamps={"customer": "c2"})
    app.control.revoke_by_stamped_headers({"customer": "c1"})
    with start_worker(app):
        other.get(timeout=10)
        with pytest.raises(TaskRevokedError):
            before.get(timeout=10)
        other.revoke_by_stamped_headers({"customer": ["c2"]})
        after = task.apply_async(("after",), stamps={"customer": "c2"})
        with pytest.raises(TaskRevokedError):
            after.get(timeout=10)

    assert ran == ["other"]

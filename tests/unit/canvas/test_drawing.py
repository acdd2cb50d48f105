"""Pictures of workflows: `windlass graph` and `windlass.canvas.drawing`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from windlass import Windlass, chord, group
from windlass.canvas.drawing import Drawing
from windlass.cli.main import main


@pytest.fixture
def still() -> SimpleNamespace:
    """An app without a worker."""
    app = Windlass("still", broker="memory://still", backend="memory://still", set_as_current=False)
    return SimpleNamespace(app=app, task=app.task(lambda *args: None, name="work"))


def test_what_waits_for_what(still: SimpleNamespace) -> None:
    task = still.task
    result = (task.s() | group(task.s(), task.s()) | task.s()).delay()
    first, left, right, last = Drawing.of(result).nodes

    assert [node.state for node in (first, left, last)] == ["PENDING", "WAITING", "WAITING"]
    assert left.note == f"waits for 1 of 1: {first.id}"
    assert last.note == f"waits for 2 of 2: {left.id}, {right.id}"
    assert last.after == (left.id, right.id)


def test_what_failed_and_why(shop: SimpleNamespace) -> None:
    result = chord([shop.add.s(1, 1), shop.boom.s()], shop.total.s()).delay()
    result.get(timeout=10, propagate=False)
    text = Drawing.of(result.id, shop.app).text()

    lines = text.splitlines()
    assert [line.split()[1] for line in lines] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert lines[0].startswith("  ")
    assert "ValueError('boom')" in lines[1]
    assert "ChordError" in lines[2]


def test_pictures_have_the_edges(still: SimpleNamespace) -> None:
    result = (still.task.s() | still.task.s()).delay()
    drawing = Drawing.of(result)

    assert f'"{result.parent.id}" -> "{result.id}";' in drawing.dot()
    assert "n0 --> n1" in drawing.mermaid()
    assert 'n1["work<br/>WAITING"]' in drawing.mermaid()


@pytest.mark.parametrize(
    ("form", "expected"), [("text", "WAITING"), ("dot", "digraph"), ("mermaid", "flowchart")]
)
def test_command_draws_by_id(
    still: SimpleNamespace, capsys: pytest.CaptureFixture[str], form: str, expected: str
) -> None:
    result = (still.task.s() | still.task.s()).delay()

    assert main(["graph", result.id, "--format", form], app=still.app) == 0
    assert expected in capsys.readouterr().out


def test_group_is_drawn_once_it_was_saved(shop: SimpleNamespace) -> None:
    result = group(shop.add.s(1, 1), shop.add.s(2, 2)).delay()
    result.get(timeout=10)
    result.save()

    nodes = Drawing.of(result.id, shop.app).nodes
    assert [node.id for node in nodes] == result.as_list()


def test_unknown_id_is_a_task_of_which_nothing_is_known(still: SimpleNamespace) -> None:
    (node,) = Drawing.of("nobody", still.app).nodes

    assert (node.label, node.state) == ("nobody", "PENDING")


def test_large_groups_are_drawn_in_part(still: SimpleNamespace) -> None:
    result = chord([still.task.s() for _ in range(250)], still.task.s()).delay()
    drawing = Drawing.of(result)

    assert len(drawing.nodes) == 202
    assert "and 50 more tasks" in drawing.text()

"""Enums, dataclasses and models travel as plain data, and are built anew by annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel

from recording_broker import body_of, broker_of, make_executor, recording_app, request_for
from windlass import Task, Windlass
from windlass.annotated_values import coder_of
from windlass.errors import EncodeError
from windlass.results import codec
from windlass.runtime.outcome import Finished

if TYPE_CHECKING:
    from somewhere_else import Unknown


class Colour(Enum):
    RED = "red"
    BLUE = 7


class Level(IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Item:
    name: str
    price: Decimal = Decimal(1)
    colour: Colour = Colour.RED
    due: date | None = None
    parts: list[Item] = field(default_factory=list)


class Note(BaseModel):
    text: str
    level: Level = Level.LOW


SEEN: list[Any] = []
ITEM = Item("chair", Decimal("2.50"), Colour.BLUE, date(2026, 11, 24), [Item("leg")])


@pytest.fixture
def app() -> Windlass:
    SEEN.clear()
    return recording_app(accept_content=["json", "msgpack"])


def run(app: Windlass, task: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
    task.delay(*args, **kwargs)
    outcome = make_executor(app).execute(request_for(broker_of(app).sent[-1]))
    assert isinstance(outcome, Finished)
    return codec.decode_meta("", outcome.result or b"", {"json", "msgpack"}).result


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_instances_of_named_classes_arrive_as_they_went(app: Windlass, serializer: str) -> None:
    @app.task(serializer=serializer)
    def see(
        item: Item,
        colours: list[Colour],
        by_name: Mapping[str, Item | None],
        note: Note | None = None,
        *more: Level,
        **named: Annotated[Note, "a note"],
    ) -> None:
        SEEN.append((item, colours, by_name, note, more, named))

    given = (
        ITEM, [Colour.RED, Colour.BLUE], {"a": ITEM, "b": None}, Note(text="x"), Level.LOW,
    )  # fmt: skip
    assert run(app, see, *given, last=Note(text="y")) is None

    assert [
        (ITEM, [Colour.RED, Colour.BLUE], {"a": ITEM, "b": None}, Note(text="x"), (Level.LOW,),
         {"last": Note(text="y")})
    ] == SEEN  # fmt: skip
    assert type(SEEN[0][4][0]) is Level


def test_message_holds_plain_data_and_names_no_class(app: Windlass) -> None:
    @app.task
    def see(item: Item, note: Note) -> None:
        SEEN.append((item, note))

    see.delay(Item("chair"), note=Note(text="x"))
    args, kwargs, _ = body_of(broker_of(app).sent[-1])

    plain = {"name": "chair", "price": Decimal(1), "colour": "red", "due": None, "parts": []}
    assert args == [plain]
    assert kwargs == {"note": {"text": "x", "level": 1}}
    assert run(app, see, {"name": "chair"}, {"text": "x"}) is None  # from another language, say
    assert [(Item("chair"), Note(text="x"))] == SEEN


def test_value_that_does_not_fit_stays_what_came(app: Windlass) -> None:
    @app.task
    def see(item: Item, colour: Colour = Colour.RED) -> None:
        SEEN.append((item, colour))

    run(app, see, {"price": "none"}, "green")
    assert SEEN == [({"price": "none"}, "green")]


def test_results_of_named_classes_are_plain_data(app: Windlass) -> None:
    @app.task
    def make() -> list[Item | Note]:
        return [Item("chair"), Note(text="x")]

    assert run(app, make) == [
        {"name": "chair", "price": Decimal(1), "colour": "red", "due": None, "parts": []},
        {"text": "x", "level": 1},
    ]


def test_class_that_no_annotation_names_is_refused_in_the_caller(app: Windlass) -> None:
    @app.task
    def see(item: Any, colour: Colour) -> None: ...

    with pytest.raises(EncodeError, match=r"args\[0\] is of type .*Item"):
        see.delay(ITEM, Colour.RED)


def test_bound_task_and_eager_run_convert_too(app: Windlass) -> None:
    @app.task(bind=True)
    def see(self: Any, item: Item) -> str:
        SEEN.append(item)
        return item.name

    assert see.apply((ITEM,)).get() == "chair"
    assert run(app, see, ITEM) == "chair"
    assert [ITEM, ITEM] == SEEN


def test_tasks_without_such_annotations_pay_nothing() -> None:
    def plain(a: int, b: list[str] | None = None, *c: Any, **d: dict[str, float]) -> None: ...
    def bare(a, b): ...
    def unresolvable(a: Unknown, b: Item) -> None: ...

    assert coder_of(plain) is None
    assert coder_of(bare) is None
    assert coder_of(unresolvable) is None
    assert coder_of(lambda: None) is None

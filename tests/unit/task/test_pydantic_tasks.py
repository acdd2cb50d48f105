"""pydantic=True: models in code, plain data on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from recording_broker import body_of, broker_of, make_executor, recording_app, request_for
from windlass import Task, Windlass
from windlass.results import codec
from windlass.runtime.outcome import Finished


class Item(BaseModel):
    name: str
    price: float = 1.0


@pytest.fixture
def app() -> Windlass:
    return recording_app()


def run(app: Windlass, task: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Send the task, run its message, and return its value or raise its exception."""
    task.delay(*args, **kwargs)
    outcome = make_executor(app).execute(request_for(broker_of(app).sent[-1]))
    assert isinstance(outcome, Finished)
    meta = codec.decode_meta("", outcome.result or b"", {"json"})
    if isinstance(meta.result, Exception):
        raise meta.result
    return meta.result


def test_models_go_as_data_and_come_back_as_models(app: Windlass) -> None:
    @app.task(pydantic=True)
    def total(items: list[Item], extra: Item, *, factor: int = 1) -> Item:
        assert all(isinstance(item, Item) for item in [*items, extra])
        return Item(name="sum", price=sum(i.price for i in [*items, extra]) * factor)

    value = run(app, total, [Item(name="a", price=2)], {"name": "b"}, factor=2)

    assert body_of(broker_of(app).sent[-1])[0] == [
        [{"name": "a", "price": 2.0}],
        {"name": "b"},
    ]
    assert value == {"name": "sum", "price": 6.0}


def test_arguments_are_converted_by_their_annotations(app: Windlass) -> None:
    @app.task(pydantic=True, bind=True)
    def kinds(self: Any, number: int, *rest: float, **named: int) -> Any:
        return [number, list(rest), named]

    assert run(app, kinds, "5", "1.5", a="7") == [5, [1.5], {"a": 7}]


def test_strict_tasks_do_not_convert(app: Windlass) -> None:
    task = app.task(pydantic=True, pydantic_strict=True)(_number)

    assert run(app, task, 5) == 5
    with pytest.raises(Exception, match=r"(?s)number.*valid integer"):
        run(app, task, "5")


def test_value_that_does_not_fit_is_the_tasks_failure(app: Windlass) -> None:
    @app.task(pydantic=True)
    def buy(item: Item) -> None: ...

    buy.delay({"price": 1})
    outcome = make_executor(app).execute(request_for(broker_of(app).sent[-1]))

    assert isinstance(outcome, Finished)
    meta = codec.decode_meta("", outcome.result or b"", {"json"})
    assert (meta.status, type(meta.result).__name__) == ("FAILURE", "ValueError")
    assert "Field required" in (meta.traceback or "")


def test_models_in_containers_of_the_result_are_dumped(app: Windlass) -> None:
    task = app.task(pydantic=True, pydantic_dump_kwargs={"exclude": {"price"}})(_items)

    assert run(app, task, 1) == [{"name": "0", "price": 1.0}]
    one = app.task(name="one", pydantic=True, pydantic_dump_kwargs={"exclude": {"price"}})(_item)
    assert run(app, one) == {"name": "x"}


def test_eager_runs_convert_too(app: Windlass) -> None:
    task = app.task(pydantic=True)(_number)

    assert task.apply(("5",)).get() == 5
    with pytest.raises(ValueError, match="'number' does not fit"):
        task.apply(("five",)).get()


def _number(number: int) -> int:
    return number


def _items(count: int) -> list[Item]:
    return [Item(name=str(n)) for n in range(count)]


def _item() -> Item:
    return Item(name="x")

"""Options of a task: what the decorator takes, and what bad ones get (semantics 9, 10, 22)."""

from __future__ import annotations

import inspect
import pickle  # noqa: TID251 - a copy of our own, nothing from the wire
from typing import Any

import pytest

from recording_broker import broker_of, opened, recording_app
from windlass import Task, Windlass
from windlass.errors import ConfigurationError, InvalidQueueName
from windlass.rate_limits import parse_rate


@pytest.fixture
def app() -> Windlass:
    return recording_app()


def work(x: int, *, y: int = 1) -> int:
    """Work."""
    return x + y


def test_defaults_are_celerys(app: Windlass) -> None:
    task = app.task(work)

    assert (
        task.max_retries,
        task.default_retry_delay,
        task.retry_backoff_max,
        task.retry_jitter,
    ) == (3, 180, 600, True)
    assert (
        task.ignore_result,
        task.acks_late,
        task.typing,
        task.autoretry_for,
    ) == (None, None, True, ())


def test_decorated_function_keeps_its_face(app: Windlass) -> None:
    task = app.task(work)

    assert (work.__name__, "Work.", work.__module__) == (
        task.__name__,  # type: ignore[attr-defined]
        task.__doc__,
        task.__module__,
    )
    assert inspect.signature(task) == inspect.signature(work)
    assert f"<@task: {task.name}>" == repr(task)


def test_bound_task_hides_self_from_callers(app: Windlass) -> None:
    task = app.task(bind=True)(lambda self, x: (self, x))

    assert list(inspect.signature(task).parameters) == ["x"]
    assert (task, 1) == task(1)


def test_bind_passes_the_one_instance_whose_attributes_are_shared(app: Windlass) -> None:
    @app.task(bind=True)
    def count(self: Any) -> int:
        self.total = getattr(self, "total", 0) + 1
        return self.total

    assert (count(), count.apply().get(), count.total) == (1, 2, 2)  # type: ignore[attr-defined]


def test_automatic_name_is_module_and_function(app: Windlass) -> None:
    assert f"{__name__}.work" == app.task(work).name
    assert app.task(name="mine")(work).name == "mine"


def test_base_class_brings_options_and_attributes(app: Windlass) -> None:
    class Database(Task[..., Any]):
        max_retries = 7
        dsn = "unset"

    task = app.task(base=Database, dsn="db1", queue="q")(work)

    assert (Database, 7, "db1", "q") == (
        type(task),
        task.max_retries,
        task.dsn,  # type: ignore[attr-defined]
        task.queue,
    )
    assert Database.dsn == "unset"


def test_class_form_is_registered_under_module_and_class(app: Windlass) -> None:
    class Adder(Task[..., Any]):
        max_retries = 1

        def run(self, x: int, y: int) -> int:
            return x + y

    task = app.register_task(Adder)

    assert task is app.tasks[task.name]
    assert task.name.endswith("Adder")
    assert task.apply((1, 2)).get() == 3
    with pytest.raises(TypeError, match="cannot be called so"):
        task.delay(1)


def test_task_without_run_says_so(app: Windlass) -> None:
    with pytest.raises(TypeError, match=r"'empty' defines no run\(\)"):
        app.register_task(Task, name="empty")()


def test_unknown_option_names_the_nearest(app: Windlass) -> None:
    with pytest.raises(TypeError, match=r"'max_retry'.*Did you mean 'max_retries'\?"):
        app.task(max_retry=3)(work)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rate_limit", "10 per second"),
        ("priority", 11),
        ("queue", "no spaces"),
        ("serializer", "yaml"),
        ("time_limit", "5"),
        ("soft_time_limit", True),
    ],
)
def test_ill_typed_option_is_an_error_that_names_it(
    app: Windlass, option: str, value: object
) -> None:
    with pytest.raises((ConfigurationError, InvalidQueueName), match=f"(?i){option}"):
        app.task(**{option: value})(work)


@pytest.mark.parametrize("option", ["exchange", "routing_key"])
def test_option_that_would_be_lost_is_refused(app: Windlass, option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        app.task(**{option: "x"})(work)


def test_setting_names_are_taken_for_the_options_with_a_warning(app: Windlass) -> None:
    with pytest.warns(DeprecationWarning, match="'time_limit'"):
        task = app.task(task_time_limit=5)(work)

    assert task.time_limit == 5


def test_option_changed_later_counts_for_the_next_call(app: Windlass) -> None:
    task = app.task(work)
    task.delay(1)
    task.queue = "later"
    task.priority = 4
    task.delay(1)

    assert [(sent.queue, sent.priority) for sent in broker_of(app).sent] == [
        ("default", 0),
        ("later", 4),
    ]


def test_run_changed_later_is_what_is_checked_and_run(app: Windlass) -> None:
    task = app.task(work)
    task.delay(1)
    task.run = lambda a, b: a * b  # type: ignore[method-assign]

    assert task.apply((3, 4)).get() == 12
    with pytest.raises(TypeError):
        task.delay(1)


def test_setting_changed_later_counts_for_the_next_call() -> None:
    app = recording_app()
    task = app.task(work)
    assert task.delay(1).ignored is False
    app.conf.task_always_eager = True

    assert task.delay(1).get() == 2
    assert len(broker_of(app).sent) == 1


def test_shadow_name_names_each_call(app: Windlass) -> None:
    class Named(Task[..., Any]):
        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return f"work-{args[0]}"

    task = app.task(base=Named)(work)
    task.delay(1)
    task.delay(2)

    assert [opened(sent).headers.shadow for sent in broker_of(app).sent] == ["work-1", "work-2"]


def test_task_pickles_by_name(app: Windlass) -> None:
    task = app.task(name="pickled")(work)
    app.set_current()

    assert pickle.loads(pickle.dumps(task)) is task


@pytest.mark.parametrize(
    ("limit", "per_second"),
    [
        ("10/s", 10),
        ("90/m", 1.5),
        ("36/h", 0.01),
        ("7", 7),
        (5, 5),
        ("0.5/s", 0.5),
        (" 6 / m ", 0.1),
        (None, None),
        (0, None),
        ("0/s", None),
        ("", None),
    ],
)
def test_rate_limit_is_tasks_a_second(limit: Any, per_second: float | None) -> None:
    assert parse_rate(limit) == per_second


@pytest.mark.parametrize("limit", ["10/d", "fast", "-1/s", True, "1/s/s", "/s", "nan"])
def test_rate_limit_that_cannot_be_read_is_an_error(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"10/s"):
        parse_rate(limit)

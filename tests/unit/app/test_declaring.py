"""Tasks of an app: names, the registry, classes, shared tasks (statements 9 and 10)."""

from __future__ import annotations

import importlib
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

import windlass
from windlass import Task, Windlass, shared_task
from windlass.errors import AlreadyRegistered, ConfigurationError, NotRegistered

WriteModules = Callable[[dict[str, str]], None]


def test_celery_is_another_name_of_the_app() -> None:
    assert windlass.Celery is Windlass


def test_task_is_named_after_module_and_function() -> None:
    app = Windlass("proj")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="custom.name")
    def named() -> None: ...

    assert add.name == f"{__name__}.add"
    assert named.name == "custom.name"
    assert app.tasks == {f"{__name__}.add": add, "custom.name": named}


def test_decorator_works_with_and_without_parentheses_and_as_a_call() -> None:
    app = Windlass()

    def plain(x: int) -> int:
        return x

    assert app.task(plain)(1) == 1
    assert app.task()(plain)(2) == 2
    assert app.task(plain, name="other")(3) == 3
    assert app.task(max_retries=7)(plain).max_retries == 7


def test_task_of_a_script_is_named_after_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker imports the script as a module, and must find the same name."""

    def add() -> None: ...

    add.__module__ = "__main__"
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))

    assert Windlass("tasks").task(add).name == "tasks.add"
    assert Windlass().task(add).name == "__main__.add"


def test_task_of_python_m_is_named_after_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    def add() -> None: ...

    add.__module__ = "__main__"
    main = types.ModuleType("__main__")
    main.__spec__ = importlib.machinery.ModuleSpec("shop.tasks", None)
    monkeypatch.setitem(sys.modules, "__main__", main)

    assert Windlass("other").task(add).name == "shop.tasks.add"


def test_an_app_may_have_its_own_rule_for_names() -> None:
    class Short(Windlass):
        def gen_task_name(self, name: str, module: str) -> str:
            return f"short.{name}"

    app = Short()

    @app.task
    def add() -> None: ...

    @shared_task
    def shared() -> None: ...

    assert set(app.tasks) == {"short.add", "short.shared"}


def test_bound_task_is_one_instance_per_app() -> None:
    app = Windlass()

    @app.task(bind=True)
    def who(self: Task[..., Any]) -> object:
        return self

    assert who() is who
    assert app.tasks[who.name] is who


def test_two_functions_of_one_name_are_an_error_and_a_reload_is_not(
    write_modules: WriteModules,
) -> None:
    write_modules({"reloaded.py": "from app_of_reload import app\n@app.task\ndef add(): return 1"})
    write_modules({"app_of_reload.py": "from windlass import Windlass\napp = Windlass()"})
    reloaded = importlib.import_module("reloaded")
    app, first = reloaded.app, reloaded.add

    importlib.reload(reloaded)

    assert app.tasks["reloaded.add"] is reloaded.add is not first
    with pytest.raises(
        AlreadyRegistered,
        match=r"'reloaded.add' is taken by reloaded\.add and cannot mean .*<locals>\.other",
    ):

        @app.task(name="reloaded.add")
        def other() -> None: ...


def test_unknown_name_is_an_error_with_the_nearest_one() -> None:
    app = Windlass()

    @app.task(name="shop.charge")
    def charge() -> None: ...

    with pytest.raises(NotRegistered, match=r"'shop.chrage' is not registered.*'shop.charge'\?"):
        _ = app.tasks["shop.chrage"]
    with pytest.raises(KeyError):
        _ = app.tasks["x"]
    with pytest.raises(NotRegistered):
        app.tasks.unregister("x")
    app.tasks.unregister(charge)
    assert app.tasks.regular() == {}


def test_class_task_is_registered_as_class_or_as_instance() -> None:
    app = Windlass()

    class Add(Task[..., int]):
        def run(self, x: int, y: int) -> int:
            return x + y

    class Named(Task[..., None]):
        name = "custom"

        def run(self) -> None: ...

    add = app.register_task(Add())
    named = app.register_task(Named, queue="bulk")

    assert add.name == f"{__name__}.Add"
    assert add(1, 2) == 3
    assert (named.name, named.queue, named.app) == ("custom", "bulk", app)
    assert set(app.tasks) == {add.name, "custom"}


def test_base_class_of_app_and_of_task() -> None:
    class Base(Task[..., Any]):
        max_retries = 9

    class Other(Task[..., Any]): ...

    app = Windlass(task_cls=Base)

    assert app.Task is Base
    assert app.task(lambda: None, name="a").max_retries == 9
    assert type(app.task(lambda: None, name="b", base=Other)) is Other
    assert Windlass(task_cls="windlass.task:Task").Task is Task
    with pytest.raises(
        TypeError, match=r"task_cls is 'windlass.app:Windlass'; expected a subclass"
    ):
        Windlass(task_cls="windlass.app:Windlass")


def test_shared_task_belongs_to_every_app_and_is_called_through_the_current_one() -> None:
    @shared_task(queue="bulk")
    def add(x: int, y: int) -> int:
        return x + y

    first, second = Windlass("first"), Windlass("second")

    assert add(1, 2) == 3
    assert add.app is second
    assert [app.tasks[add.name].app for app in (first, second)] == [first, second]
    assert first.tasks[add.name].queue == "bulk"
    first.set_current()
    assert add.app is first


def test_shared_task_declared_after_the_app_was_used_is_found() -> None:
    app = Windlass()
    assert app.tasks == {}

    @shared_task(name="late")
    def late() -> None: ...

    assert "late" in app.tasks


def test_task_of_one_app_is_shared_on_request_only() -> None:
    first, second = Windlass("first"), Windlass("second")

    @first.task(name="own")
    def own() -> None: ...

    @first.task(name="common", shared=True)
    def common() -> None: ...

    assert set(first.tasks) == {"own", "common"}
    assert set(second.tasks) == {"common"}
    assert first.tasks["common"] is common
    assert second.tasks["common"].app is second


def test_own_task_goes_before_a_shared_one_of_its_name() -> None:
    app = Windlass()

    @app.task(name="report")
    def own() -> str:
        return "own"

    @shared_task(name="report")
    def library() -> str:
        return "library"

    assert app.tasks["report"]() == "own"


def test_shared_task_without_any_app_runs_inline_and_says_why_it_cannot_be_sent() -> None:
    @shared_task
    def add(x: int) -> int:
        return x

    assert add(1) == 1
    with pytest.raises(ConfigurationError, match=r"no app yet.*Windlass\('proj'"):
        add.delay(1)


def test_newest_app_is_current_in_every_thread_that_chose_none() -> None:
    first = Windlass("first")
    second = Windlass("second")
    Windlass("hidden", set_as_current=False)

    assert windlass.current_app() is second
    assert in_thread(windlass.current_app) is second

    first.set_default()
    assert windlass.current_app() is second
    assert in_thread(windlass.current_app) is first

    first.set_current()
    assert windlass.current_app() is first


def in_thread(call: Callable[[], object]) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_current_task_is_the_one_that_runs() -> None:
    app = Windlass()
    seen: list[object] = []

    @app.task
    def look() -> None:
        seen.extend([app.current_task, windlass.get_current_task()])

    look()

    assert seen == [look, look]
    assert app.current_task is None

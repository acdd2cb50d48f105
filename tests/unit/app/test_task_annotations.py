"""The setting task_annotations changes options of tasks, as in Celery."""

from __future__ import annotations

from typing import Any

import pytest

from recording_broker import broker_of, make_executor, opened, recording_app, request_for
from windlass import Windlass
from windlass.errors import ConfigurationError

CALLS: list[str] = []


def on_failure(self: Any, exc: BaseException, *_: Any) -> None:
    CALLS.append(f"{self.name}: {exc!r}")


class ByName:
    def annotate(self, task: Any) -> dict[str, Any] | None:
        return {"priority": 7} if task.name.startswith("shop.") else None


def app_with(annotations: Any) -> Windlass:
    app = recording_app(task_annotations=annotations)
    for name in ("shop.mail", "other"):
        app.task(name=name, rate_limit="1/s")(lambda: None)
    return app


def test_named_annotation_wins_over_star_and_both_over_the_decorator() -> None:
    app = app_with(
        {"*": {"rate_limit": "5/s", "time_limit": 9}, "shop.mail": {"rate_limit": "2/m"}}
    )
    app.finalize()

    assert (app.tasks["shop.mail"].rate_limit, app.tasks["shop.mail"].time_limit) == ("2/m", 9)
    assert (app.tasks["other"].rate_limit, app.tasks["other"].time_limit) == ("5/s", 9)
    late = app.task(name="late")(lambda: None)
    assert late.rate_limit == "5/s"


def test_client_that_never_finalises_sends_by_them() -> None:
    app = app_with([ByName(), {"other": {"queue": "slow"}}])
    app.tasks["shop.mail"].delay()
    app.tasks["other"].delay()

    mail, other = map(opened, broker_of(app).sent)
    assert (mail.priority, mail.queue) == (7, "default")
    assert (other.priority, other.queue) == (0, "slow")


def test_hooks_may_be_annotated_and_objects_named_by_path() -> None:
    app = recording_app(task_annotations={"*": {"on_failure": on_failure}})

    @app.task(name="fails")
    def fails() -> None:
        raise ValueError(1)

    app.finalize()
    fails.delay()
    make_executor(app).execute(request_for(broker_of(app).sent[-1]))
    assert CALLS == ["fails: ValueError(1)"]

    by_path = app_with("windlass.settings.local_time:LocalTime")
    with pytest.raises(ConfigurationError, match=r"Expected a mapping .* or an object"):
        by_path.finalize()


def test_wrong_option_names_setting_and_task() -> None:
    app = app_with({"other": {"rate_limt": "1/s"}})
    with pytest.raises(ConfigurationError, match=r"'other': 'rate_limt' .*Did you mean"):
        app.finalize()

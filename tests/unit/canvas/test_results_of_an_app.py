"""`app.ResultSet` and `app.GroupResult`: classes under Celery's names, with the app as default."""

from __future__ import annotations

import copy

import pytest

from windlass import Windlass
from windlass.result import GroupResult, ResultSet


@pytest.fixture
def app():
    return Windlass("shop", broker="memory://", backend="memory://", set_as_current=False)


def test_they_are_classes_of_results_that_belong_to_the_app(app):
    assert app.ResultSet is app.ResultSet
    assert issubclass(app.ResultSet, ResultSet)
    assert issubclass(app.GroupResult, GroupResult)
    assert app.ResultSet([]).app is app
    assert app.GroupResult("g", []).app is app


def test_another_app_may_be_named(app):
    other = Windlass("other", broker="memory://", set_as_current=False)

    assert app.ResultSet([], app=other).app is other
    assert app.GroupResult("g", [], app=other).app is other


def test_saved_group_is_restored_by_its_id_alone(app):
    members = [app.AsyncResult("a"), app.AsyncResult("b")]
    saved = app.GroupResult("g", members).save()

    found = app.GroupResult.restore("g")
    assert found == saved
    assert found.app is app
    assert app.GroupResult.restore("unknown") is None


def test_group_result_of_an_app_is_copied_and_pickled_as_any_other(app):
    copied = copy.copy(app.GroupResult("g", []))

    assert type(copied) is GroupResult
    assert copied == app.GroupResult("g", [])

"""inspect and control on the in-memory broker, with the worker inside the test."""

from __future__ import annotations

import threading

import pytest

from windlass import Windlass
from windlass.contrib.testing.worker import start_worker
from windlass.errors import ConfigurationError
from windlass.remote_calls import MAX_REQUEST_BYTES, Request

NODE = "test-worker@localhost"


@pytest.fixture
def app():
    with Windlass("memory", broker="memory://", backend="memory://", set_as_current=False) as made:
        yield made


def test_worker_of_a_test_is_inspected_while_its_task_runs(app):
    began, go = threading.Event(), threading.Event()

    @app.task
    def hold(name):
        began.set()
        assert go.wait(20)
        return name

    with start_worker(app):
        result = hold.delay("a")
        assert began.wait(20)
        ask = app.control.inspect()
        (active,) = ask.active()[NODE]
        assert (active["id"], active["args"]) == (result.id, ["a"])
        assert ask.ping() == {NODE: {"ok": "pong"}}
        assert ask.conf()[NODE]["broker_url"] == "memory://"
        assert app.control.add_consumer("more", reply=True) == [{NODE: {"ok": "add consumer more"}}]
        (answer,) = app.control.time_limit(hold.name, hard=1, reply=True)
        assert "solo cannot honour" in answer[NODE]["error"]
        go.set()
        assert hold.apply_async(["b"], queue="more").get(timeout=10) == "b"
    assert app.control.inspect(timeout=30).ping() is None


def test_shut_down_worker_of_a_test_ends(app):
    with start_worker(app) as worker:
        app.control.shutdown()
        worker._thread.join(20)
        assert not worker.is_alive


def test_arguments_have_to_be_plain_data_and_few():
    with pytest.raises(ConfigurationError, match="no plain data"):
        Request(command="ping", arguments={"x": object()}).message("me")
    with pytest.raises(ConfigurationError, match="Send them in parts"):
        Request(command="query_task", arguments={"ids": ["x" * MAX_REQUEST_BYTES]}).message("me")
    with pytest.raises(ConfigurationError, match="'glob' or 'pcre'"):
        Request(command="ping", pattern="*", matcher="regex").message("me")


def test_unknown_option_of_a_broadcast_is_an_error(app):
    with pytest.raises(TypeError, match="wait"):
        app.control.broadcast("ping", wait=3)

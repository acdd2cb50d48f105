"""Log lines: what they say, in which form, and what never leaves."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator

import pytest

from windlass import events
from windlass.log import Event, StructuredHandler, configure, get_logger, scrub


@pytest.fixture
def lines() -> Iterator[Callable[..., io.StringIO]]:
    """Configure logging into a buffer; root's own handlers and level come back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("windlass")
    before = root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate

    def into_buffer(**options) -> io.StringIO:
        stream = io.StringIO()
        configure("DEBUG", stream=stream, **options)
        return stream

    yield into_buffer
    root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate = before
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_each_record_is_one_json_object(lines) -> None:
    stream = lines()
    get_logger("windlass.x").info(events.SLOT_STARTED, slot=3, queues=["a", "b"])

    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry.pop("pid") > 0
    assert entry == {
        "event": "slot_started",
        "level": "info",
        "logger": "windlass.x",
        "slot": 3,
        "queues": ["a", "b"],
    }


def test_on_a_terminal_a_record_is_a_line_for_people(lines, monkeypatch) -> None:
    monkeypatch.delenv("WINDLASS_LOG_STYLE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure("DEBUG", stream=terminal)
    get_logger("windlass.x").warning(events.SLOT_LOST, slot=3, reason="signal 9 (SIGKILL)")

    assert terminal.getvalue().endswith("WARNING slot_lost  slot=3 reason='signal 9 (SIGKILL)'\n")
    lines()


def test_environment_chooses_the_style(lines, monkeypatch) -> None:
    monkeypatch.setenv("WINDLASS_LOG_STYLE", "human")
    stream = lines()
    get_logger("windlass.x").info(events.WORKER_STARTED)

    assert stream.getvalue().endswith("INFO    worker_started\n")


def test_records_of_other_libraries_take_the_same_form(lines) -> None:
    stream = lines(style="json")
    logging.getLogger("kopf.reactor").warning("hello %s", "there")

    assert json.loads(stream.getvalue())["event"] == "hello there"


def test_records_of_a_task_carry_its_name_and_id(lines) -> None:
    stream = lines(style="json", task_context=lambda: ("shop.pay", "id-1"))
    logging.getLogger("anything").info("charging")

    entry = json.loads(stream.getvalue())
    assert (entry["task"], entry["message_id"]) == ("shop.pay", "id-1")


@pytest.mark.parametrize(
    ("context", "expected"),
    [(("shop.pay", "id-1"), "INFO|shop.pay|id-1|charging\n"), (None, "INFO|???|???|charging\n")],
    ids=["in a task", "outside a task"],
)
def test_a_format_of_the_users_own_may_name_the_task(lines, context, expected: str) -> None:
    stream = lines(
        format="%(levelname)s|%(task_name)s|%(task_id)s|%(message)s", task_context=lambda: context
    )
    logging.getLogger("anything").info("charging")

    assert stream.getvalue() == expected


def test_exception_comes_with_its_traceback_in_both_styles(lines) -> None:
    for style in ("json", "human"):
        stream = lines(style=style)
        try:
            raise ValueError("no good")
        except ValueError:
            get_logger("windlass.x").exception(events.TASK_FAILED, task_id="id-1")

        assert "Traceback" in stream.getvalue()
        assert "ValueError: no good" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("at rediss://me:p@ss/w:rd@host/1, retrying", "at rediss://me:***@host/1, retrying"),
        ("unix:///run/r.sock?password=s3cret&db=1", "unix:///run/r.sock?password=***&db=1"),
        ("redis://host:6379/0 is fine", "redis://host:6379/0 is fine"),
        ("redis://:s3cret@a and redis://:s3cret@b", "redis://:***@a and redis://:***@b"),
        ("no address, mail me@example.org", "no address, mail me@example.org"),
    ],
)
def test_passwords_of_addresses_are_replaced(text: str, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize("style", ["json", "human"])
def test_no_password_leaves_in_fact_message_or_traceback(lines, style: str) -> None:
    stream = lines(style=style)
    url = "redis://:s3cret@host:6379/0"
    get_logger("windlass.x").info(events.BROKER_CONNECTED, url=url)
    logging.getLogger("redis").error("cannot reach %s", url)
    try:
        raise OSError(url)
    except OSError:
        logging.getLogger("redis").exception("failed")

    assert "s3cret" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 3


def test_no_password_leaves_through_another_librarys_formatter() -> None:
    assert "s3cret" not in str(Event(events.BROKER_CONNECTED, {"url": "redis://:s3cret@h/0"}))


def test_values_without_a_json_form_are_written_as_repr(lines) -> None:
    stream = lines(style="json")
    get_logger("windlass.x").info(events.TASK_FAILED, error=ValueError("x"), at={1j: 2})

    entry = json.loads(stream.getvalue())
    assert "ValueError('x')" in entry["error"]


def test_facts_are_not_touched_when_the_level_is_off(lines) -> None:
    lines()
    logging.getLogger().setLevel("ERROR")
    log = get_logger("windlass.x")
    log.debug(events.TASK_SUCCEEDED, task=object())

    assert not log.is_on(logging.INFO)
    assert log.is_on(logging.ERROR)


def test_configuring_again_replaces_the_handler(lines) -> None:
    first, second = lines(), lines(style="json")
    get_logger("windlass.x").info(events.WORKER_STARTED)

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_root_is_left_alone_when_it_is_not_to_be_hijacked(lines) -> None:
    root = logging.getLogger()
    own = io.StringIO()
    root.addHandler(logging.StreamHandler(own))  # the application's
    handlers = root.handlers[:]
    stream = lines(hijack_root=False)
    get_logger("windlass.x").info(events.WORKER_STARTED)
    logging.getLogger("other").warning("elsewhere")

    assert root.handlers == handlers
    assert not any(isinstance(handler, StructuredHandler) for handler in root.handlers)
    assert len(stream.getvalue().splitlines()) == 1
    assert own.getvalue() == "elsewhere\n"


def test_warnings_are_logged(lines) -> None:
    stream = lines(style="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    assert "DeprecationWarning: old way" in json.loads(stream.getvalue().splitlines()[0])["event"]

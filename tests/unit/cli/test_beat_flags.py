"""How the command line of `windlass beat` is read."""

from __future__ import annotations

import click
import pytest

from windlass.cli.beat import beat
from windlass.cli.beat_flags import IGNORED, REFUSED
from windlass.cli.celery_flags import notices


@pytest.mark.parametrize("flag", IGNORED, ids=lambda flag: flag.names[-1])
def test_flag_without_a_meaning_is_accepted_and_named(flag) -> None:
    for name in flag.names:
        (sentence,) = notices(beat.make_context("beat", [name, *["1"] * flag.takes_value]))

        assert f"means nothing here: {flag.why}." in sentence


@pytest.mark.parametrize("flag", REFUSED, ids=lambda flag: flag.names[-1])
def test_flag_that_cannot_be_honoured_is_refused_with_what_to_do(flag) -> None:
    for name in flag.names:
        with pytest.raises(click.UsageError, match=r"is not supported: .*Expected"):
            beat.make_context("beat", [name, *["1"] * flag.takes_value])


def test_celerys_command_line_of_beat_is_read() -> None:
    line = ["-l", "info", "--max-interval", "5", "--pidfile", "p", "-s", "db", "-f", "log"]
    params = beat.make_context("beat", [*line, "-I", "a,b"]).params

    assert (params["loglevel"], params["max_interval"], params["pidfile"]) == ("INFO", 5.0, "p")
    assert params["include"] == ("a", "b")

"""What `--help` prints of every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from windlass.cli.main import cli


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli, ())), ids=lambda path: " ".join(path) or "-")
def test_help_is_laid_out_and_says_what_a_command_does(path: tuple[str, ...]) -> None:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found

    text = command.get_help(click.Context(command, info_name=" ".join(("windlass", *path))))

    assert "\\b" not in text  # click's mark for "do not join these lines", not understood
    assert command.help

"""docs/reference/cli.md names every command and every option."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from repository import ROOT
from windlass.cli.main import cli

PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text()


def commands(group: click.Group, path: str = "windlass") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("path", COMMANDS)
def test_command_is_on_the_page(path: str) -> None:
    assert f"`{path}" in PAGE


@pytest.mark.parametrize("path", COMMANDS)
def test_options_are_on_the_page(path: str) -> None:
    named = set(re.findall(r"`(--?[A-Za-z][\w-]*)", PAGE))
    missing = [
        option.opts
        for option in COMMANDS[path].params
        if isinstance(option, click.Option) and not set(option.opts) & named
    ]

    assert missing == []


@pytest.mark.parametrize("path", COMMANDS)
def test_command_and_its_options_explain_themselves(path: str) -> None:
    command = COMMANDS[path]
    unexplained = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]

    assert command.help
    assert unexplained in ([], ["limit"])


def test_flags_on_the_page_exist() -> None:
    known = {name for command in COMMANDS.values() for p in command.params for name in p.opts}
    known |= {
        name for command in COMMANDS.values() for p in command.params for name in p.secondary_opts
    }
    named = set(re.findall(r"`(--[a-z][\w-]*)", PAGE))

    assert named - known == set()

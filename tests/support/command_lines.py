"""The commands of the program, and whether it takes a command line, without running it."""

import contextlib
import io
from collections.abc import Iterator, Sequence

import click
import pytest

from serinus.cli.command import Command
from serinus.cli.main import cli


def commands(group: click.Group = cli, *words: str) -> Iterator[tuple[str, Command]]:
    """Yield every command below a group, with the words that call it."""
    context = click.Context(group)
    for word in group.list_commands(context):
        found = group.get_command(context, word)
        if isinstance(found, click.Group):
            yield from commands(found, *words, word)
        else:
            assert isinstance(found, Command), word
            yield " ".join((*words, word)), found


def command_of(words: Sequence[str]) -> click.Command:
    """Return the command that the first words name; the innermost group where they name none."""
    found: click.Command = cli
    for word in words:
        below = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
        if below is None:
            break
        found = below
    return found


def usage_error(words: Sequence[str]) -> str:
    """Return why the program does not take these words; empty where it does."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(Command, "invoke", lambda *_: 0)
        try:
            cli.main([*words], "serinus", standalone_mode=False)
        except click.ClickException as problem:
            return problem.format_message()
    return ""

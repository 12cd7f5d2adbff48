# ruff: noqa: INP001 - a script, in no package
"""Prints docs/reference/commands.md from the commands themselves: ``python tools/generate_commands.py``."""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

import click

from serinus.cli.command import Command
from serinus.cli.main import PROGRAM, cli

_HEAD = """# All commands

Generated from `operator/serinus/cli/` by `tools/generate_commands.py`: change the code, not this page. `make check`
compares the two. It says what `serinus COMMAND --help` says; `kubectl serinus COMMAND` is the same. What the commands
have in common, and what their exit statuses mean to a script, is in [the command line](command-line.md).
"""


def page() -> str:
    """Return the whole page."""
    return _HEAD + "".join(_sections(click.Context(cli, info_name=PROGRAM)))


def _sections(context: click.Context) -> Iterator[str]:
    group = context.command
    assert isinstance(group, click.Group)  # noqa: S101 - the caller's promise
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        inner = click.Context(command or group, info_name=word, parent=context)
        if isinstance(command, click.Group):
            yield from _sections(inner)
        elif isinstance(command, Command):
            yield _section(command, inner)


def _section(command: Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    # Those of its own: --help is everywhere.
    rows = [record for param in command.params if (record := param.get_help_record(context)) is not None]
    table = "".join(f"| `{_cell(name)}` | {_shown(text)} |\n" for name, text in rows)
    ends = "".join(f"- {status}: {meaning}\n" for status, meaning in sorted(command.statuses.items()))
    parameters = f"| Parameter | Meaning |\n|---|---|\n{table}\n" if table else ""
    return (
        f"\n## {context.command_path}\n\n```text\n{usage}\n```\n\n{command.help}\n\n{parameters}Exit status:\n\n{ends}"
    )


def _cell(text: str) -> str:
    """Return the text of a cell, which a bar would end."""
    return " ".join(text.split()).replace("|", "\\|")


def _shown(text: str) -> str:
    """Return a text that is not code: a placeholder in angle brackets would be taken for HTML."""
    return _cell(text).replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())

"""Entry point of the command line; each verb is in a module of its own."""

import io
import sys
from collections.abc import Sequence
from typing import Final

import click

from serinus.cli.command import FAILED_STATUS, Group
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error
from serinus.errors import SerinusError

INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

PROGRAM: Final = "serinus"

cli: Final = Group(
    PROGRAM,
    "put model versions into production safely",
    {
        "status": "serinus.cli.rollouts.status:status",
        "list": "serinus.cli.rollouts.listing:list_rollouts",
        "history": "serinus.cli.rollouts.history:history",
        "explain": "serinus.cli.rollouts.explain:explain",
        "promote": "serinus.cli.rollouts.annotate:promote",
        "pause": "serinus.cli.rollouts.annotate:pause",
        "resume": "serinus.cli.rollouts.annotate:resume",
        "abort": "serinus.cli.rollouts.annotate:abort",
        "retry": "serinus.cli.rollouts.annotate:retry",
        "rollback": "serinus.cli.rollback:rollback",
        "check": "serinus.cli.check.command:check",
        "web": "serinus.cli.web:web",
        "lint": "serinus.cli.lint.command:lint",
        "simulate": "serinus.cli.simulate.command:simulate",
        "diff": "serinus.cli.diff.command:diff",
        "import": "serinus.cli.importing.command:importing",
        "registry": "serinus.cli.registry.command:registry",
        "audit": "serinus.cli.audit.command:audit",
        "report": "serinus.cli.report.command:report",
        "run": "serinus.cli.operate:operate",
        "version": "serinus.cli.version:version",
    },
)
"""The whole command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 failed, 2 wrong usage, unless the command has its own."""
    return run(sys.argv[1:] if arguments is None else arguments, CliContext())


def run(words: Sequence[str], context: CliContext) -> int:
    """Run a command, print an error of ours, and return the exit status."""
    try:
        return invoke(words, context)
    except click.ClickException as problem:
        _show(problem)
        return problem.exit_code
    except SerinusError as problem:
        echo_error(problem)
        return FAILED_STATUS
    except click.Abort:
        echo_error("interrupted")
        return INTERRUPTED


def invoke(words: Sequence[str], context: CliContext) -> int:
    """Run a command and return its exit status.

    Raises:
        click.ClickException: the usage is wrong.
        click.Abort: Ctrl-C.
        SerinusError: the command could not be done.
    """
    for word in words:
        if not _is_text(word):
            raise click.UsageError(f"an argument is not UTF-8: {word!a}", click.Context(cli, info_name=PROGRAM))
    status: int = cli.main([*words], PROGRAM, standalone_mode=False, obj=context)
    return status


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show(problem: click.ClickException) -> None:
    """Print the usage and the message; whatever was typed or pasted, it does not control the terminal."""
    shown = io.StringIO()
    problem.show(shown)
    for line in shown.getvalue().splitlines():
        echo(line, err=True)

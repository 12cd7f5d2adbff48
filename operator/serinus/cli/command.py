"""How a parser becomes a command: typed options are read once from the arguments, then a handler runs on them."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from serinus.cli.session import CliContext

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no other name
"""What ``add_subparsers`` returns."""

Handler: TypeAlias = Callable[[argparse.Namespace, CliContext], int]

Options = TypeVar("Options")


def set_handler(
    parser: argparse.ArgumentParser,
    read: Callable[[argparse.Namespace], Options],
    run: Callable[[Options, CliContext], int | Coroutine[Any, Any, int]],
    *,
    closed_pipe: int | None = None,
) -> None:
    """Make a parser a command.

    Args:
        parser: the command's own parser.
        read: returns the typed options; the only code that sees the parsed arguments.
        run: the handler, plain or a coroutine function; returns the exit status.
        closed_pipe: the exit status if the reader of standard output stops early, as ``head`` does; None where that
            is an error.
    """

    def handle(args: argparse.Namespace, context: CliContext) -> int:
        try:
            status = run(read(args), context)
            return status if isinstance(status, int) else asyncio.run(status)
        except BrokenPipeError:
            if closed_pipe is None:
                raise
            # The interpreter flushes standard output when it exits and would report the closed pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return closed_pipe

    parser.set_defaults(run=handle)


def run_command(args: argparse.Namespace, context: CliContext) -> int:
    """Run the command that was parsed and return its exit status; SerinusError if it could not be done."""
    handler: Handler = args.run
    return handler(args, context)

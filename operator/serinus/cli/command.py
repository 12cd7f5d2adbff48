"""How a parser becomes a command: typed options are read once from the arguments, then a handler runs on them."""

import argparse
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from serinus.cli.context import CliContext
from serinus.cli.output import drop_output, flush_output, printable
from serinus.errors import SerinusError

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - argparse has no other name
"""What ``add_subparsers`` returns."""

Handler: TypeAlias = Callable[[argparse.Namespace, CliContext], int]

Statuses: TypeAlias = dict[int, str]
"""What each exit status of a command means."""

Options = TypeVar("Options")

DONE: Final = "done"
FAILED: Final = "failed, standard error says why"
USAGE: Final = "wrong usage, nothing was done"
STATUSES: Final[Statuses] = {0: DONE, 1: FAILED, 2: USAGE}
"""The exit statuses of a command that states no others."""


class ClosedPipeError(SerinusError):
    """Whoever reads standard output stopped before the result was complete."""


class Parser(argparse.ArgumentParser):
    """A parser whose messages do not control the terminal, whatever was typed or pasted."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        super().error(printable(message))


def set_handler(
    parser: argparse.ArgumentParser,
    read: Callable[[argparse.Namespace], Options],
    run: Callable[[Options, CliContext], int | Coroutine[Any, Any, int]],
    *,
    closed_pipe: int | None = None,
    statuses: Statuses = STATUSES,
) -> None:
    """Make a parser a command.

    Args:
        parser: the command's own parser.
        read: returns the typed options; the only code that sees the parsed arguments.
        run: the handler, plain or a coroutine function; returns the exit status.
        closed_pipe: the exit status if the reader of standard output stops early, as ``head`` does; None where that
            is an error.
        statuses: what its exit statuses mean; ``--help`` and docs/reference/command-line.md have them.
    """

    def handle(args: argparse.Namespace, context: CliContext) -> int:
        try:
            result = run(read(args), context)
            status = result if isinstance(result, int) else _completed(result)
            flush_output()
        except BrokenPipeError as problem:
            drop_output()
            if closed_pipe is None:
                raise ClosedPipeError("standard output was closed before the result was complete") from problem
            return closed_pipe
        return status

    parser.set_defaults(run=handle, statuses=statuses)
    parser.epilog = f"Exit status: {'; '.join(f'{status} {meaning}' for status, meaning in sorted(statuses.items()))}."


def _completed(work: Coroutine[Any, Any, int]) -> int:
    # It loads for longer than a command that reads one object takes.
    import asyncio  # noqa: PLC0415

    return asyncio.run(work)


def run_command(args: argparse.Namespace, context: CliContext) -> int:
    """Run the command that was parsed and return its exit status; SerinusError if it could not be done."""
    handler: Handler = args.run
    return handler(args, context)

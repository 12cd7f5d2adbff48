"""Output of the commands: results on standard output, remarks and errors on standard error."""

import os
import sys

from serinus.api.texts import UNPRINTABLE
from serinus.errors import SerinusError


class OutputError(SerinusError):
    """Standard output takes no more, such as a file on a full disk."""


def printable(text: str) -> str:
    r"""Return the text with unprintable characters as ``\u001b``, which means the same in JSON and in quoted YAML."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo(line: str, *, err: bool = False) -> None:
    """Print a line of the result; with ``err`` a remark, which must not mix with the result, on standard error.

    Raises:
        BrokenPipeError: the reader of standard output has gone.
        OutputError: it cannot be written.
    """
    try:
        print(printable(line), file=sys.stderr if err else sys.stdout)
    except BrokenPipeError:
        raise
    except (OSError, UnicodeEncodeError) as problem:
        raise _output_error(problem) from problem


def write_screen(text: str) -> None:
    """Write a text of :func:`serinus.cli.screen.render`, which has made harmless what others wrote; raises as `echo`.

    What the terminal's charset lacks becomes a question mark: a screen is for people.
    """
    stream = sys.stdout
    try:
        stream.write(text.encode(stream.encoding or "utf-8", "replace").decode(stream.encoding or "utf-8"))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise _output_error(problem) from problem


def echo_error(problem: object) -> None:
    """Print an error or a warning on standard error, after the name of the program."""
    echo(f"serinus: {problem}", err=True)


def flush_output() -> None:
    """Write what is buffered, so that a failure is known before the exit status is; raises as :func:`echo`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise _output_error(problem) from problem


def _output_error(problem: OSError | UnicodeEncodeError) -> OutputError:
    if isinstance(problem, UnicodeEncodeError):
        return OutputError(f"the result has characters that {problem.encoding} lacks: set PYTHONIOENCODING=utf-8")
    drop_output()
    return OutputError(f"the result could not be written to standard output: {problem.strerror}")


def drop_output() -> None:
    """Discard what is buffered for standard output: the interpreter would try and fail to write it when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

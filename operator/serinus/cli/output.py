"""Output of the commands: results on standard output, remarks and errors on standard error."""

import os
import re
import sys
from typing import Final

from serinus.errors import SerinusError

_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tabs and line breaks, those that turn the direction of writing, and halves of characters.

Texts that others wrote, such as the reason of a yank, must not control the terminal of who reads them.
"""


class OutputError(SerinusError):
    """Standard output takes no more, such as a file on a full disk."""


def printable(text: str) -> str:
    r"""Return the text with unprintable characters as ``\u001b``, which means the same in JSON and in quoted YAML."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


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

"""Output of the commands: results on standard output, remarks and errors on standard error."""

import sys


def echo(line: str, *, err: bool = False) -> None:
    """Print a line of the result; with ``err`` a remark, which must not mix with the result, on standard error."""
    print(line, file=sys.stderr if err else sys.stdout)


def echo_error(problem: object) -> None:
    """Print an error or a warning on standard error, after the name of the program."""
    echo(f"serinus: {problem}", err=True)

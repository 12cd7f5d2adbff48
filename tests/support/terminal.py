"""Runs a program on a terminal of a given width, without colours."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from typing import Final

_ROWS: Final = 60
_SECONDS: Final = 60


def on_terminal(words: Sequence[str], environment: Mapping[str, str], columns: int = 80) -> tuple[int, str]:
    """Return the exit status of a command, and what it wrote to the terminal, its errors included."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    variables = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**variables, "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(follower)
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        written = b"".join(iter(lambda: _read(terminal.fileno()), b""))
        status = process.wait(_SECONDS)
    return status, written.decode().replace("\r\n", "\n")


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:
        # Linux says EIO once nobody has the other side open any more.
        return b""

"""The control protocol of a running cluster: one JSON line each way over a socket in its state folder."""

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from localcluster.errors import LocalClusterError

Request = dict[str, Any]
Reply = dict[str, Any]
Handler = Callable[[Request], Awaitable[Reply]]

_NAME: Final = "control.sock"
_CREDENTIALS: Final = struct.Struct("3i")
_TIMEOUT_SECONDS: Final = 180.0


async def serve(state: Path, handle: Handler) -> asyncio.Server:
    """Serve requests until the server is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await handle(json.loads(await reader.readline()))
        except (LocalClusterError, ValueError, KeyError) as error:
            reply = {"error": str(error)}
        writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()

    listener = socket.socket(socket.AF_UNIX)
    with _short(state) as address:
        listener.bind(address)
    return await asyncio.start_unix_server(answer, sock=listener)


def ask(state: Path, request: Request) -> Reply:
    """Send a request to the cluster of a state folder.

    Raises:
        LocalClusterError: No cluster runs there, or it rejected the request.
    """
    with _connect(state) as connection, connection.makefile("rwb") as stream:
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        line = stream.readline()
    if not line:
        raise LocalClusterError(f"the cluster in {state} ended before it answered; see {state / 'logs'}")
    reply: Reply = json.loads(line)
    if "error" in reply:
        raise LocalClusterError(reply["error"])
    return reply


def supervisor_pid(state: Path) -> int:
    """Return the process id, in the caller's PID namespace, of the cluster's init process.

    Raises:
        LocalClusterError: No cluster runs there, or it runs outside the caller's PID namespace.
    """
    with _connect(state) as connection:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(raw)[0]
    if pid == 0:
        raise LocalClusterError(f"the cluster in {state} cannot be entered from inside another one")
    return pid


def running(state: Path) -> bool:
    """Return whether a cluster is running in a state folder."""
    try:
        with _connect(state):
            return True
    except LocalClusterError:
        return False


def to_signal(name: str) -> signal.Signals:
    """Parse a signal name, with or without SIG.

    Raises:
        LocalClusterError: There is no such signal.
    """
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    try:
        return signal.Signals[full]
    except KeyError as error:
        raise LocalClusterError(f"unknown signal {name!r}: use a name such as STOP, CONT or KILL") from error


@contextmanager
def _connect(state: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_SECONDS)
        try:
            with _short(state) as address:
                connection.connect(address)
        except OSError as error:
            raise LocalClusterError(f"no cluster runs in {state}: start one by `python -m localcluster up`") from error
        yield connection


@contextmanager
def _short(state: Path) -> Iterator[str]:
    # A socket address has at most 107 bytes, which the temporary folders of tests exceed.
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{_NAME}"
    finally:
        os.close(folder)

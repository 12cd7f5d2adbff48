"""Programs that tests start on loopback: a port for them, the wait until they are ready, and their end."""

import http.client
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

_SECONDS: Final = 90.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until ``/-/ready`` answers 200; fail with the log where the program ends before, or with its name."""
    deadline = time.monotonic() + _SECONDS
    while not _is_ready(port):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"{name} did not become ready"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a program that was started, and wait for it."""
    if process is not None:
        process.terminate()
        process.wait(timeout=_SECONDS)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()

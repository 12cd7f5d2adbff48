"""DynamoDB Local, Amazon's own emulator: fetched once from Maven Central, then a process of its own on a free port.

`python -m localcluster.programs.dynamodb` runs one until Ctrl-C. Everything that is stored in it is gone with it.
"""

import argparse
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from localcluster.console import progress, say
from localcluster.errors import LocalClusterError
from localcluster.settings import SOURCE_ROOT, cache_folder

VERSION: Final = "3.1.0"
_POM: Final = SOURCE_ROOT / "java" / "pom.xml"
_MAIN: Final = "software.amazon.dynamodb.services.local.main.ServerRunner"
_FETCH_SECONDS: Final = 600
_START_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 5.0
_GLANCE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_LOOPBACK: Final = "127.0.0.1"


def libraries() -> Path:
    """Return the folder with DynamoDB Local and all that it needs; fetched the first time, 48 MB.

    Raises:
        LocalClusterError: Maven is not there or cannot fetch it.
    """
    folder = cache_folder() / "dynamodb-local" / VERSION
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part, progress(f"DynamoDB Local {VERSION}: Maven Central"):
        _fetch(Path(part) / "libraries")
        # Another run may have been faster: its folder has the same files.
        with suppress(OSError):
            (Path(part) / "libraries").rename(folder)
    return folder


def _fetch(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalClusterError("mvn is not on PATH: install Maven (Debian: apt-get install maven)")
    command = [maven, "--batch-mode", "--quiet", "--file", str(_POM), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise LocalClusterError(f"mvn did not fetch DynamoDB Local within {_FETCH_SECONDS} s: try again") from error
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-10:])
        raise LocalClusterError(f"mvn cannot fetch DynamoDB Local, see {_POM}:\n{last}")


@contextmanager
def dynamodb_local(port: int | None = None) -> Iterator[str]:
    """Run DynamoDB Local in memory and give its endpoint; it is gone afterwards.

    Args:
        port: Where it listens; a free one where it is not given. It listens on every address of the machine, and takes
            any credentials: keep nothing in it that matters.

    Raises:
        LocalClusterError: There is no Java, it cannot be fetched, or it did not start; its last words are in it.
    """
    java = shutil.which("java")
    if java is None:
        raise LocalClusterError("java is not on PATH: install Java 17 or newer (Debian: default-jre-headless)")
    folder, chosen = libraries(), port or _free_port()
    command = [java, "-Xmx384m", f"-Djava.library.path={folder}", "-classpath", f"{folder}/*", _MAIN]
    # Telemetry would go to addresses outside of this machine.
    command += ["-inMemory", "-disableTelemetry", "-port", str(chosen)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(process, chosen)
            yield f"http://{_LOOPBACK}:{chosen}"
        except _NotStartedError as error:
            log.seek(0)
            said = log.read().decode(errors="replace").strip()[-2000:]
            raise LocalClusterError(f"DynamoDB Local {error} on port {chosen}. It said:\n{said}") from error
        finally:
            _end(process)


class _NotStartedError(Exception):
    """It has ended already, or does not answer."""


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if process.poll() is not None:
            raise _NotStartedError(f"ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise _NotStartedError(f"did not answer within {_START_SECONDS:g} s")
        time.sleep(_PAUSE_SECONDS)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_GLANCE_SECONDS)
    try:
        connection.request("GET", "/")
        # It refuses a request without a signature, and so works.
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        port: int = listener.getsockname()[1]
    return port


def main() -> int:
    """Run one for a person until Ctrl-C, or only fetch it."""
    parser = argparse.ArgumentParser(
        prog="localcluster.programs.dynamodb", description="Runs DynamoDB Local in memory."
    )
    parser.add_argument("--port", type=int, default=8000, help="where it listens (8000)")
    parser.add_argument("--fetch", action="store_true", help="only fetch it, for a place without a way out")
    given = parser.parse_args()
    try:
        if given.fetch:
            say(f"DynamoDB Local {VERSION}: {libraries()}")
        else:
            _serve(given.port)
    except LocalClusterError as error:
        say(str(error))
        return 1
    return 0


def _serve(port: int) -> None:
    # SIGTERM would end this process alone and leave the other; a shell's background jobs ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), dynamodb_local(port) as endpoint:
        say(f"DynamoDB Local {VERSION} at {endpoint}; any credentials do. Ctrl-C ends it.")
        while _answers(port):
            time.sleep(_GLANCE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

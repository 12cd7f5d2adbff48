"""DynamoDB Local, Amazon's emulator: fetched once from Maven Central, then run as a process on a free port.

`python -m localcluster.programs.dynamodb` runs it until Ctrl-C. Its data is in memory and lost at its end.
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
_CHECK_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1
_LOOPBACK: Final = "127.0.0.1"


def libraries() -> Path:
    """Return the folder with DynamoDB Local and its libraries; the first call fetches 48 MB.

    Raises:
        LocalClusterError: Maven is not installed or cannot fetch it.
    """
    folder = cache_folder() / "dynamodb-local" / VERSION
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part, progress(f"DynamoDB Local {VERSION}: Maven Central"):
        _fetch(Path(part) / "libraries")
        # If another run was faster, its folder has the same files.
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
        result = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise LocalClusterError(f"mvn did not fetch DynamoDB Local within {_FETCH_SECONDS} s: try again") from error
    if result.returncode:
        last = "\n".join(result.stdout.strip().splitlines()[-10:])
        raise LocalClusterError(f"mvn cannot fetch DynamoDB Local, see {_POM}:\n{last}")


@contextmanager
def dynamodb_local(port: int | None = None) -> Iterator[str]:
    """Run DynamoDB Local in memory until the block ends, and yield its endpoint.

    Args:
        port: Its port; by default a free one. It listens on every address of the machine and accepts any credentials:
            store nothing in it that matters.

    Raises:
        LocalClusterError: There is no Java, or it cannot be fetched or started; the message contains its last output.
    """
    java = shutil.which("java")
    if java is None:
        raise LocalClusterError("java is not on PATH: install Java 17 or newer (Debian: default-jre-headless)")
    folder, chosen = libraries(), port or _free_port()
    command = [java, "-Xmx384m", f"-Djava.library.path={folder}", "-classpath", f"{folder}/*", _MAIN]
    # Telemetry would be sent to addresses outside this machine.
    command += ["-inMemory", "-disableTelemetry", "-port", str(chosen)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(process, chosen)
            yield f"http://{_LOOPBACK}:{chosen}"
        except _NotStartedError as error:
            log.seek(0)
            output = log.read().decode(errors="replace").strip()[-2000:]
            raise LocalClusterError(f"DynamoDB Local {error} on port {chosen}. Its output:\n{output}") from error
        finally:
            _end(process)


class _NotStartedError(Exception):
    """DynamoDB Local has exited, or does not answer."""


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if process.poll() is not None:
            raise _NotStartedError(f"ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise _NotStartedError(f"did not answer within {_START_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_CHECK_SECONDS)
    try:
        connection.request("GET", "/")
        # An error for the missing signature shows that it is running.
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
    """Run DynamoDB Local until Ctrl-C, or only fetch it."""
    parser = argparse.ArgumentParser(
        prog="localcluster.programs.dynamodb", description="Runs DynamoDB Local in memory."
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; default 8000")
    parser.add_argument("--fetch", action="store_true", help="only fetch it, for later use without a network")
    options = parser.parse_args()
    try:
        if options.fetch:
            say(f"DynamoDB Local {VERSION}: {libraries()}")
        else:
            _serve(options.port)
    except LocalClusterError as error:
        say(str(error))
        return 1
    return 0


def _serve(port: int) -> None:
    # SIGTERM would end this process but not its child; a shell's background jobs ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), dynamodb_local(port) as endpoint:
        say(f"DynamoDB Local {VERSION} at {endpoint}; accepts any credentials. Press Ctrl-C to stop it.")
        while _answers(port):
            time.sleep(_CHECK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

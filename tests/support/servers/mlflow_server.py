"""A real MLflow server with SQLite on loopback, in its own virtual environment.

The environment is created once from tests/integration/mlflow/requirements.lock and kept in the cache folder. That needs
the package index; where tests run without a network, create it beforehand: ``python -m support.servers.mlflow_server``.
"""

import contextlib
import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from localcluster.settings import cache_folder
from support.servers.ready import free_port

_LOCK = Path(__file__).parents[2] / "integration" / "mlflow" / "requirements.lock"
_INSTALL_SECONDS = 570.0
_READY_SECONDS = 120.0


def environment() -> Path:
    """Return the Python of an environment with MLflow; create it if missing."""
    digest = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder().parent / f"mlflow-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / "complete"
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder)
            complete.touch()
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    python = str(folder / "bin" / "python")
    requirements = ["--require-hashes", "--requirement", str(_LOCK)]
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
        ]
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        if result.returncode != 0:
            raise AssertionError(
                "MLflow could not be installed; with a network run "
                f"`python -m support.servers.mlflow_server`:\n{result.stderr}"
            )


def clean_variables() -> dict[str, str]:
    """Return this process's environment without the variables of MLflow, AWS and proxies."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "AWS_")) and "proxy" not in name.lower()
    }
    return variables | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class MlflowServer:
    """``with MlflowServer(folder) as mlflow``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def artifacts(self) -> Path:
        """Folder of the artifacts that the server serves."""
        return self._folder / "artifacts"

    def __enter__(self) -> Self:
        python = environment()
        self.port = free_port()
        log_file = self._folder / "mlflow.log"
        command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.artifacts)]
        with log_file.open("wb") as log:
            # In its own session: the server consists of several processes, which are stopped together.
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=clean_variables(), cwd=self._folder, start_new_session=True
            )
        try:
            self._wait_until_ready(log_file)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(15)

    def run(self, script: Path, *arguments: str, modules: Sequence[Path] = ()) -> str:
        """Run a script with MLflow's own client against this server and return its output.

        ``modules`` are folders in which it finds modules that MLflow's environment does not have.
        """
        result = subprocess.run(
            [str(environment()), str(script), self.url, *arguments],
            capture_output=True,
            text=True,
            timeout=_READY_SECONDS,
            check=False,
            env=clean_variables() | {"PYTHONPATH": os.pathsep.join(map(str, modules))},
            cwd=self._folder,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _wait_until_ready(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"MLflow did not start:\n{log.read_text(errors='replace')}")


if __name__ == "__main__":
    start = time.monotonic()
    sys.stdout.write(f"{environment()} ({time.monotonic() - start:.0f} s)\n")

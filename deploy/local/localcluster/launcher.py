"""The outermost process: prepares a state folder and starts the namespaces."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from localcluster import control, namespaces
from localcluster.console import say
from localcluster.errors import LocalClusterError
from localcluster.programs import crds, provide
from localcluster.settings import SOURCE_ROOT, STATE_VARIABLE, Feature, Settings
from localcluster.supervisor import tail

_LOCK: Final = "lock"


def prepare(settings: Settings) -> int:
    """Lock and empty the state folder, and fetch everything that needs the real network.

    Returns:
        The open lock; the cluster's init process inherits it and holds it until it exits.

    Raises:
        LocalClusterError: A cluster runs there, the folder has foreign files, or a program is not available.
    """
    lock = _claim(settings.state)
    for entry in settings.state.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()
    settings.logs.mkdir()
    build(settings)
    settings.save()
    return lock


def build(settings: Settings) -> None:
    """Fetch or build every program and custom resource that the cluster needs.

    Raises:
        LocalClusterError: One of them is not available in any way.
    """
    provide.provide(settings)
    if settings.has(Feature.GATEWAY):
        crds.provide()


def up(settings: Settings) -> None:
    """Start a cluster in the background, and wait until it is ready.

    Raises:
        LocalClusterError: It did not become ready; the message contains the reason.
    """
    lock = prepare(settings)
    log = settings.logs / "supervisor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            namespaces.new(_inside(settings), tied=False),
            env=_environment(settings),
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    os.close(lock)
    while not control.running(settings.state):
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise LocalClusterError(f"the cluster exited at once:\n{tail(log.read_text(encoding='utf-8'))}")
    control.ask(settings.state, {"do": "wait"})
    # The cluster outlives this process on purpose; a return code keeps Popen from warning.
    process.returncode = 0


def run(settings: Settings, command: list[str]) -> int:
    """Run a command inside a new cluster and return its exit status.

    Raises:
        LocalClusterError: The cluster cannot be prepared.
    """
    lock = prepare(settings)
    with subprocess.Popen(
        namespaces.new([*_inside(settings), "--", *command], tied=True), env=_environment(settings), pass_fds=[lock]
    ) as process:
        os.close(lock)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda received, _: _pass_on(process.pid, received))
        return process.wait()


def down(state: Path) -> None:
    """Stop the cluster of a state folder and wait until all of its processes have exited.

    Raises:
        LocalClusterError: No cluster runs there.
    """
    control.ask(state, {"do": "down"})
    with (state / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def temporary_state() -> Path:
    """Create a state folder for one run."""
    return Path(tempfile.mkdtemp(prefix="serinus-local-"))


def discard(state: Path, status: int) -> None:
    """Delete the folder of a successful run; keep that of a failed one and print where its logs are."""
    if status == 0:
        shutil.rmtree(state)
    else:
        say(f"logs of this run are kept in {state / 'logs'}")


def _claim(state: Path) -> int:
    state.mkdir(parents=True, exist_ok=True)
    if any(state.iterdir()) and not (state / _LOCK).exists():
        raise LocalClusterError(f"{state} has files that are not from a local cluster: pass an empty folder by --state")
    lock = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise LocalClusterError(
            f"a cluster already runs in {state}: enter it by `python -m localcluster exec`, stop it by `down`, "
            "or pass another folder by --state"
        ) from error
    return lock


def _inside(settings: Settings) -> list[str]:
    # -P: the checkout's folder `operator` must not shadow the standard library's module.
    return [sys.executable, "-P", "-m", "localcluster.init", str(settings.state)]


def _environment(settings: Settings) -> dict[str, str]:
    path = os.environ.get("PYTHONPATH")
    sources = str(SOURCE_ROOT) if not path else f"{SOURCE_ROOT}:{path}"
    return os.environ | {"PYTHONPATH": sources, "PATH": namespaces.search_path(), STATE_VARIABLE: str(settings.state)}


def _pass_on(unshare: int, number: int) -> None:
    # The terminal sends Ctrl-C to the child directly; unshare itself ignores signals while its child runs.
    if number == signal.SIGINT and sys.stdin.isatty():
        return
    for child in Path(f"/proc/{unshare}/task/{unshare}/children").read_text(encoding="ascii").split():
        os.kill(int(child), number)

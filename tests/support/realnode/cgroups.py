"""Control groups of a node (version 1, one tree for each controller): made before it starts, removed after it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_SECONDS: Final = 10.0

PREFIX: Final = "serinus-node-"
"""How the names of the nodes' groups begin."""


def make(name: str) -> None:
    """Make the group under every controller."""
    for controller in _controllers():
        group = controller / name
        group.mkdir(exist_ok=True)
        # A new group has none, and no process could join it.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists():
                (group / file).write_text((controller / file).read_text(encoding="utf-8"), encoding="utf-8")


def remove(name: str) -> None:
    """Kill what is left in the group and remove it, with those below it."""
    deadline = time.monotonic() + _SECONDS
    for controller in _controllers():
        groups = sorted((controller / name).rglob("cgroup.procs"), key=lambda file: -len(file.parts))
        for file in groups:
            while pids := _pids(file):
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                assert time.monotonic() < deadline, f"{file} still has the processes {pids}"
                time.sleep(0.05)
            file.parent.rmdir()


def of_container(name: str, controller: str, file: str) -> int:
    """Return a number that the kernel has of a container.

    Args:
        name: the container's id as its pod's status has it, ``containerd://…``.
        controller: such as ``memory``.
        file: such as ``memory.max_usage_in_bytes``.
    """
    _, _, identity = name.partition("://")
    (path,) = (_ROOT / controller).glob(f"{PREFIX}*/kubepods/**/{identity}/{file}")
    return int(path.read_text(encoding="utf-8"))


def _controllers() -> Iterator[Path]:
    return (folder for folder in _ROOT.iterdir() if (folder / "cgroup.procs").exists())


def _pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text(encoding="utf-8").split() if line != "0"]

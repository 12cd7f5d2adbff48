"""The machine: what it is, and how much of it others used meanwhile."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """CPU seconds used so far: by the whole machine, and by the processes of this cluster and its harness.

    The cluster has a PID namespace of its own, so /proc lists these processes only, but /proc/stat counts all.
    """

    machine: float
    ours: dict[str, float]


def load() -> Load:
    """Read /proc."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    # user, nice, system, idle, iowait, irq, softirq, steal
    busy = sum(int(fields[index]) for index in (0, 1, 2, 5, 6, 7))
    ours = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, after = re.findall(r"\((.*)\) (.*)", text)[0]
        used = after.split()
        ours[f"{name}:{folder.name}"] = (int(used[11]) + int(used[12])) / _TICKS_PER_SECOND
    return Load(busy / _TICKS_PER_SECOND, ours)


def foreign(before: Load, after: Load) -> float:
    """Return the CPU seconds that processes outside of the cluster used between two readings."""
    ours = sum(used - before.ours.get(key, 0.0) for key, used in after.ours.items())
    return max(0.0, after.machine - before.machine - ours)


def described() -> dict[str, str | int | float]:
    """Return what the figures depend on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "cores": os.cpu_count() or 0,
        "cpu": models[0] if models else platform.machine(),
        "memory_gib": round(pages / 2**30, 1),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }

"""Merges what was measured into one file, with the machine, the date, the commit and the command."""

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.scale import machine
from benchmarks.scale.process import CHECKOUT_VARIABLE, measured_checkout
from benchmarks.scale.scenarios import Figures
from localcluster.settings import CHECKOUT

RESULT_VARIABLE: Final = "BENCH_RESULT"

_NAMES: Final = {
    "canary": {
        "breach_to_safe_p99_seconds": "one_by_one_breach_to_safe_p99_seconds",
        "breach_to_safe_p99_seconds_{}_at_once": "at_once_breach_to_safe_p99_seconds",
        "decided_to_safe_p99_seconds": "one_by_one_decided_to_safe_p99_seconds",
        "queries_per_tick": "queries_per_tick",
        "rss_mib": "rss_mib",
        "cpu_cores_in_canary": "cpu_cores",
        "tick_ms": "tick_ms",
    },
    "rest": {
        "rss_mib": "rss_mib",
        "cpu_cores_at_rest": "cpu_cores",
        "writes_at_rest_per_minute": "writes_per_minute",
    },
    "start": {"first_decision_seconds": "first_decision_seconds"},
    "run": {"writes_per_run": "writes"},
    "decide": {"decide_microseconds": "canary"},
}
"""Which figure of a scenario is which key of the result; the number of Rollouts follows at its end, or at {}."""

_WITHOUT_NUMBER: Final = frozenset({"run", "decide"})


def result_file() -> Path:
    """Return the file of the results."""
    return Path(os.environ.get(RESULT_VARIABLE) or CHECKOUT / ".bench" / "result.json")


def keys_of(scenario: str, rollouts: int, figures: Figures) -> Figures:
    """Return the keys of the result that a scenario determines."""
    found = {}
    for key, name in _NAMES[scenario].items():
        if name in figures:
            numbered = key.format(rollouts) if "{}" in key else f"{key}_{rollouts}"
            found[key if scenario in _WITHOUT_NUMBER else numbered] = figures[name]
    if scenario == "rest" and rollouts == _IN_CANARY:
        # With 1,000 the memory in canary counts, which is more.
        del found[f"rss_mib_{rollouts}"]
    return found


_IN_CANARY: Final = 1000


def merge(scenario: str, rollouts: int, figures: Figures) -> Path:
    """Write the figures into the file, beside those of other scenarios; return the file."""
    file = result_file()
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    result |= {name: _rounded(value) for name, value in keys_of(scenario, rollouts, figures).items()}
    label = scenario if scenario in _WITHOUT_NUMBER else f"{scenario}_{rollouts}"
    result.setdefault("scenarios", {})[label] = {
        "command": f"python -m benchmarks.scale {shlex.join(sys.argv[1:])}",
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.described(),
        "load_average": round(os.getloadavg()[0], 1),
        "figures": {name: _rounded(value) for name, value in figures.items()},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return file


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _commit() -> str:
    """Return the commit of the measured operator, with a mark where its files differ from it."""
    command = ["git", "-C", str(measured_checkout()), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or f"unknown ({CHECKOUT_VARIABLE}={measured_checkout()})"

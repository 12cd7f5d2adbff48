"""Memory and queues over the simulated time, and the slope of the memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DAY: Final = 86_400.0
_PAGE: Final = 4


@dataclass(frozen=True, slots=True)
class Slope:
    """A least-squares slope with its 95 % interval, in KiB for each simulated day."""

    value: float
    low: float
    high: float
    samples: int


@dataclass
class Gauges:
    """Samples of one simulation; those of the time without restarts show the operator's own growth."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    queues: dict[str, list[int]] = field(default_factory=dict)

    def measure(self, at: float, queues: Mapping[str, int], restarted: bool) -> None:  # noqa: FBT001 - a plain fact
        """Take one sample; the memory's only while the process is not restarted."""
        for name, length in queues.items():
            self.queues.setdefault(name, []).append(length)
        if not restarted:
            self.memory.append((at / DAY, resident_kib()))

    def slope(self) -> Slope | None:
        """Return how the memory grew; None with fewer than four samples."""
        number = len(self.memory)
        if number < 4:
            return None
        mean_x = sum(x for x, _ in self.memory) / number
        mean_y = sum(y for _, y in self.memory) / number
        spread = sum((x - mean_x) ** 2 for x, _ in self.memory)
        value = sum((x - mean_x) * (y - mean_y) for x, y in self.memory) / spread
        rest = sum((y - mean_y - value * (x - mean_x)) ** 2 for x, y in self.memory)
        error = 1.96 * math.sqrt(rest / (number - 2) / spread)
        return Slope(value, value - error, value + error, number)


def resident_kib() -> float:
    """Return the resident memory of this process in KiB."""
    return float(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE

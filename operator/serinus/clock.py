"""Implements the port ``Clock`` with the system clock."""

import time
from datetime import UTC, datetime
from typing import Final

_MONOTONIC: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux the clock that goes on while the machine is suspended: by the other one a leader whose virtual machine was
paused for an hour would still lead."""


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the current UTC time, truncated to milliseconds."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds."""
        return time.clock_gettime(_MONOTONIC)

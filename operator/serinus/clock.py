"""Implements the port ``Clock`` with the system clock."""

from datetime import UTC, datetime
from time import monotonic


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the current UTC time, truncated to milliseconds."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds."""
        return monotonic()

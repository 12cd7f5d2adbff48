"""The port ``Clock`` over the machine's clock."""

from datetime import UTC, datetime
from time import monotonic


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time of day, UTC, to the millisecond."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return monotonic()

"""Capped exponential backoff: the one place that says how long to wait between tries."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between the tries of one operation, in seconds; iterating yields them without end.

    Attributes:
        first: the first pause.
        longest: the bound of the doubling.
        jitter: each pause that is yielded is scaled by a random factor between 1 - ``jitter`` and 1 + ``jitter``, so
            that writers that collided once do not collide again.
    """

    first: float
    longest: float
    jitter: float = 0.0

    def after(self, pause: float) -> float:
        """Return the pause that follows this one, without jitter."""
        return min(2 * pause, self.longest)

    def __iter__(self) -> Iterator[float]:
        """Yield the pauses from the first one on."""
        pause = self.first
        while True:
            yield pause * SystemRandom().uniform(1 - self.jitter, 1 + self.jitter) if self.jitter else pause
            pause = self.after(pause)

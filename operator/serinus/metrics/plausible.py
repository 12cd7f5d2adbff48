"""Whether a counter that fell was restarted, or was only shown lower than before.

A restarted process counts from zero, so what its counters show is what has happened since. A counter can also fall
without a restart: deduplication of two replicas takes a sample of the other one, a backend is restored. What it shows
then is its whole life, errors of last week included. Only what the model's own traffic can explain is counted.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from serinus.metrics.presets import Key

Model = Hashable
"""What the backends of one model have in common."""

_NEARLY_THE_SAME: Final = 0.8
"""A restarted counter that has this part of its old value again is rare; a sample of another replica is not."""

_DIP: Final = 1.0
"""So little less is a dip even of a small counter: four failures, then shown as three, do not mean three new ones."""

_FACTOR: Final = 3.0
_SLACK: Final = 10.0
"""Requests that are plausible whatever the traffic: a wrong count of so few decides nothing."""

_REMEMBERED: Final = 12
"""Ticks, four scrapes, whose request rate is remembered, and after a doubtful fall also the doubt."""

_FORGOTTEN: Final = 100
"""After so many questions about others a model is forgotten."""


@dataclass(frozen=True, slots=True)
class Fall:
    """Counters of a backend that are lower than before: the sum that they show now, and the one that they showed."""

    now: float
    before: float

    def __str__(self) -> str:
        """Return both figures as part of a sentence."""
        return f"counters that fell from {self.before:,.0f} to {self.now:,.0f}"

    def __add__(self, other: "Fall") -> "Fall":
        """Add up counters."""
        return Fall(self.now + other.now, self.before + other.before)


NO_FALL: Final = Fall(0.0, 0.0)

Counts = TypeVar("Counts")


@dataclass(frozen=True, slots=True)
class Increments(Generic[Counts]):
    """What counters of one kind have grown by in a tick, by backend.

    Attributes:
        counts: the growth, counters that fell counted from zero.
        grown: the requests among it, without the counters that fell.
        fell: the counters that fell, each sum of equal ones by itself.
        copies: how many equal series there are of one target, where that is more than one.
    """

    counts: Mapping[Key, Counts] = field(default_factory=dict)
    grown: Mapping[Key, float] = field(default_factory=dict)
    fell: Mapping[Key, tuple[Fall, ...]] = field(default_factory=dict)
    copies: Mapping[Key, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the requests of the models make plausible in one tick.

    Attributes:
        models: which model each backend belongs to.
        rates: the largest request rate of each model in the last ticks, per second.
        suspects: backends of which counters fell without a restart in the last ticks: what they grow by now may be no
            more than their return to the value before.
        seconds: the tick's length.
    """

    models: Mapping[Key, Model]
    rates: Mapping[Model, float]
    suspects: frozenset[Key]
    seconds: float

    def doubts(self, *read: Increments[Any]) -> dict[Key, str]:
        """Return by backend why its counts cannot be what happened in this tick; those that can are left out."""
        found: dict[Key, str] = {}
        for increments in read:
            sums = by_model(self.models, {key: n for key, n in increments.grown.items() if key not in self.suspects})
            for key in self.suspects | increments.fell.keys() | increments.copies.keys():
                model = self.models.get(key, key)
                recently = self.rates.get(model, 0.0) * self.seconds
                problem = _doubt(
                    increments,
                    key,
                    _FACTOR * max(sums.get(model, 0.0), recently) + _SLACK,
                    suspect=key in self.suspects,
                )
                if problem:
                    found.setdefault(key, problem)
        return found


def _doubt(increments: Increments[Any], key: Key, largest: float, *, suspect: bool) -> str:
    """Return why a backend's counts are not plausible, where at most ``largest`` requests are."""
    copies = increments.copies.get(key)
    if copies is not None:
        return (
            f"has {copies:g} equal series from one target, so each request would count more than once. This ends by "
            "itself soon after a change of its labels; else scrape it once, and let the store drop one replica"
        )
    at_most = f"while at most {largest:,.0f} requests are plausible"
    growth = increments.grown.get(key, 0.0)
    if suspect and growth > largest:
        return f"has counters that fell before and have grown by {growth:,.0f} now, {at_most}"
    falls = (fall for fall in increments.fell.get(key, ()) if not _restarted(fall, largest))
    return next((f"has {fall}, {at_most}: a restarted process does not count like this" for fall in falls), "")


def _restarted(fall: Fall, largest: float) -> bool:
    """Return whether counters that fell show what has happened since a restart."""
    if fall.now == 0.0:
        return True
    dipped = fall.now >= _NEARLY_THE_SAME * fall.before or fall.before - fall.now <= _DIP
    return not dipped and fall.now <= largest


class RecentTraffic:
    """The request rates and the doubts of the last ticks; what is not asked about any more is forgotten."""

    def __init__(self) -> None:
        """Start without any."""
        self._rates: dict[Model, deque[float]] = {}
        self._suspects: dict[Key, int] = {}
        self._unasked: dict[Model, int] = {}

    def doubts(self, models: Mapping[Key, Model], seconds: float, *read: Increments[Any] | object) -> dict[Key, str]:
        """Return the doubts about one tick's counts, as ``Traffic`` does, and remember the tick.

        Args:
            models: which model each backend belongs to.
            seconds: the tick's length.
            read: what was read of requests and buckets; anything else is a query that failed.
        """
        rates = {model: max(rates) for model, rates in self._rates.items()}
        traffic = Traffic(models, rates, frozenset(self._suspects), seconds)
        known = tuple(one for one in read if isinstance(one, Increments))
        doubts = traffic.doubts(*known)
        grown = next((one.grown for one in known if one.grown), {})
        self._record(traffic, {key: requests for key, requests in grown.items() if key not in doubts})
        left = {key: ticks - 1 for key, ticks in self._suspects.items() if ticks > 1}
        fell = {key for one in known for key in one.fell if key in doubts}
        self._suspects = left | dict.fromkeys(fell, _REMEMBERED)
        return doubts

    def _record(self, traffic: Traffic, grown: Mapping[Key, float]) -> None:
        asked = dict.fromkeys(traffic.models.values(), 0.0) | by_model(traffic.models, grown)
        for model, requests in asked.items():
            rate = requests / traffic.seconds if traffic.seconds > 0 else 0.0
            self._rates.setdefault(model, deque(maxlen=_REMEMBERED)).append(rate)
        # At one tick several questions may go to different times, each with some of the models.
        self._unasked = {model: self._unasked.get(model, 0) + 1 for model in self._rates if model not in asked}
        for model, times in self._unasked.items():
            if times > _FORGOTTEN:
                del self._rates[model]


def by_model(models: Mapping[Key, Model], grown: Mapping[Key, float]) -> dict[Model, float]:
    """Return the sum of each model's backends."""
    sums: dict[Model, float] = {}
    for key, requests in grown.items():
        model = models.get(key, key)
        sums[model] = sums.get(model, 0.0) + requests
    return sums

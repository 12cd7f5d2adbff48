"""How simulated runs end, one by one and many together."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.analysis.assessment import Progress

_Z: Final = 1.959964
"""Of a two-sided interval of 95 %."""


class End(StrEnum):
    """How a simulated run ended."""

    ROLLED_BACK = "RolledBack"
    PROMOTED = "Promoted"
    UNDECIDED = "Undecided"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run at its end.

    Attributes:
        status: after the last decision.
        progress: of the conditions of its last stage.
        at: when it was decided.
        at_weight: the candidate's share of the traffic then, in percent.
    """

    status: RolloutStatus
    progress: tuple[Progress, ...]
    at: datetime
    at_weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one run.

    Attributes:
        end: how it ended.
        after: the time from the beginning of the first stage to the decision; None without one.
        stage: the stage of the decision, or the one that it is still in.
        condition: the breached condition; empty without a breach.
        evidence: the evidence of that breach.
        judged: the requests behind that breach, since the most probable onset of the regression.
        requests: the candidate's requests in all.
        harmed: how many of them were bad, until it had no traffic.
        summary: why it is still open, in the operator's words; empty where it ended.
    """

    end: End
    after: timedelta | None
    stage: str
    condition: str = ""
    evidence: float = 0.0
    judged: float = 0.0
    requests: float
    harmed: float
    summary: str = ""

    @classmethod
    def undecided(cls, status: RolloutStatus, *, requests: float, harmed: float) -> Self:
        """Return the outcome of a run that had not ended when the simulation did."""
        stage = status.stage.name if status.stage is not None else ""
        return cls(
            end=End.UNDECIDED, after=None, stage=stage, requests=requests, harmed=harmed, summary=status.next_action
        )

    @classmethod
    def of(cls, ended: Ended, start: datetime, *, requests: float, harmed: float) -> Self:
        """Return the outcome of a run that has ended."""
        status, rollback = ended.status, ended.status.rollback
        promoted = status.phase is Phase.HEALTHY
        condition = rollback.condition if rollback is not None else ""
        breach = next(
            (one.breach for one in ended.progress if one.condition.text == condition and one.breach is not None), None
        )
        return cls(
            end=End.PROMOTED if promoted else End.ROLLED_BACK,
            after=ended.at - start,
            stage=status.stage.name if status.stage is not None else "",
            condition=condition,
            evidence=breach.evidence if breach is not None else 0.0,
            judged=breach.requests if breach is not None else 0.0,
            requests=requests,
            harmed=harmed,
        )


@dataclass(frozen=True, slots=True)
class Proportion:
    """A number of runs among all."""

    found: int
    of: int

    @property
    def share(self) -> float:
        """The proportion; 0 without any runs."""
        return self.found / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The two-sided 95 % interval of the chance behind it (Wilson's score interval)."""
        if not self.of:
            return 0.0, 1.0
        middle = (self.found + _Z * _Z / 2) / (self.of + _Z * _Z)
        half = _Z / (self.of + _Z * _Z) * math.sqrt(self.found * (self.of - self.found) / self.of + _Z * _Z / 4)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the upper end of a figure over many runs."""

    median: float
    p95: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread | None":
        """Return the spread of these figures; None without any."""
        if not figures:
            return None
        ordered = sorted(figures)
        return cls(_quantile(ordered, 0.5), _quantile(ordered, 0.95))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the least figure that this share of the figures does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Cause:
    """A condition that ended runs."""

    condition: str
    stage: str
    runs: int
    evidence: float
    judged: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Many runs of one plan.

    Attributes:
        outcomes: of each run.
    """

    outcomes: tuple[Outcome, ...]

    def ending(self, end: End) -> Proportion:
        """Return how many runs ended like this."""
        return Proportion(sum(one.end is end for one in self.outcomes), len(self.outcomes))

    def minutes(self, end: End) -> Spread | None:
        """Return after how many minutes the runs ended that ended like this."""
        return self._of(end, lambda one: one.after.total_seconds() / 60 if one.after is not None else 0.0)

    def requests(self, end: End) -> Spread | None:
        """Return how many requests the candidate had served in the runs that ended like this."""
        return self._of(end, lambda one: one.requests)

    def harmed(self, end: End) -> Spread | None:
        """Return how many of them were bad."""
        return self._of(end, lambda one: one.harmed)

    def _of(self, end: End, figure: Callable[[Outcome], float]) -> Spread | None:
        return Spread.of([figure(one) for one in self.outcomes if one.end is end])

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What the rollbacks were for, the most frequent first; evidence and requests are medians."""
        back = [one for one in self.outcomes if one.end is End.ROLLED_BACK]
        kinds = Counter((one.condition, one.stage) for one in back)
        return tuple(self._cause(kind, count) for kind, count in sorted(kinds.items(), key=lambda one: (-one[1], one)))

    def _cause(self, kind: tuple[str, str], count: int) -> Cause:
        mine = [one for one in self.outcomes if one.end is End.ROLLED_BACK and (one.condition, one.stage) == kind]
        evidence, judged = Spread.of([one.evidence for one in mine]), Spread.of([one.judged for one in mine])
        return Cause(*kind, count, evidence.median if evidence else 0.0, judged.median if judged else 0.0)

    @property
    def open_because(self) -> str:
        """What most of the undecided runs were waiting for; empty without any."""
        said = Counter(one.summary for one in self.outcomes if one.end is End.UNDECIDED)
        return said.most_common(1)[0][0] if said else ""

    def by_minute(self, end: End, minutes: Sequence[float]) -> list[float]:
        """Return which share of all runs had ended like this by each of these minutes."""
        times = [one.after.total_seconds() / 60 for one in self.outcomes if one.end is end and one.after is not None]
        return [sum(time <= minute for time in times) / max(1, len(self.outcomes)) for minute in minutes]

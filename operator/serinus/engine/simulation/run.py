"""One simulated run: the answers of its ticks are folded in, and ``decide`` ends its stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from serinus.api.rollout import Stage, WarmUp
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.engine.analysis.assessment import Progress, assess
from serinus.engine.analysis.measurements import Answer
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.modes import Running, mode_of
from serinus.engine.simulation.cluster import Cluster, settled
from serinus.engine.simulation.outcomes import Ended
from serinus.engine.simulation.plan import SimulatedPlan


@dataclass(slots=True)
class Run:
    """A run under way.

    Attributes:
        plan: what is run.
        cluster: its status and route.
        progress: of each condition of its stage.
        share: the requests to candidate and stable version in its stage.
        holds: which condition held the stage last; it most likely still does.
    """

    plan: SimulatedPlan
    cluster: Cluster
    progress: tuple[Progress, ...]
    share: RequestShare = NO_REQUESTS
    holds: int = 0

    @classmethod
    def at_first_stage(cls, plan: SimulatedPlan, cluster: Cluster) -> Self:
        """Return a run that has just begun to watch its first stage."""
        return cls(plan, cluster, plan.initial(cluster.status))

    @property
    def weight(self) -> float:
        """The candidate's share of the traffic in percent."""
        candidate = self.cluster.status.candidate
        return candidate.weight if candidate is not None else 0.0

    def take(self, progress: tuple[Progress, ...], pairs: Sequence[tuple[Answer, Answer | None]]) -> None:
        """Take the progress after one tick, and its requests into the share."""
        self.progress = progress
        self.share = self.share.plus_answers(pairs)

    def is_due(self, now: datetime) -> bool:
        """Return whether anything may be decided at this moment.

        That is a breach, or the end of the stage: of its time where its conditions let it pass, else of the longest.
        """
        mode = mode_of(self.cluster.status, self.plan.spec)
        if not isinstance(mode, Running) or mode.planned is None:
            return True
        if any(one.breached_at is not None for one in self.progress):
            return True
        stage, lasted = mode.planned, mode.stage.elapsed_in_state(now)
        if mode.stage.state is StageState.WARMING_UP and stage.warmup is not None:
            return self._is_warm(stage.warmup, lasted) or mode.stage.elapsed(now) >= stage.longest
        if lasted < stage.watch.value:
            return False
        return mode.stage.elapsed(now) >= stage.longest or not self._is_held(stage, now)

    def _is_warm(self, warmup: WarmUp, lasted: timedelta) -> bool:
        if warmup.ready_for is not None:
            return lasted >= warmup.ready_for.value
        return any(one.own_requests >= (warmup.requests or 0) for one in self.progress)

    def _is_held(self, stage: Stage, now: datetime) -> bool:
        """Return whether a condition holds the stage; what held it last is assessed first, which is quicker."""
        places = range(len(self.progress))
        for place in sorted(places, key=lambda place: place != self.holds):
            if assess(self.progress[place], stage, now).holds:
                self.holds = place
                return True
        return False

    def decide(self, now: datetime) -> Ended | None:
        """Let ``decide`` do all that it does at this moment; return how the run ended, None while it goes on."""
        visit, progress, weight = self._visit, self.progress, self.weight

        def readings(status: RolloutStatus) -> tuple[Progress, ...]:
            return progress if _visit_of(status) == visit else self.plan.initial(status)

        self.cluster = settled(self.cluster, now, readings, self.share)
        if self.cluster.ended:
            return Ended(self.cluster.status, progress, now, weight)
        if self._visit != visit:
            self.progress, self.share = self.plan.initial(self.cluster.status), NO_REQUESTS
        return None

    @property
    def _visit(self) -> tuple[int, datetime] | None:
        return _visit_of(self.cluster.status)


def _visit_of(status: RolloutStatus) -> tuple[int, datetime] | None:
    """Return the stage that a run is in, and since when; None where none is under way."""
    mode = mode_of(status)
    return (mode.stage.index, mode.stage.since) if isinstance(mode, Running) else None

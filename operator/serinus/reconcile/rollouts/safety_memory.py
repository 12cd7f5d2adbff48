"""What the safety lane has decided and done, until the status has it.

Nothing here outlives the process: a restart is a crash between a weight and its status, after which the same cause is
found again.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Rollback, RolloutStatus
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.engine.rollout.traffic.facts import RouteFacts, RouteProblem
from serinus.engine.rollout.traffic.route_plan import plan_entries
from serinus.engine.rollout.traffic.targets import place_of
from serinus.errors import SerinusError
from serinus.ports.cluster_state import RolloutRecord

SILENT: Final = 5.0
"""Seconds for which writes towards safety may fail until the status says why: most outages are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A rollback that the safety lane has decided, and what it rested on.

    It stays in force until the status has it. By then the evidence may be gone, the spec edited, the endpoints back, or
    a status written that was on its way when the verdict was reached and lets the run advance: none of these gives the
    version its traffic back.
    """

    base: RolloutRecord
    spec: RolloutSpec | InvalidSpec
    observed: Observation
    at: datetime
    set_by: float
    version: str

    def is_in_force(self, record: RolloutRecord) -> bool:
        """Return whether the Rollout needs it: the same run, the version on trial or serving, no such rollback yet."""
        base, stored = self.base.status, record.status
        if record.meta.uid != self.base.meta.uid or stored.run != base.run or stored.rollback != base.rollback:
            return False
        roles = (stored.candidate, stored.stable)
        return any(serving is not None and serving.version == self.version for serving in roles)

    def status_for(self, record: RolloutRecord) -> RolloutStatus:
        """Return the status to decide on: the stored one, with the run where it was when the verdict was reached."""
        base = self.base.status
        if record.status == base:
            return base
        return structs.replace(
            record.status,
            stable=base.stable,
            candidate=base.candidate,
            last_known_good=base.last_known_good,
            stage=base.stage,
            evidence=base.evidence,
            tests=base.tests,
        )

    def observation_with(self, fresh: Observation) -> Observation:
        """Return the observation to decide on: the causes as they were, the route and other versions as they are."""
        facts = self.observed.versions.get(self.version)
        place = place_of(self.version, self.base.status, self.observed)
        ready = self.observed.endpoints.get(place.key) if place is not None else None
        return replace(
            self.observed,
            route=fresh.route,
            missing=fresh.missing,
            audit=fresh.audit,
            has_finalizer=fresh.has_finalizer,
            versions={**fresh.versions, **({self.version: facts} if facts is not None else {})},
            endpoints={**fresh.endpoints, **({place.key: ready} if place is not None and ready is not None else {})},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Somebody else's weights that the safety lane has put right, and what was observed before.

    The route does not show them any more, so the status and the events are decided on what was observed.
    """

    uid: str
    spec: RolloutSpec | InvalidSpec
    observed: Observation
    at: datetime
    set_by: float

    def observation_with(self, fresh: Observation) -> Observation:
        """Return the observation to decide on."""
        return replace(self.observed, audit=fresh.audit, has_finalizer=fresh.has_finalizer)


@dataclass(frozen=True, slots=True)
class Performed:
    """A write towards safety, the generation of the route that it left, and when it was done (monotonic seconds)."""

    action: SetWeights
    generation: int
    at: float

    def is_of(self, action: SetWeights, route: RouteFacts | RouteProblem) -> bool:
        """Return whether it was this write, and nobody has changed the route since."""
        return self.action == action and isinstance(route, RouteFacts) and route.generation == self.generation


class SafetyMemory:
    """By Rollout, what the safety lane has decided and done; empty for all that have nothing to do with it."""

    def __init__(self) -> None:
        """Begin empty."""
        self._marks: dict[ObjectKey, int] = {}
        self._verdicts: dict[ObjectKey, Verdict] = {}
        self._corrections: dict[ObjectKey, Correction] = {}
        self._performed: dict[ObjectKey, Performed] = {}
        self._refusals: dict[ObjectKey, SerinusError] = {}
        self._failing: dict[ObjectKey, float] = {}
        self._under_way: dict[ObjectKey, SetWeights] = {}
        self._stuck: dict[ObjectKey, float] = {}
        self._departed: dict[ObjectKey, RolloutRecord] = {}

    def __len__(self) -> int:
        """How many Rollouts it has something of."""
        return len({key for part in self._parts for key in part})

    @property
    def _parts(self) -> tuple[dict[ObjectKey, Any], ...]:
        decided = (self._marks, self._verdicts, self._corrections)
        return (*decided, self._performed, self._refusals, self._failing, self._under_way, self._stuck, self._departed)

    # ---- decisions -----------------------------------------------------------------------------

    def mark(self, key: ObjectKey) -> int:
        """Return how often the lane has decided towards safety about this Rollout: a change makes other writes void."""
        return self._marks.get(key, 0)

    def decided(self, key: ObjectKey, verdict: Verdict | None = None) -> None:
        """Note that the lane has decided towards safety, and the verdict if it has reached one."""
        self._marks[key] = self.mark(key) + 1
        if verdict is not None:
            self._verdicts[key] = verdict

    def reconsider(self, key: ObjectKey) -> None:
        """Forget a verdict by which no rollback follows any more."""
        self._verdicts.pop(key, None)

    def verdict(self, record: RolloutRecord) -> Verdict | None:
        """Return the verdict about this Rollout that its status does not have yet; forget one that it has."""
        verdict = self._verdicts.get(record.meta.key)
        if verdict is not None and not verdict.is_in_force(record):
            del self._verdicts[record.meta.key]
            return None
        return verdict

    def correction(self, record: RolloutRecord) -> Correction | None:
        """Return the correction that this Rollout's status does not have yet."""
        correction = self._corrections.get(record.meta.key)
        return correction if correction is not None and correction.uid == record.meta.uid else None

    def corrected(self, key: ObjectKey, correction: Correction) -> None:
        """Note that somebody else's weights were put right."""
        self._corrections[key] = correction

    def reported(self, key: ObjectKey) -> None:
        """Forget a correction that the status has."""
        self._corrections.pop(key, None)

    # ---- the writes of the ordinary reconcile --------------------------------------------------

    def begin(self, key: ObjectKey, action: SetWeights) -> None:
        """Note that an ordinary reconcile is about to write weights that the stored status does not have yet."""
        self._under_way[key] = action

    def end(self, key: ObjectKey) -> None:
        """Note that this reconcile has ended: the status has the weights, or they are to be decided anew."""
        self._under_way.pop(key, None)

    def is_stuck(self, key: ObjectKey, now: float) -> bool:
        """Note that an action of an ordinary reconcile has failed; return whether that has gone on for too long."""
        return now - self._stuck.setdefault(key, now) >= SILENT

    def advanced(self, key: ObjectKey) -> None:
        """Note that every action was done."""
        self._stuck.pop(key, None)

    def is_own(self, key: ObjectKey, route: RouteFacts | RouteProblem) -> bool:
        """Return whether the route is as an ordinary reconcile under way has left it, ahead of the stored status.

        Without this the safety lane would take its own side's new weights for somebody else's, and put them right.
        """
        action = self._under_way.get(key)
        if action is None or not isinstance(route, RouteFacts):
            return False
        return plan_entries(route.entries, action.shares, action.ours, action.filters_of, route.can) == route.entries

    # ---- the writes of the lane ----------------------------------------------------------------

    def performed(self, key: ObjectKey) -> Performed | None:
        """Return the last write towards safety."""
        return self._performed.get(key)

    def refusal(self, key: ObjectKey) -> SerinusError | None:
        """Return why the last write towards safety was refused, or has failed for long; None where it was not."""
        return self._refusals.get(key)

    def succeeded(self, key: ObjectKey, performed: Performed) -> None:
        """Note a write towards safety."""
        self._performed[key] = performed
        self._refusals.pop(key, None)
        self._failing.pop(key, None)

    def refused(self, key: ObjectKey, problem: SerinusError) -> None:
        """Note that the API server rejects a write towards safety."""
        self._refusals[key] = problem

    def failed(self, key: ObjectKey, problem: SerinusError, now: float) -> bool:
        """Note that a write towards safety has failed; return whether that has gone on for too long to be silent.

        Args:
            key: the Rollout.
            problem: why.
            now: monotonic time in seconds.
        """
        if now - self._failing.setdefault(key, now) < SILENT:
            return False
        self._refusals[key] = problem
        return True

    def recreated(self, key: ObjectKey) -> None:
        """Forget the write on a route that was made anew: the generations of the new one say nothing of it."""
        self._performed.pop(key, None)

    def settled(self, key: ObjectKey) -> None:
        """Forget the writes of a Rollout that needs none any more."""
        self._performed.pop(key, None)
        self._refusals.pop(key, None)
        self._failing.pop(key, None)

    # ---- Rollouts that are gone ----------------------------------------------------------------

    def departed(self, key: ObjectKey) -> RolloutRecord | None:
        """Return a Rollout that is gone and whose candidate may still have traffic."""
        return self._departed.get(key)

    def all_departed(self) -> tuple[RolloutRecord, ...]:
        """Return all these Rollouts."""
        return tuple(self._departed.values())

    def depart(self, record: RolloutRecord) -> None:
        """Forget what was decided about a Rollout that is gone, and keep the Rollout until its candidate is drained."""
        self.forget(record.meta.key)
        self._departed[record.meta.key] = record

    def returned(self, key: ObjectKey) -> None:
        """Forget the Rollout that is gone: there is another one of its name, which has the route now."""
        self._departed.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Forget everything about a Rollout."""
        for part in self._parts:
            part.pop(key, None)


def has_begun(before: Rollback | None, after: Rollback | None) -> bool:
    """Return whether a rollback has been decided between the two."""
    return after is not None and (before is None or before.decided_at != after.decided_at)

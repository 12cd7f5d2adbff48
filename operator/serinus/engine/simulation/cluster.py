"""A cluster in which everything works at once: it does what ``decide`` asks, so a run is held by its evidence alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

from serinus.api.model import ModelSpec, VersioningPolicy
from serinus.api.modelversion import BackendRef
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.actions import (
    Action,
    CreateRoute,
    RunHttpTest,
    RunJobTest,
    SetFinalizer,
    SetMirror,
    SetWeights,
    ShapeRoute,
)
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.modes import Running, mode_of
from serinus.engine.rollout.observation import AuditFacts, Observation, VersionFacts
from serinus.engine.rollout.traffic.facts import ParentFacts, RouteEntry, RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries

STABLE: Final = "0.0.1-stable"
"""The version that serves before the run, where the plan names none."""

_LAX: Final = ModelSpec(versioning=VersioningPolicy(allow_major_in_place=True))
"""The numbers of versions are not what a simulation is about."""

_MOST_STEPS: Final = 40
"""Decisions at one moment; a run of sixteen stages whose conditions hold needs fewer."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Rollout's status, and the route beside it.

    Attributes:
        spec: the plan that is run.
        status: as ``decide`` returned it last.
        route: accepted at its generation, always.
        has_finalizer: whether the Rollout has the operator's finalizer.
    """

    spec: RolloutSpec
    status: RolloutStatus
    route: RouteFacts
    has_finalizer: bool = False

    @property
    def ended(self) -> bool:
        """Whether the run is over: promoted or rolled back."""
        return self.status.phase in {Phase.HEALTHY, Phase.ROLLED_BACK}

    def observed(self, readings: tuple[Progress, ...], share: RequestShare) -> Observation:
        """Return everything that ``decide`` may look at."""
        return Observation(
            name="simulated",
            generation=1,
            uid="simulated",
            has_finalizer=self.has_finalizer,
            policy=_LAX,
            route=self.route,
            versions={version: _facts(version) for version in _versions(self.spec)},
            served=frozenset({stable_of(self.spec)}),
            audit=AuditFacts(recorded=frozenset(record.id for record in self.status.records)),
            readings=readings,
            share=share,
        )

    def does(self, action: Action) -> "Cluster":
        """Return the cluster after an action."""
        match action:
            case SetWeights(shares=shares, ours=ours, filters_of=filters):
                entries = plan_entries(self.route.entries, shares, ours, filters, self.route.can)
                if isinstance(entries, Unplannable):
                    raise TypeError(entries.message)
                return replace(self, route=_accepted(entries, self.route.generation + 1))
            case SetFinalizer(present=present):
                return replace(self, has_finalizer=present)
            case CreateRoute() | ShapeRoute() | SetMirror() | RunHttpTest() | RunJobTest():
                # The route is taken for one that is there and as it should be.
                return self
            case _:
                assert_never(action)


def stable_of(spec: RolloutSpec) -> str:
    """Return the version that serves before the run."""
    return spec.rollback_to or STABLE


def _versions(spec: RolloutSpec) -> tuple[str, ...]:
    return (spec.version, stable_of(spec))


def _facts(version: str) -> VersionFacts:
    return VersionFacts(version=version, backend=_backend(version), ready=1)


def _backend(version: str) -> BackendRef:
    return BackendRef(name="v" + version.replace(".", "-"), port=80)


def _accepted(entries: tuple[RouteEntry, ...], generation: int) -> RouteFacts:
    parent = ParentFacts("gateway", accepted=True, observed_generation=generation)
    return RouteFacts(generation=generation, entries=entries, parents=(parent,))


def begun(spec: RolloutSpec, now: datetime) -> Cluster:
    """Return the cluster in which a run of this plan has just begun to watch its first stage.

    Raises:
        ValueError: no run of it begins, as of a plan whose version is its own rollback target.
    """
    serving = RouteEntry(backend_key(_backend(stable_of(spec))), 1)
    cluster = settled(Cluster(spec, RolloutStatus(), _accepted((serving,), 1)), now, lambda _: ())
    if _visit(cluster.status) is None:
        raise ValueError(f"no run of this plan begins: {cluster.status.summary} {cluster.status.next_action}")
    return cluster


def settled(
    cluster: Cluster,
    now: datetime,
    readings: Callable[[RolloutStatus], tuple[Progress, ...]],
    share: RequestShare = NO_REQUESTS,
) -> Cluster:
    """Decide and act until nothing changes at this moment.

    Args:
        cluster: before.
        now: the moment.
        readings: the progress of each condition of the stage that a status is in.
        share: the requests to candidate and stable version.

    Raises:
        RuntimeError: it never comes to rest, which would be a mistake of the engine.
    """
    visit = _visit(cluster.status)
    for _ in range(_MOST_STEPS):
        seen = share if _visit(cluster.status) == visit else NO_REQUESTS
        decision = decide(cluster.spec, cluster.status, cluster.observed(readings(cluster.status), seen), now)
        after = cluster
        for action in decision.actions:
            after = after.does(action)
        after = replace(after, status=decision.status)
        if after == cluster:
            return cluster
        cluster = after
    raise RuntimeError(f"the run does not come to rest at {now}: {cluster.status.summary}")


def _visit(status: RolloutStatus) -> datetime | None:
    """Return when the stage began that a run is in; None where no run is under way."""
    mode = mode_of(status)
    return mode.stage.since if isinstance(mode, Running) else None

"""The objects behind the numbers of a small world's states: what a decision in a state rests on."""

from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any

from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout import approvals, outbox
from serinus.engine.rollout.observation import AuditFacts, InvalidSpec, Observation
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteProblem
from support.builders import NOW
from support.exploration import facts
from support.exploration.canonical import TICK, canonical, key_of
from support.exploration.state import (
    BESIDE,
    BIT,
    CODES,
    COMMANDS,
    CONFLICT,
    DELETED,
    EVIDENCE,
    FIGHTS,
    FINALIZER,
    FLAGS,
    FROZEN,
    GATE,
    HELD,
    NO_RULE,
    REGISTRY_DOWN,
    ROUTE,
    SEEN,
    SPEC,
    STALE_FIELDS,
    STALE_FLAGS,
    STATUS,
    TARGET,
    TERMINATING,
    TESTS,
    UNREADABLE,
    VERBS,
    WRITER,
    Carried,
    State,
    Table,
)
from support.law_terms import is_running
from support.world import ADA, LAX


class Machine:
    """One world's objects by number.

    Args:
        specs: the specs that can be wanted, each valid.
        versions: how many of the three versions there are.
        served: the versions that the registry's head knows to have served.
        crashes: whether each write of a decision may be the last before a restart.
        newer: whether a newer release may write the status for a while.
    """

    def __init__(
        self,
        specs: tuple[RolloutSpec, ...],
        versions: int = 2,
        served: frozenset[str] = frozenset(),
        *,
        crashes: bool = False,
        newer: bool = False,
    ) -> None:
        self.specs: list[RolloutSpec | InvalidSpec] = [*specs]
        self.specs += [InvalidSpec("spec.stages", "spoilt", last=spec) for spec in specs]
        self.specs.append(InvalidSpec("spec.stages", "spoilt"))
        self.valid = len(specs)
        self.versions, self.served, self.crashes, self.newer = versions, served, crashes, newer
        self.statuses, self.routes, self.snapshots, self.besides = Table(), Table(), Table(), Table()
        for problem in (facts.MISSING, facts.OWNED, facts.WITHOUT_RULE):
            self.routes.number(problem.reason, problem)
        self.snapshots.number((), ())
        self.besides.number((0, 0, 0), (0, 0, 0))
        self._readings: dict[Hashable, tuple[Progress, ...]] = {}
        self._shifted: dict[Hashable, int] = {}
        _hash_each_plan_once()

    # ---- numbers and objects -------------------------------------------------------------------

    def start(self, status: RolloutStatus, entries: tuple[RouteEntry, ...], spec: int = 0) -> State:
        """Return the state of a world at rest around this status and route."""
        numbers = [0] * (CODES + self.versions)
        numbers[SPEC], numbers[STATUS], numbers[ROUTE] = spec, self.status_number(status), self.route_number(entries)
        return tuple(numbers)

    def status_number(self, status: RolloutStatus, now_offset: timedelta = timedelta(0)) -> int:
        plain = canonical(status, NOW + now_offset)
        return self.statuses.number(key_of(plain), plain)

    def route_number(self, entries: tuple[RouteEntry, ...]) -> int:
        return self.routes.number(entries, entries)

    def status(self, state: State) -> RolloutStatus:
        found: RolloutStatus = self.statuses.objects[state[STATUS]]
        return found

    def plan(self, state: State) -> RolloutSpec | None:
        spec = self.specs[state[SPEC]]
        return spec.last if isinstance(spec, InvalidSpec) else spec

    def shifted(self, number: int, ticks: int) -> int:
        """Return the same status so many ticks later."""
        key = (number, ticks)
        if key not in self._shifted:
            self._shifted[key] = self.status_number(self.statuses.objects[number], TICK * ticks)
        return self._shifted[key]

    def changed(self, number: int, name: str, change: Callable[[RolloutStatus], RolloutStatus]) -> int:
        """Return the status after a change that somebody else than the engine made."""
        key = (number, name)
        if key not in self._shifted:
            self._shifted[key] = self.status_number(change(self.statuses.objects[number]))
        return self._shifted[key]

    # ---- the two routes ------------------------------------------------------------------------

    def carried(self, state: State, *, beside: bool) -> Carried:
        """Return a route's rule: of "fraud", or of "fraud-b", which stands ``beside`` it."""
        found: Carried = self.besides.objects[state[BESIDE]] if beside else state[ROUTE : WRITER + 1]  # type: ignore[assignment]
        return found

    def with_carried(self, state: State, carried: Carried, *, beside: bool) -> State:
        changed = list(state)
        if beside:
            changed[BESIDE] = self.besides.number(carried, carried)
        else:
            changed[ROUTE : WRITER + 1] = carried
        return tuple(changed)

    def entries(self, state: State, *, beside: bool = False) -> tuple[RouteEntry, ...] | None:
        """The rule's entries; None where there is no rule to write."""
        number = self.carried(state, beside=beside)[0]
        return self.routes.objects[number] if number > NO_RULE else None

    def is_beside(self, state: State) -> bool:
        """Return whether the route that the operator looks at is the one named "fraud-b"."""
        ref = route_in_use(self.plan(state), self.status(state))
        return ref is not None and ref.name == facts.OTHER_ROUTE

    # ---- what a decision rests on --------------------------------------------------------------

    def seen(self, state: State) -> State:
        """Return the state as the operator believes it to be."""
        if not state[SEEN]:
            return state
        old: State = self.snapshots.objects[state[SEEN]]
        believed = list(state)
        for position in (*STALE_FIELDS, *range(CODES, len(state))):
            believed[position] = old[position]
        believed[FLAGS] = (state[FLAGS] & ~STALE_FLAGS) | (old[FLAGS] & STALE_FLAGS)
        return tuple(believed)

    def snapshot(self, state: State) -> int:
        """Return the number of what the operator sees now and will go on to believe."""
        # What is never believed from an old sight is left out, so that equal beliefs are one.
        kept = list(state)
        for position in (STATUS, EVIDENCE, TESTS, SEEN, HELD, FIGHTS):
            kept[position] = 0
        kept[FLAGS] &= STALE_FLAGS
        return self.snapshots.number(tuple(kept), tuple(kept))

    def told(self, believed: State) -> State:
        """Return the believed state without all that makes no difference to the decision: equal ones decide alike."""
        status, plan = self.status(believed), self.plan(believed)
        beside = self.is_beside(believed)
        told = list(believed)
        told[ROUTE : WRITER + 1], told[BESIDE] = self.carried(believed, beside=beside), int(beside)
        if told[ROUTE] <= NO_RULE:
            told[GATE] = told[WRITER] = 0
        planned = self.planned(status, plan)
        if planned is None or not planned[0].abort_on:
            told[EVIDENCE] = 0
        if planned is None or told[TESTS] < facts.TestState.PASSED:
            told[TESTS] = 0
        if not status.records:
            told[FLAGS] &= ~REGISTRY_DOWN
        told[SEEN] = told[HELD] = told[FIGHTS] = 0
        return tuple(told)

    def observe(self, told: State) -> tuple[RolloutSpec | InvalidSpec, RolloutStatus, Observation]:
        """Return what a decision rests on; ``told`` comes from the function of that name."""
        spec, status, plan = self.specs[told[SPEC]], self.status(told), self.plan(told)
        codes, flags, given = told[CODES:], told[FLAGS], told[COMMANDS]
        planned, target = self.planned(status, plan), given >> TARGET
        observed = Observation(
            name="fraud",
            generation=1,
            route=self._route(told, plan, status),
            deleted=bool(flags & DELETED),
            commands={verb.value: "x" for verb in VERBS if given & BIT[verb]},
            rollback_to=facts.VERSIONS[target - 1] if target else "",
            uid="uid-fraud",
            actors=ADA,
            policy=LAX,
            audit=AuditFacts(
                recorded=frozenset() if flags & REGISTRY_DOWN else frozenset(record.id for record in status.records)
            ),
            freeze="quarter end" if flags & FROZEN else None,
            conflict="other" if flags & CONFLICT else "",
            status_problem="it was written by a newer release" if flags & UNREADABLE else "",
            has_finalizer=bool(flags & FINALIZER),
            namespace_terminating=bool(flags & TERMINATING),
            served=self.served if plan is not None else frozenset(),
            endpoints=facts.endpoints_of(codes),
            missing=facts.missing_of(codes),
            versions=facts.versions_of(codes) if plan is not None else {},
            tests=facts.tests_of(told[TESTS], tuple(test.name for test in planned[0].tests)) if planned else {},
            readings=self._readings_of(status, plan, planned, told[EVIDENCE]),
            share=_share_of(status, planned, told[EVIDENCE]),
        )
        return spec, status, observed

    def _route(self, told: State, plan: RolloutSpec | None, status: RolloutStatus) -> facts.Route:
        if route_in_use(plan, status) is None:
            return facts.NO_PLAN
        found = self.routes.objects[told[ROUTE]]
        return found if isinstance(found, RouteProblem) else facts.route_of(found, told[GATE], told[WRITER])

    @staticmethod
    def planned(status: RolloutStatus, plan: RolloutSpec | None) -> tuple[Stage, int] | None:
        """Return the planned stage of the run and its index; None where no run is under way."""
        stage = status.stage
        if plan is None or stage is None or not is_running(status) or stage.index >= len(plan.stages):
            return None
        planned = plan.stages[stage.index]
        return (planned, stage.index) if planned.name == stage.name else None

    def _readings_of(
        self, status: RolloutStatus, plan: RolloutSpec | None, planned: tuple[Stage, int] | None, code: int
    ) -> tuple[Progress, ...]:
        if plan is None or planned is None or not planned[0].abort_on or status.candidate is None:
            return ()
        key = (id(plan), planned[1], code, status.candidate.weight)
        if key not in self._readings:
            self._readings[key] = facts.readings_of(plan, planned[1], code, status.candidate.weight)
        return self._readings[key]

    def restarted(self, state: State) -> State:
        """Return the state after a restart: what only the process knew is gone, what it missed is seen."""
        changed = list(state)
        changed[EVIDENCE] = changed[SEEN] = 0
        if self.valid <= changed[SPEC] < 2 * self.valid:
            changed[SPEC] = 2 * self.valid
        return tuple(changed)


def _hash_each_plan_once() -> None:
    """Hash each of a world's few specs once: SHA-256 for every record takes longer than deciding."""
    plain = outbox.plan_hash
    if plain.__module__ != outbox.__name__:
        return
    known: dict[int, tuple[RolloutSpec, str]] = {}

    def plan_hash(spec: RolloutSpec) -> str:
        if id(spec) not in known:
            known[id(spec)] = (spec, plain(spec))
        return known[id(spec)][1]

    modules: tuple[Any, ...] = (outbox, approvals)
    for module in modules:
        module.__dict__["plan_hash"] = plan_hash


def _share_of(status: RolloutStatus, planned: tuple[Stage, int] | None, code: int) -> RequestShare:
    if planned is None or not planned[0].abort_on or status.candidate is None:
        return NO_REQUESTS
    return facts.share_of(code, status.candidate.weight)

"""A world in memory around one Rollout: it does what decisions ask, and whatever else a test does to it.

Every decision that is ever taken in it is held against the laws.

It stands in for the API server, the gateway and Prometheus where only the engine is tested.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from serinus.api.abort_condition import NamedQuery
from serinus.api.model import ModelSpec, VersioningPolicy
from serinus.api.names import FIELD_MANAGER, Command
from serinus.api.rollout import RolloutSpec, share_of_copies
from serinus.api.rollout_status import Phase, RolloutStatus, TestResult
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress, begin, update
from serinus.engine.analysis.false_aborts import WARMUP_GUARDS
from serinus.engine.analysis.guards import is_warming, judged_in
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, Measured, NoData
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
from serinus.engine.rollout.decision import Decision, Event
from serinus.engine.rollout.modes import Running, mode_of, stage_of
from serinus.engine.rollout.observation import Actors, AuditFacts, InvalidSpec, Observation, TestOutcome, VersionFacts
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, RouteProblem, backend_key
from serinus.engine.rollout.traffic.managed import ManagedRoute, ManagedState
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from support.builders import NOW, a_key, a_route, a_spec, a_version
from support.history_laws import HISTORY_LAWS, Past
from support.law_terms import BrokenLawError, Step
from support.laws import judge
from support.points import problem_with_points

GOOD = Batch(700, 0, 0, 0)
BAD = Batch(700, 350, 350, 350)
NOTHING = Batch(0, 0, 0, 0)
ADA = Actors(
    requested_by="ada@example.org",
    spec_by="ada@example.org",
    version_by="ada@example.org",
    approved_by="ada@example.org",
)
LAX = ModelSpec(versioning=VersioningPolicy(allow_major_in_place=True))
SCRAPE = timedelta(seconds=15)


@dataclass
class World:
    """What surrounds the Rollout; every field may be changed by a test between two looks."""

    spec: RolloutSpec | InvalidSpec = field(default_factory=lambda: a_spec("2.0.0"))
    status: RolloutStatus = field(default_factory=RolloutStatus)
    now: datetime = NOW
    generation: int = 1
    versions: dict[str, VersionFacts] = field(default_factory=lambda: {v: a_version(v) for v in ("1.0.0", "2.0.0")})
    route: RouteFacts = field(default_factory=lambda: a_route({"1.0.0": 1}))
    quality: dict[str, Batch | None] = field(default_factory=dict)
    guarded: dict[str, Batch | None] = field(default_factory=dict)
    """What the metrics say to the guards, by version; None where they have no series for them."""
    test_results: dict[str, TestResult] = field(default_factory=dict)
    commands: dict[Command, str] = field(default_factory=dict)
    rollback_to: str = ""
    override: str = ""
    served: frozenset[str] = frozenset()
    freeze: str | None = None
    actors: Actors = ADA
    policy: ModelSpec = LAX
    unrecorded: frozenset[str] = frozenset()
    gateway_accepts: bool = True
    real_share: float | None = None
    registry_down: bool = False
    deleted: bool = False
    gone: bool = False
    terminating: bool = False
    has_finalizer: bool = False
    conflict: str = ""
    status_problem: str = ""
    route_problem: RouteProblem | None = None
    managed: ManagedRoute | None = None
    endpoints: dict[BackendKey, int] = field(default_factory=dict)
    missing: frozenset[BackendKey] = frozenset()
    events: list[Event] = field(default_factory=list)
    decisions: list[tuple[RolloutStatus, Observation, Decision]] = field(default_factory=list)
    ended_tests: dict[tuple[int, str], dict[str, TestOutcome]] = field(default_factory=dict)
    evidence: dict[tuple[int, int, datetime], tuple[Progress, ...]] = field(default_factory=dict)
    shares: dict[tuple[int, int, datetime], RequestShare] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    applied: set[str] = field(default_factory=set)
    """The laws whose premise was true at one decision at least."""

    # ---- what a test does ------------------------------------------------------------------

    def command(self, verb: Command, token: str = "because") -> "World":
        self.commands[verb] = f"{token}-{len(self.decisions)}"
        return self

    def pass_time(self, **length: float) -> "World":
        self.now += timedelta(**length)
        return self

    def wish(self, version: str, **fields: object) -> "World":
        self.versions.setdefault(version, a_version(version))
        self.spec = a_spec(version, **fields)
        return self

    def measure(self) -> "World":
        """One tick: the candidate's quality decides what the metrics say."""
        self.now += SCRAPE
        key = self._stage_key()
        if key is None:
            return self
        candidate = self.status.candidate
        batch = self.quality.get(candidate.version if candidate else "", GOOD)
        answer: Answer = (
            Counted(at=self.now, batch=batch)
            if batch is not None
            else CouldNotAsk(at=self.now, cause=Cause.PROVIDER_DOWN, message="no answer")
        )
        weight = candidate.weight if candidate else 0
        if candidate is not None and candidate.mirror is not None:
            weight = 100 * share_of_copies(candidate.mirror / 100)
        stable = self._stable_answer(self.real_share if self.real_share is not None else weight, batch)
        guarded = self._guarded(candidate.version if candidate else "")
        self.evidence[key] = tuple(
            update(progress, self._answer_to(progress, answer, guarded), stable) for progress in self._readings(key)
        )
        self.shares[key] = self.shares.get(key, NO_REQUESTS).plus_answers([(answer, stable)])
        return self

    def look(self, *, crash: str = "") -> Decision:
        """One look: decide, do the actions, then write the status; ``crash`` ends it ``before`` or ``between``."""
        observed = self.observe()
        decision = decide(self.spec, self.status, observed, self.now)
        step = Step(self.spec, self.status, observed, self.now, decision)
        self._judge(step)
        self.decisions.append((self.status, observed, decision))
        if crash == "before":
            return decision
        for action in decision.actions:
            if not self._do(action):
                return decision
        if crash == "between" or self.status_problem:
            return decision
        self.past = self.past.after(step)
        self.status = decision.status
        self.events.extend(decision.events)
        return decision

    def settle(self, most: int = 20) -> "World":
        """Look until nothing changes any more."""
        for _ in range(most):
            before = (self.status, self.route, self.ended_tests.copy())
            decision = self.look()
            self.gateway()
            if (self.status, self.route, self.ended_tests) == before and not decision.actions:
                return self
        raise AssertionError(f"it never comes to rest: {self.status.summary}")

    def run(self, until: Phase, *, ticks: int = 200) -> "World":
        """Let time pass, tick by tick, until the Rollout has this phase."""
        for _ in range(ticks):
            self.settle()
            if self.status.phase is until:
                return self
            self.measure()
        raise AssertionError(f"never {until}: {self.status.phase} {self.status.summary} {self.status.next_action}")

    def lose_service(self, version: str) -> None:
        """Somebody deletes the Service of a version; Gateway API has that spoil ResolvedRefs whatever its weight."""
        self.missing |= {a_key(version)}
        if version in self.versions:
            self.versions[version] = replace(self.versions[version], ready=0)

    def gateway(self) -> None:
        """The gateway takes the route as it stands, if it does."""
        if self.gateway_accepts:
            generation = self.route.generation
            resolved = not any(entry.key in self.missing for entry in self.route.entries)
            parents = tuple(
                replace(parent, accepted=True, observed_generation=generation, resolved=resolved)
                for parent in self.route.parents
            )
            self.route = replace(self.route, parents=parents)

    def fork(self) -> Self:
        """Another world that is like this one and goes its own way."""
        return replace(
            self,
            versions=dict(self.versions),
            quality=dict(self.quality),
            test_results=dict(self.test_results),
            commands=dict(self.commands),
            events=[],
            decisions=[],
            applied=set(),
            ended_tests={key: dict(ended) for key, ended in self.ended_tests.items()},
            evidence=dict(self.evidence),
            shares=dict(self.shares),
        )

    # ---- what a test looks at --------------------------------------------------------------

    def weight(self, version: str) -> int | None:
        """The route's weight of a version; None where it is not in the rule."""
        return next((entry.weight for entry in self.route.entries if entry.key == a_key(version)), None)

    def reasons(self) -> list[str]:
        return [event.reason.value for event in self.events]

    def observe(self) -> Observation:
        key = self._stage_key()
        stage = self.status.stage
        return Observation(
            name="fraud",
            namespace="payments",
            generation=self.generation,
            deleted=self.deleted,
            has_finalizer=self.has_finalizer,
            commands={verb.value: token for verb, token in self.commands.items()},
            rollback_to=self.rollback_to,
            override=self.override,
            uid="uid-fraud",
            actors=self.actors,
            policy=self.policy,
            audit=AuditFacts(recorded=self._recorded()),
            freeze=self.freeze,
            served=self.served,
            versions={version: self._countable(facts) for version, facts in self.versions.items()},
            route=self.route_problem or self.route,
            managed=self.managed,
            conflict=self.conflict,
            status_problem=self.status_problem,
            namespace_terminating=self.terminating,
            endpoints=dict(self.endpoints),
            missing=self.missing,
            tests=dict(self.ended_tests.get((self.status.run, stage.name), {})) if stage is not None else {},
            readings=self._readings(key) if key is not None else (),
            share=self.shares.get(key, NO_REQUESTS) if key is not None else NO_REQUESTS,
        )

    # ---- inside ----------------------------------------------------------------------------

    def _countable(self, facts: VersionFacts) -> VersionFacts:
        """A Service that is missing has no EndpointSlice, from which alone ready endpoints are counted."""
        missing = facts.backend is not None and backend_key(facts.backend) in self.missing
        return replace(facts, ready=0) if missing and facts.ready else facts

    def _recorded(self) -> frozenset[str]:
        made = frozenset() if self.registry_down else frozenset(one.id for one in self.status.records)
        return made - self.unrecorded

    def _judge(self, step: Step) -> None:
        """Fail on the first law that the decision breaks."""
        self.past = self.past.upto(self.now)
        judged = judge(step)
        for law, problem in judged.broken:
            raise BrokenLawError(law, problem)
        self.applied |= judged.applied
        if problem := problem_with_points(step.before, step.after):
            raise BrokenLawError("points", problem)
        for check in HISTORY_LAWS:
            found = check(step, self.past.counted)
            if found:
                raise BrokenLawError(check.__name__, found)
            self.applied |= {check.__name__} if found is not None else set()

    def _stage_key(self) -> tuple[int, int, datetime] | None:
        stage = self.status.stage
        if not isinstance(mode_of(self.status), Running) or stage is None:
            return None
        return (self.status.run, stage.index, stage.since)

    def _readings(self, key: tuple[int, int, datetime]) -> tuple[Progress, ...]:
        plan = self.spec.last if isinstance(self.spec, InvalidSpec) else self.spec
        if plan is None or stage_of(plan, self.status.stage) is None:
            return ()
        stage, current = plan.stages[key[1]], self.status.stage
        assert current is not None
        written, guards = judged_in(plan, current, self.status.baselines)
        known = self.status.stable is not None or is_warming(stage, current)
        return self.evidence.get(key) or tuple(
            begin(one, stage, plan.metrics, conditions_in_run=2, scrape_interval=SCRAPE, guard=one in guards)
            for one in (*written, *(guards if known else ()))
        )

    def _answer_to(self, progress: Progress, answer: Answer, guarded: Answer) -> Answer:
        if isinstance(progress.condition.metric, NamedQuery):
            return Measured(at=self.now, value=0.0)
        return guarded if progress.guard and progress.condition not in WARMUP_GUARDS else answer

    def _guarded(self, version: str) -> Answer:
        batch = self.guarded.get(version, GOOD)
        if batch is None:
            return NoData(at=self.now, cause=Cause.NO_SERIES, message="no series")
        return Counted(at=self.now, batch=batch)

    def _stable_answer(self, weight: float, batch: Batch | None) -> Answer | None:
        if batch is None or not 0 < weight < 100:
            return None
        return Counted(at=self.now, batch=Batch(batch.requests * (100 - weight) / weight, 0, 0, 0))

    def _do(self, action: Action) -> bool:
        """Do it, and return whether it succeeded."""
        match action:
            case SetWeights() if self.route_problem is not None:
                return False
            case SetWeights(shares=shares, ours=ours, filters_of=filters):
                entries = plan_entries(self.route.entries, shares, ours, filters, self.route.can)
                assert not isinstance(entries, Unplannable)
                if entries != self.route.entries:
                    changed = replace(self.route, entries=entries, generation=self.route.generation + 1)
                    self.route = replace(changed, written_by=FIELD_MANAGER if changed.written_by else "")
            case CreateRoute(shares=shares):
                entries = plan_entries((), shares, frozenset())
                assert not isinstance(entries, Unplannable)
                assert self.managed is not None
                self.route = replace(a_route({}), entries=entries, written_by=FIELD_MANAGER)
                self.route_problem, self.managed = None, replace(self.managed, state=ManagedState.OURS)
            case ShapeRoute():
                assert self.managed is not None
                self.managed = replace(self.managed, differs=())
                self.route = replace(self.route, generation=self.route.generation + 1)
            case SetMirror(mirror=mirror):
                mirrors = () if mirror is None else (mirror,)
                if mirrors != self.route.mirrors:
                    changed = replace(self.route, mirrors=mirrors, generation=self.route.generation + 1)
                    self.route = replace(changed, written_by=FIELD_MANAGER)
            case SetFinalizer(present=present):
                self.has_finalizer = present
                self.gone = self.deleted and not present
            case RunHttpTest(identity=identity) | RunJobTest(identity=identity):
                result = self.test_results.get(identity.test, TestResult.PASSED)
                ended = self.ended_tests.setdefault((identity.run, identity.stage), {})
                ended[identity.test] = TestOutcome(result, f"{identity.test} {result.value.lower()}")
        return True

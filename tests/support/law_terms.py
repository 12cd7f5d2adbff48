"""What the laws of docs/explanation/safety.md speak of: a decision with what it rests on, and words for its facts.

Nothing here asks the engine: who is bad, what has endpoints, who has served well is derived again from the stored
status, the observation and the decision.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from serinus.api.names import Command
from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus, RunResult, Serving, StageState, TestResult
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.decision import Decision, EventReason
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API
from serinus.engine.rollout.traffic.facts import BackendKey, RouteEntry, RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from serinus.engine.rollout.waiting import WaitReason

NOT_READY_LIMIT: Final = timedelta(seconds=30)
REFUSALS: Final = {
    WaitReason.VERSION_YANKED,
    WaitReason.SCHEMA_REJECTED,
    WaitReason.ARTIFACT_REJECTED,
    WaitReason.FACTS_MISSING,
}
NEVER_AGAIN: Final = {WaitReason.VERSION_YANKED, WaitReason.ARTIFACT_REJECTED}
LONGEST_TOKEN: Final = 1024


class BrokenLawError(AssertionError):
    """A decision breaks a law; ``law`` is the name of the check."""

    def __init__(self, law: str, problem: str) -> None:
        super().__init__(f"{law}: {problem}")
        self.law, self.problem = law, problem


@dataclass(frozen=True)
class Step:
    """One decision with what it rests on.

    Attributes:
        spec: the desired state.
        before: the stored status.
        observed: the facts.
        now: the time of the decision.
        decision: what was decided.
    """

    spec: RolloutSpec | InvalidSpec
    before: RolloutStatus
    observed: Observation
    now: datetime
    decision: Decision

    @property
    def after(self) -> RolloutStatus:
        return self.decision.status

    @cached_property
    def plan(self) -> RolloutSpec | None:
        return self.spec.last if isinstance(self.spec, InvalidSpec) else self.spec

    @cached_property
    def entries(self) -> tuple[RouteEntry, ...]:
        """The rule as it was observed; empty where it could not be."""
        return self.observed.route.entries if isinstance(self.observed.route, RouteFacts) else ()

    @cached_property
    def write(self) -> SetWeights | None:
        writes = [action for action in self.decision.actions if isinstance(action, SetWeights)]
        if len(writes) > 1:
            raise BrokenLawError("safety_first", "one decision writes the route twice")
        return writes[0] if writes else None

    @cached_property
    def written(self) -> tuple[RouteEntry, ...]:
        """The rule as it is once the decision's write is done."""
        write, route = self.write, self.observed.route
        if write is None:
            return self.entries
        can = route.can if isinstance(route, RouteFacts) else GATEWAY_API
        found = plan_entries(self.entries, write.shares, write.ours, write.filters_of, can)
        if isinstance(found, Unplannable):
            raise BrokenLawError("contained", f"a write that the router refuses: {found.message}")
        return found

    @cached_property
    def events(self) -> frozenset[EventReason]:
        return frozenset(event.reason for event in self.decision.events)

    def key_of(self, version: str) -> BackendKey | None:
        """Where a version serves: as either status says, else its ModelVersion; None where nobody knows."""
        for serving in (self.before.candidate, self.before.stable, self.after.candidate, self.after.stable):
            if serving is not None and serving.version == version and serving.backend is not None:
                return backend_key(serving.backend)
        facts = self.observed.versions.get(version)
        return backend_key(facts.backend) if facts is not None and facts.backend is not None else None

    @cached_property
    def planned_stage(self) -> Stage | None:
        """The stage of the spec that the stored run is in; None where there is none."""
        stage = self.before.stage
        if self.plan is None or stage is None or stage.index >= len(self.plan.stages):
            return None
        planned = self.plan.stages[stage.index]
        return planned if planned.name == stage.name else None


def is_running(status: RolloutStatus) -> bool:
    return status.rollback is None and status.stage is not None and status.candidate is not None


def is_rolling_back(status: RolloutStatus) -> bool:
    rollback, candidate = status.rollback, status.candidate
    unsafe = rollback is not None and rollback.traffic_safe_at is None
    return unsafe and (candidate is None or candidate.weight == 0)


def is_stranded(status: RolloutStatus) -> bool:
    rollback, candidate = status.rollback, status.candidate
    unsafe = rollback is not None and rollback.traffic_safe_at is None
    return unsafe and candidate is not None and candidate.weight > 0


def weight_at(entries: Iterable[RouteEntry], key: BackendKey | None) -> int:
    return sum(entry.weight for entry in entries if entry.key == key)


def share_at(entries: tuple[RouteEntry, ...], key: BackendKey | None) -> float:
    total = sum(entry.weight for entry in entries)
    return weight_at(entries, key) / total if total else 0.0


def has_endpoints(step: Step, version: str) -> bool:
    """A version whose endpoints cannot be counted is taken at its word."""
    key, facts = step.key_of(version), step.observed.versions.get(version)
    if key is None or key in step.observed.missing:
        return False
    if facts is not None and facts.backend is not None and backend_key(facts.backend) == key:
        return facts.ready is None or facts.ready > 0
    return step.observed.endpoints.get(key, 1) > 0


def has_served_well(step: Step, version: str) -> bool:
    status = step.before
    promoted = {run.version for run in status.history if run.result is RunResult.PROMOTED}
    stable = {status.stable.version} if status.stable is not None else set()
    return version in promoted | stable | step.observed.served or version == status.last_known_good


def is_barred(step: Step, version: str) -> bool:
    """Quarantined, yanked, or found with wrong bytes: what may stop a run does not bar a version that has served."""
    facts = step.observed.versions.get(version)
    block = facts.block if facts is not None else None
    refused = block is not None and block.reason in NEVER_AGAIN and not block.artifact_gone
    return refused or version in step.before.quarantined


def is_fit(step: Step, version: str) -> bool:
    """Whether a version may get traffic back, law 3."""
    return has_served_well(step, version) and not is_barred(step, version) and has_endpoints(step, version)


def fit_targets(step: Step, bad: str) -> set[str]:
    status = step.before
    named = {run.version for run in status.history} | set(step.observed.served) | set(step.observed.versions)
    named |= {one.version for one in (status.stable,) if one is not None}
    named |= {status.last_known_good} if status.last_known_good is not None else set()
    return {version for version in named if version != bad and is_fit(step, version)}


def fresh_tokens(step: Step) -> dict[str, str]:
    """The commands that have not been answered, by verb."""
    given = {verb: token[:LONGEST_TOKEN] for verb, token in step.observed.commands.items()}
    return {verb: token for verb, token in given.items() if step.before.last_handled.get(verb) != token}


def is_refused(step: Step, candidate: Serving) -> bool:
    facts = step.observed.versions.get(candidate.version)
    if facts is None:
        return False
    if facts.block is not None and not facts.block.temporary and facts.block.reason in REFUSALS:
        return True
    return facts.backend is not None and candidate.backend is not None and facts.backend != candidate.backend


def is_dead(step: Step, candidate: Serving) -> bool:
    """No ready endpoint for 30 s while it has weight, and another version has one."""
    since = candidate.not_ready_since
    if since is None or step.now - since < NOT_READY_LIMIT or has_endpoints(step, candidate.version):
        return False
    return bool(fit_targets(step, candidate.version))


def fault(step: Step) -> str:
    """Why the stored run's candidate must lose its traffic now; empty where nothing says so."""
    candidate, stage = step.before.candidate, step.before.stage
    if not is_running(step.before) or candidate is None or stage is None:
        return ""
    if any(reading.breached_at is not None for reading in step.observed.readings):
        return "breach"
    outcomes = step.observed.tests
    tests = step.planned_stage.tests if step.planned_stage is not None else ()
    failed = [test for test in tests if test.name in outcomes and outcomes[test.name].result is TestResult.FAILED]
    if stage.state is StageState.TESTING and any(not could_not_run(step, test.name) for test in failed):
        return "failed test"
    if is_refused(step, candidate):
        return "refused"
    if is_dead(step, candidate):
        return "no endpoints"
    tokens = fresh_tokens(step)
    return next((verb for verb in (Command.ABORT, Command.ROLLBACK) if verb.value in tokens), "")


def could_not_run(step: Step, name: str) -> bool:
    """Whether a Job's deadline came while the status knew why no container of it ran: no verdict on the version."""
    outcome = step.observed.tests.get(name)
    stored = next((test for test in step.before.tests if test.name == name), None)
    pending = stored is not None and stored.result in {TestResult.RUNNING, TestResult.NOT_RUN} and stored.message
    return outcome is not None and outcome.timed_out and bool(pending)


def bad_version(step: Step) -> str | None:
    """The version that must have no traffic once the decision is acted on; None where there is none."""
    before = step.before
    if step.observed.status_problem:
        return None
    if is_running(before) and before.candidate is not None:
        if fault(step) and not step.observed.deleted:
            return before.candidate.version
        return before.candidate.version if _is_left(step) else None
    if before.rollback is None:
        return None
    wanted_back = Command.RETRY.value in fresh_tokens(step) and EventReason.QUARANTINE_LIFTED in step.events
    return None if wanted_back or (before.stable is None and step.observed.deleted) else before.rollback.version


def _is_left(step: Step) -> bool:
    """Whether the run ends here without being promoted, and another version serves: nobody watches it any more."""
    before, after = step.before, step.after
    ended = step.observed.deleted or not is_running(after) or after.run != before.run
    promoted = EventReason.ROLLOUT_PROMOTED in step.events
    if not ended or promoted or before.stable is None or before.candidate is None:
        return False
    kept = is_running(after) and after.run == before.run
    # A candidate that nothing is wrong with keeps its traffic until another version can take it.
    beside = weight_at(step.entries, step.key_of(before.stable.version)) > 0
    return not kept or beside or bool(fit_targets(step, before.candidate.version))

"""The laws of docs/explanation/safety.md as checks of a decision: each is one function that returns what is broken.

They are written from that page, not from the engine: what must lose its traffic, who may gain some, what is known to
the status and what the route shows is derived here again from the stored status, the observation and the decision.

| Law | Function | Checked on |
|---|---|---|
| 1 Contained | ``contained``, ``stored_before_the_first_weight`` | every decision; rest: ``nothing_bad_has_weight`` |
| 2 True | ``true_to_the_route``, ``foreign_is_what_was_there`` | every decision |
| 3 No unproven target | ``no_unproven_target`` | every decision |
| 4 Verdict in force | ``verdict_in_force`` | every decision |
| 5 Safety has its own lane | ``safety_first`` | every decision; queues and workers: tests of the reconcilers |
| 6 Watched | none here: the analysis tracker's | tests/unit/reconcile/rollouts |
| 7 Nothing swallowed | ``nothing_swallowed`` | every decision; at rest: ``every_token_answered`` |
| 8 Unreadable is not empty | ``unreadable_is_not_empty`` | every decision |
| 9 Only the leader writes | none here: the lease's and the client's | tests/unit/reconcile, tests/unit/kube |
| 10 Outbox kept | ``outbox_kept`` | every decision; when the object goes: ``nothing_left_behind`` |
| 11 Held time | ``held_time_is_not_run_time`` | histories: see support.history_laws |
| 12 No fight | ``no_fight`` | histories: see support.history_laws |
| Promise 2 | ``no_weight_without_evidence`` | every decision |
| The modes' table | ``modes_follow`` | every decision |

The stories (tests/unit/engine/rollout/test_decide_*.py), the random histories (test_decide_laws.py) and the exploration
(test_decide_exploration.py, ``make explore``) all use ``check``.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import Command
from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus, RunResult, Serving, StageState, TestResult
from serinus.api.verdict import Verdict
from serinus.engine.analysis.assessment import assess
from serinus.engine.rollout.actions import SetFinalizer, SetWeights
from serinus.engine.rollout.decision import Decision, EventReason
from serinus.engine.rollout.modes import may_follow
from serinus.engine.rollout.observation import (
    BackendKey,
    InvalidSpec,
    Observation,
    RouteEntry,
    RouteFacts,
    backend_key,
)
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
CROWDED: Final = 160
CROWDED_WITH: Final = 250_000
"""Characters of people's words in waiting records."""
_SERVING: Final = re.compile(r"Serving (\S+) at ([\d.e+-]+)%")


class BrokenLawError(AssertionError):
    """A decision breaks a law; ``law`` is the name of the check."""

    def __init__(self, law: str, problem: str) -> None:
        super().__init__(f"{law}: {problem}")
        self.law = law


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
        if self.write is None:
            return self.entries
        found = plan_entries(self.entries, self.write.shares, self.write.ours, self.write.filters_of)
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


# ---- what the laws speak of --------------------------------------------------------------------


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


def _is_refused(step: Step, candidate: Serving) -> bool:
    facts = step.observed.versions.get(candidate.version)
    if facts is None:
        return False
    if facts.block is not None and not facts.block.temporary and facts.block.reason in REFUSALS:
        return True
    return facts.backend is not None and candidate.backend is not None and facts.backend != candidate.backend


def _is_dead(step: Step, candidate: Serving) -> bool:
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
    if _is_refused(step, candidate):
        return "refused"
    if _is_dead(step, candidate):
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
    return ended and not promoted and before.stable is not None


# ---- the laws ----------------------------------------------------------------------------------


def contained(step: Step) -> str:
    """Whatever else is gone, the bad version's entry goes to 0 as long as the route can be written.

    It may keep its traffic only where nothing else in the rule has some and no fit version has an endpoint.
    """
    bad = bad_version(step)
    if bad is None or not isinstance(step.observed.route, RouteFacts):
        return ""
    if step.after.stable is not None and step.after.stable.version == bad:
        # Nothing else serves: it is kept, and named as what serves.
        return _kept_alone(step, bad)
    key = step.key_of(bad)
    if key is None:
        stored = step.before.candidate
        old = stored is None or stored.backend is None
        return "" if old else f"nobody knows where {bad} serves"
    if weight_at(step.written, key) == 0:
        return ""
    if step.write is not None and weight_at(step.written, key) < weight_at(step.entries, key):
        return f"{bad} ({fault(step) or 'rolled back'}) is only lowered"
    return _kept_alone(step, bad)


def _kept_alone(step: Step, bad: str) -> str:
    key = step.key_of(bad)
    if any(entry.weight for entry in step.entries if entry.key != key):
        return f"{bad} ({fault(step) or 'rolled back'}) keeps weight although something else in the rule has some"
    targets = fit_targets(step, bad)
    if targets and weight_at(step.entries, key):
        return f"{bad} ({fault(step) or 'rolled back'}) keeps weight although {sorted(targets)} could take it"
    return ""


def stored_before_the_first_weight(step: Step) -> str:
    """A write that gives the candidate weight is decided on a stored status that can take it back."""
    candidate = step.after.candidate
    if step.write is None or candidate is None:
        return ""
    key = step.key_of(candidate.version)
    if weight_at(step.written, key) == 0 or share_at(step.written, key) <= share_at(step.entries, key):
        return ""
    stored = step.before.candidate
    if stored is None or stored.version != candidate.version:
        return f"{candidate.version} gets weight before it is stored as the candidate"
    if stored.backend is None or step.before.route is None:
        return f"{candidate.version} gets weight before the status holds its backend and the route"
    if step.before.stable is not None and step.before.stable.backend is None:
        return f"{candidate.version} gets weight before the status holds the stable version's backend"
    return ""


def true_to_the_route(step: Step) -> str:
    """Safe, confirmed and ``Serving N%`` are what the observed route shows, accepted at its generation."""
    if step.observed.status_problem:
        return ""
    safe = step.after.rollback is not None and step.after.rollback.traffic_safe_at is not None
    was_safe = step.before.rollback is not None and step.before.rollback.traffic_safe_at is not None
    condition = find_condition(step.after.conditions, ConditionType.TRAFFIC_CONFIRMED)
    confirmed = condition is not None and condition.status is ConditionStatus.TRUE
    bad = step.after.rollback.version if step.after.rollback is not None else ""
    # The run of a candidate without traffic just ends: it has none to lose, and no gateway to wait for.
    had_traffic = step.before.candidate is None or step.before.candidate.weight > 0 or not is_running(step.before)
    if safe and not was_safe:
        problem = (_unknown_weight(step) or _not_carried(step, resolved=False)) if had_traffic else ""
        if problem or weight_at(step.entries, step.key_of(bad)):
            return f"called safe: {problem or f'{bad} has weight'}"
    if confirmed:
        problem = _unknown_weight(step) or _not_carried(step, resolved=True) or _other_shares(step)
        if problem:
            return f"called confirmed: {problem}"
    return _summary_untrue(step)


def _unknown_weight(step: Step) -> str:
    if not isinstance(step.observed.route, RouteFacts):
        return "the route is not there"
    after, on_trial = step.after, step.after.candidate.weight if step.after.candidate is not None else 0
    named = {after.stable.version} if after.stable is not None and on_trial < 100 else set()
    if after.candidate is not None and on_trial > 0:
        named.add(after.candidate.version)
    keys = {step.key_of(version) for version in named}
    foreign = set(after.route.foreign) if after.route is not None else set()
    strange = [entry.key.label for entry in step.entries if entry.weight and entry.key not in keys]
    strange = [label for label in strange if label not in foreign]
    return f"{', '.join(strange)} has weight" if strange else ""


def _not_carried(step: Step, *, resolved: bool) -> str:
    route = step.observed.route
    if not isinstance(route, RouteFacts) or not route.parents:
        return "no parent carries the route"
    for parent in route.parents:
        if parent.observed_generation < route.generation or not parent.accepted:
            return f"{parent.name} has not accepted the route's generation"
        if resolved and not parent.resolved:
            return f"{parent.name} cannot resolve a backend"
    return ""


def _other_shares(step: Step) -> str:
    """The candidate's share of what is ours is the status's; what rounding to whole weights takes is a tenth."""
    candidate = step.after.candidate
    if candidate is None or step.after.route is None or step.after.route.foreign:
        return ""
    wanted, shown = candidate.weight / 100, share_at(step.entries, step.key_of(candidate.version))
    return f"{candidate.version} has {shown:.2%}, not {wanted:.2%}" if abs(shown - wanted) > wanted / 10 else ""


def _summary_untrue(step: Step) -> str:
    found = _SERVING.search(step.after.summary)
    if found is None or step.observed.status_problem or not isinstance(step.observed.route, RouteFacts):
        return ""
    version, said = found.group(1), float(found.group(2))
    shown = 100 * share_at(step.entries, step.key_of(version))
    return f"the summary says {version} at {said}%, the route {shown}%" if abs(shown - said) > 0.01 else ""


def foreign_is_what_was_there(step: Step) -> str:
    """The foreign backends are those of the run's beginning: none is added while it is under way."""
    before, after = step.before, step.after
    if before.route is None or after.route is None or before.run != after.run:
        return ""
    under_way = is_running(before) or is_rolling_back(before) or is_stranded(before)
    if under_way and (is_running(after) or after.rollback is not None):
        added = set(after.route.foreign) - set(before.route.foreign)
        if added:
            return f"{', '.join(added)} became foreign in mid-run"
        if (before.route.name, before.route.rule_name) != (after.route.name, after.route.rule_name):
            return "the route changed in mid-run"
    return ""


def no_unproven_target(step: Step) -> str:
    """Weight comes from the run's own stages, or goes back to a version that has served well and is fit."""
    if step.write is None:
        return ""
    route = step.before.route
    name = step.write.route.http_route.name
    under_way = is_running(step.before) or is_rolling_back(step.before) or is_stranded(step.before)
    if under_way and route is not None and name != route.name:
        return f"the run is on {route.name}, the write on {name}"
    for share in step.write.shares:
        key = backend_key(share.backend)
        if share_at(step.written, key) <= share_at(step.entries, key) + 1e-9:
            continue
        problem = _may_not_rise(step, key)
        if problem:
            return problem
    return ""


def _may_not_rise(step: Step, key: BackendKey) -> str:
    before, after = step.before, step.after
    if is_running(after) and after.candidate is not None and step.key_of(after.candidate.version) == key:
        return ""
    if after.stable is None or step.key_of(after.stable.version) != key:
        return f"{key.label} gets weight, which is neither stable nor on trial"
    version = after.stable.version
    restored = before.stable is not None and before.stable.version == version
    fallen = bad_version(step)
    had_none = before.candidate is None or before.candidate.weight == 0
    if restored and (fallen is None or (had_none and before.rollback is None)):
        return _empty_target(step, version)
    if not has_served_well(step, version) and weight_at(step.entries, key) == 0:
        return f"{version} gets the traffic although it has never served well"
    others = fit_targets(step, fallen or "") - {version}
    if not is_fit(step, version) and others and not step.observed.conflict:
        return f"{version} gets the traffic although it is not fit, and {sorted(others)} is"
    if not is_fit(step, version) and weight_at(step.entries, key) == 0:
        return f"{version} gets the traffic although it is not fit and had none"
    return ""


def _empty_target(step: Step, version: str) -> str:
    """A run that is left gives a good candidate's traffic to nobody without endpoints."""
    candidate, after = step.before.candidate, step.after
    left = is_running(step.before) and not is_running(after) and not step.observed.deleted and not fault(step)
    left = left and candidate is not None and candidate.weight > 0
    if left and candidate is not None and not has_endpoints(step, version) and has_endpoints(step, candidate.version):
        return f"{version} gets {candidate.version}'s traffic and has no endpoints"
    return ""


def verdict_in_force(step: Step) -> str:
    """What is refused, or has no endpoints for 30 s, after its run began is a fault like a failed test."""
    candidate = step.before.candidate
    if not is_running(step.before) or candidate is None or step.observed.status_problem or step.observed.deleted:
        return ""
    if not _is_refused(step, candidate) and not _is_dead(step, candidate):
        return ""
    if step.after.rollback is None or step.after.rollback.version != candidate.version:
        return f"{candidate.version} runs on although it is refused or dead"
    return ""


def safety_first(step: Step) -> str:
    """A write that takes weight from a bad version is the first action, and is marked as such."""
    write = step.write
    if write is None:
        return ""
    bad = bad_version(step) if fault(step) or step.before.rollback is not None else None
    trial = step.after.candidate.version if step.after.candidate is not None else bad
    lowers = bad is not None and weight_at(step.written, step.key_of(bad)) < weight_at(step.entries, step.key_of(bad))
    if lowers and bad != (step.after.stable.version if step.after.stable is not None else None):
        if not write.towards_safety and not step.observed.deleted:
            return f"the write that takes {bad}'s weight is not marked as one towards safety"
        if step.decision.actions[0] is not write and not step.observed.deleted:
            return f"something comes before the write that takes {bad}'s weight"
    if write.towards_safety and trial is not None:
        key = step.key_of(trial)
        if share_at(step.written, key) > share_at(step.entries, key):
            return f"a write towards safety raises {trial}"
    return ""


def nothing_swallowed(step: Step) -> str:
    """Each token ends in an effect, or in an event and a record that say why not; then it is acknowledged."""
    before, after, given = step.before.last_handled, step.after.last_handled, step.observed.commands
    if step.observed.status_problem:
        return ""
    remembered = [verb for verb in after if verb not in given]
    if remembered:
        return f"{', '.join(remembered)} is remembered although its annotation is gone"
    for verb, token in fresh_tokens(step).items():
        answered = _is_answered(step, Command(verb))
        if after.get(verb) == token and not answered:
            return f"{verb}={token} is acknowledged without an effect or a word"
        if after.get(verb) != token and answered:
            return f"{verb}={token} had an effect and is not acknowledged"
        if after.get(verb) != token and not _may_wait(step, Command(verb)):
            return f"{verb}={token} is neither answered nor kept for a reason"
    old = [verb for verb in given if before.get(verb) is not None and after.get(verb) is None]
    return f"{', '.join(old)} is forgotten although its annotation is there" if old else ""


_EFFECTS: Final = {
    Command.ABORT: {EventReason.ROLLBACK_STARTED, EventReason.NO_ROLLBACK_TARGET, EventReason.ROLLBACK_COMPLETED},
    Command.ROLLBACK: {EventReason.ROLLBACK_STARTED, EventReason.NO_ROLLBACK_TARGET, EventReason.ROLLBACK_COMPLETED},
    Command.PAUSE: {EventReason.ROLLOUT_PAUSED},
    Command.RESUME: {EventReason.ROLLOUT_RESUMED},
    Command.PROMOTE: {EventReason.APPROVED, EventReason.APPROVAL_REFUSED},
    Command.RETRY: {EventReason.QUARANTINE_LIFTED},
}


def _is_answered(step: Step, verb: Command) -> bool:
    ignored = any(
        event.reason is EventReason.COMMAND_IGNORED and f"{verb.value} was ignored" in event.message
        for event in step.decision.events
    )
    if verb in {Command.ABORT, Command.ROLLBACK}:
        asked = (EventReason.ROLLBACK_STARTED, EventReason.NO_ROLLBACK_TARGET, EventReason.ROLLBACK_COMPLETED)
        word = "Aborted by" if verb is Command.ABORT else "Rollback asked for by"
        found = any(event.reason in asked and word in event.message for event in step.decision.events)
        retreat = verb is Command.ROLLBACK and is_stranded(step.before) and EventReason.ROLLBACK_STARTED in step.events
        return ignored or found or retreat
    return ignored or bool(_EFFECTS[verb] & step.events)


def _may_wait(step: Step, verb: Command) -> bool:
    if step.observed.deleted:
        return True
    words = sum(len(record.reason) + len(record.message) for record in step.before.records)
    crowded = len(step.before.records) >= CROWDED or words >= CROWDED_WITH
    crowded = crowded and verb not in {Command.ABORT, Command.ROLLBACK}
    rolling = verb is Command.RETRY and (is_rolling_back(step.after) or is_rolling_back(step.before))
    return crowded or rolling


def unreadable_is_not_empty(step: Step) -> str:
    """An unreadable status is kept to the letter; an unreadable spec lets nothing start, rise or end."""
    if step.observed.status_problem:
        if step.after != step.before or step.decision.actions:
            return "an unreadable status is overwritten or acted on"
        return "" if step.decision.events else "an unreadable status is not reported"
    if not isinstance(step.spec, InvalidSpec) or step.observed.deleted:
        return ""
    before, after = step.before, step.after
    if after.run != before.run:
        return "a run begins although the spec cannot be read"
    if before.stable is not None and after.stable is None and not is_running(before) and after.rollback is None:
        return "the stable version is forgotten"
    trial = after.candidate if is_running(after) else None
    if trial is not None and before.candidate is not None and trial.weight > before.candidate.weight:
        return "the candidate's weight rises although the spec cannot be read"
    if is_running(before) and not is_running(after) and after.rollback is None:
        return "the run ends although the spec cannot be read"
    quiet = before.rollback is None and after.rollback is None
    if quiet and step.spec.path not in after.next_action and "ACT NOW" not in after.next_action:
        return f"nothing says that the spec cannot be read: {after.reason}"
    return ""


def outbox_kept(step: Step) -> str:
    """The finalizer is there while the candidate has weight or a record is not delivered, and else it is not."""
    observed = step.observed
    if observed.status_problem:
        return ""
    changes = [action for action in step.decision.actions if isinstance(action, SetFinalizer)]
    present = changes[0].present if changes else observed.has_finalizer
    delivered = observed.audit.recorded
    records = (*step.before.records, *step.after.records)
    undelivered = any(record.id not in delivered for record in records)
    forced = observed.deleted and observed.namespace_terminating
    if not present:
        if observed.deleted and not observed.has_finalizer:
            return ""
        if undelivered and not forced:
            return "no finalizer although a record is not delivered"
        trial = _trial_weight(step)
        return f"no finalizer although {trial} has weight" if trial else ""
    if not undelivered and not _trial_weight(step):
        return "the finalizer stays although nothing is left to settle"
    return _raised_before_finalizer(step)


def _trial_weight(step: Step) -> str:
    """The version on trial that has weight: as the decided status says, or as the route still shows."""
    after, before = step.after, step.before
    if (is_running(after) or is_stranded(after)) and after.candidate is not None and after.candidate.weight > 0:
        return after.candidate.version
    trial = before.candidate
    if trial is None or (after.stable is not None and after.stable.version == trial.version):
        return ""
    return trial.version if weight_at(step.entries, step.key_of(trial.version)) else ""


def _raised_before_finalizer(step: Step) -> str:
    candidate = step.after.candidate
    if step.write is None or candidate is None or step.observed.has_finalizer or not is_running(step.after):
        return ""
    key = step.key_of(candidate.version)
    if share_at(step.written, key) <= share_at(step.entries, key):
        return ""
    order = [type(action) for action in step.decision.actions]
    late = SetFinalizer not in order or order.index(SetFinalizer) > order.index(SetWeights)
    return f"{candidate.version} gets weight before the finalizer is there" if late else ""


def no_weight_without_evidence(step: Step) -> str:
    """The candidate's share rises only in its run, unheld, without a fault, and above 0 only on passed evidence."""
    candidate, stage = step.after.candidate, step.after.stage
    key = step.key_of(candidate.version) if candidate is not None else None
    risen_on_route = candidate is not None and share_at(step.written, key) > share_at(step.entries, key) + 1e-9
    stored = step.before.candidate
    same = stored is not None and candidate is not None and step.before.run == step.after.run
    earlier = stored.weight if same and stored is not None else 0.0
    if candidate is None or stage is None or not is_running(step.after):
        return f"{candidate.version} rises outside a run" if candidate is not None and risen_on_route else ""
    if risen_on_route and fault(step):
        return f"{candidate.version} rises in spite of: {fault(step)}"
    if risen_on_route and share_at(step.written, key) > candidate.weight / 100 * 1.1 + 1e-9:
        return f"{candidate.version} rises above its stage"
    if candidate.weight <= earlier:
        return ""
    if isinstance(step.spec, InvalidSpec) or step.observed.conflict:
        return f"{candidate.version} rises although the spec cannot be followed"
    if step.observed.freeze is not None or step.after.paused is not None or step.observed.deleted:
        return f"{candidate.version} rises although it is held"
    if not has_endpoints(step, candidate.version) or candidate.version not in step.observed.versions:
        return f"{candidate.version} rises without a ready endpoint"
    if step.before.stage is None or not same or earlier == 0:
        return ""
    return _not_passed(step, step.before.stage.index)


def _not_passed(step: Step, index: int) -> str:
    after, plan = step.after, step.plan
    if plan is None or after.stage is None or after.stage.index <= index:
        return "the weight rises within a stage"
    if _not_carried(step, resolved=True):
        return f"the weight rises although {_not_carried(step, resolved=True)}"
    left = plan.stages[index]
    verdicts = [assess(reading, left, step.now).verdict for reading in step.observed.readings]
    passed = verdicts == [Verdict.PASS] * len(left.abort_on)
    return "" if passed else f"the weight rises on {[verdict.value for verdict in verdicts]}"


def modes_follow(step: Step) -> str:
    """The modes and states follow each other as the state diagram says."""
    if may_follow(step.before, step.after):
        return ""
    return f"{step.before.phase} {step.before.stage} -> {step.after.phase} {step.after.stage}"


Law = Callable[[Step], str]

LAWS: Final[tuple[Law, ...]] = (
    contained,
    stored_before_the_first_weight,
    true_to_the_route,
    foreign_is_what_was_there,
    no_unproven_target,
    verdict_in_force,
    safety_first,
    nothing_swallowed,
    unreadable_is_not_empty,
    outbox_kept,
    no_weight_without_evidence,
    modes_follow,
)
"""The laws that every single decision keeps."""


def broken(step: Step) -> tuple[str, str] | None:
    """Return the first law that the decision breaks, with what is wrong; None where it keeps them all."""
    for law in LAWS:
        problem = law(step)
        if problem:
            return law.__name__, problem
    return None


def check(step: Step) -> None:
    """Fail on the first law that the decision breaks."""
    found = broken(step)
    if found is not None:
        raise BrokenLawError(*found)

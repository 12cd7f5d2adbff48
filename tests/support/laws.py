"""The laws of docs/explanation/safety.md as checks of a decision: each is one named function.

They are written from that page, not from the engine: what must lose its traffic, who may gain some, what is known to
the status and what the route shows is derived again in support.law_terms.

| Law | Function | Checked on |
|---|---|---|
| 1 Contained | ``contained``, ``stored_before_the_first_weight`` | every decision; rest: ``nothing_bad_has_weight`` |
| 2 True | ``true_to_the_route``, ``foreign_is_what_was_there`` | every decision |
| 3 No unproven target | ``no_unproven_target`` | every decision |
| 4 Verdict in force | ``verdict_in_force`` | every decision |
| 5 Safety has its own lane | ``safety_first`` | every decision; queues and workers: tests of the reconcilers |
| 6 Watched | none here: the analysis tracker's | tests/unit/reconcile/rollouts |
| 7 Nothing swallowed | ``nothing_swallowed``, ``pause_kept`` | every decision; at rest: ``every_token_answered`` |
| 8 Unreadable is not empty | ``unreadable_is_not_empty`` | every decision |
| 9 Only the leader writes | none here: the lease's and the client's | tests/unit/reconcile, tests/unit/kube |
| 10 Outbox kept | ``outbox_kept`` | every decision; rest: ``deletion_ends``; once gone: ``nothing_left_behind`` |
| 11 Held time | ``held_time_is_not_run_time`` | every decision, with what the history has counted |
| 12 No fight | ``no_fight`` | every decision, with what the history has counted |
| Promise 2 | ``no_weight_without_evidence`` | every decision |
| The modes' table | ``modes_follow`` | every decision; rest: ``rollback_ends``, ``comes_to_rest`` |

Laws 11 and 12 are in support.history_laws, those of a world at rest in support.rest_laws; ``comes_to_rest`` is the
exploration's own, which knows what follows on what.

The stories (tests/unit/engine/rollout/test_decide_*.py), the random histories (test_decide_laws.py) and the exploration
(test_decide_exploration.py, ``make explore``) all use ``judge``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import Command
from serinus.api.rollout_status import RolloutStatus
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess
from serinus.engine.rollout.actions import SetFinalizer, SetMirror, SetWeights
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.modes import may_follow
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, backend_key
from support.law_terms import (
    BrokenLawError,
    Step,
    bad_version,
    fault,
    fit_targets,
    fresh_tokens,
    has_endpoints,
    has_served_well,
    is_dead,
    is_fit,
    is_refused,
    is_rolling_back,
    is_running,
    is_stranded,
    share_at,
    weight_at,
)

CROWDED: Final = 160
"""So many undelivered records stop every command but those towards safety."""
CROWDED_WITH: Final = 250_000
"""Characters of people's words in waiting records."""
_SERVING: Final = re.compile(r"Serving (\S+) at ([\d.e+-]+)%")

Law = Callable[[Step], str | None]
"""Returns what is broken; empty where the law is kept; None where it does not apply: its premise is not true."""


def contained(step: Step) -> str | None:
    """Whatever else is gone, the bad version's entry goes to 0 as long as the route can be written.

    It may keep its traffic only where nothing else in the rule has some and no fit version has an endpoint.
    """
    if _copies_stay(step):
        return "nobody takes out the copies of requests that no stage gives"
    bad = bad_version(step)
    if bad is None or not isinstance(step.observed.route, RouteFacts):
        return None
    if step.after.stable is not None and step.after.stable.version == bad:
        # Nothing else serves: it is kept, and named as what serves.
        return _kept_alone(step, bad)
    key = step.key_of(bad)
    if key is None:
        stored = step.before.candidate
        old = stored is None or stored.backend is None
        return None if old else f"nobody knows where {bad} serves"
    if weight_at(step.written, key) == 0:
        return ""
    if step.write is not None and weight_at(step.written, key) < weight_at(step.entries, key):
        return f"{bad} ({fault(step) or 'rolled back'}) is only lowered"
    return _kept_alone(step, bad)


def _copies_stay(step: Step) -> bool:
    """Whether a rule goes on to copy requests although no run is in a stage that does, or to another version."""
    route, trial = step.observed.route, step.after.candidate
    if step.observed.status_problem or not isinstance(route, RouteFacts) or not route.mirrors:
        return False
    given = is_running(step.after) and trial is not None and trial.mirror is not None
    key = step.key_of(trial.version) if given and trial is not None else None
    rightly = all(mirror.key == key for mirror in route.mirrors)
    return not rightly and not any(isinstance(action, SetMirror) for action in step.decision.actions)


def _kept_alone(step: Step, bad: str) -> str:
    key = step.key_of(bad)
    if any(entry.weight for entry in step.entries if entry.key != key):
        return f"{bad} ({fault(step) or 'rolled back'}) keeps weight although something else in the rule has some"
    targets = fit_targets(step, bad)
    if targets and weight_at(step.entries, key):
        return f"{bad} ({fault(step) or 'rolled back'}) keeps weight although {sorted(targets)} could take it"
    return ""


def stored_before_the_first_weight(step: Step) -> str | None:
    """A write that gives the candidate weight is decided on a stored status that can take it back."""
    candidate = step.after.candidate
    if step.write is None or candidate is None:
        return None
    key = step.key_of(candidate.version)
    if weight_at(step.written, key) == 0 or share_at(step.written, key) <= share_at(step.entries, key):
        return None
    stored = step.before.candidate
    if stored is None or stored.version != candidate.version:
        return f"{candidate.version} gets weight before it is stored as the candidate"
    if stored.backend is None or step.before.route is None:
        return f"{candidate.version} gets weight before the status holds its backend and the route"
    if step.before.stable is not None and step.before.stable.backend is None:
        return f"{candidate.version} gets weight before the status holds the stable version's backend"
    return ""


def true_to_the_route(step: Step) -> str | None:
    """Safe, confirmed and ``Serving N%`` are what the observed route shows, accepted at its generation."""
    if step.observed.status_problem:
        return None
    safe = step.after.rollback is not None and step.after.rollback.traffic_safe_at is not None
    was_safe = step.before.rollback is not None and step.before.rollback.traffic_safe_at is not None
    condition = find_condition(step.after.conditions, ConditionType.TRAFFIC_CONFIRMED)
    confirmed = condition is not None and condition.status is ConditionStatus.TRUE
    bad = step.after.rollback.version if step.after.rollback is not None else ""
    # The run of a candidate without traffic just ends: it has none to lose, and no gateway to wait for.
    had_traffic = step.before.candidate is None or step.before.candidate.weight > 0 or not is_running(step.before)
    if safe and not was_safe:
        problem = (unknown_weight(step) or _not_carried(step, resolved=False)) if had_traffic else ""
        if problem or weight_at(step.entries, step.key_of(bad)):
            return f"called safe: {problem or f'{bad} has weight'}"
    if confirmed:
        problem = unknown_weight(step) or _not_carried(step, resolved=True) or _other_shares(step)
        if problem:
            return f"called confirmed: {problem}"
    untrue = _summary_untrue(step)
    return "" if untrue is None and (confirmed or (safe and not was_safe)) else untrue


def unknown_weight(step: Step) -> str:
    """Which entries have weight although the decided status names neither them nor knew them from the beginning."""
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


def _summary_untrue(step: Step) -> str | None:
    found = _SERVING.search(step.after.summary)
    if found is None or not isinstance(step.observed.route, RouteFacts):
        return None
    version, said = found.group(1), float(found.group(2))
    shown = 100 * share_at(step.entries, step.key_of(version))
    return f"the summary says {version} at {said}%, the route {shown}%" if abs(shown - said) > 0.01 else ""


def foreign_is_what_was_there(step: Step) -> str | None:
    """The foreign backends are those of the run's beginning: none is added while it is under way."""
    before, after = step.before, step.after
    under_way = is_running(before) or is_rolling_back(before) or is_stranded(before)
    goes_on = under_way and before.run == after.run and (is_running(after) or after.rollback is not None)
    if not goes_on or before.route is None or after.route is None:
        return None
    added = set(after.route.foreign) - set(before.route.foreign)
    if added:
        return f"{', '.join(added)} became foreign in mid-run"
    if (before.route.name, before.route.rule_name) != (after.route.name, after.route.rule_name):
        return "the route changed in mid-run"
    return ""


def no_unproven_target(step: Step) -> str | None:
    """Weight comes from the run's own stages, or goes back to a version that has served well and is fit."""
    if step.write is None:
        return None
    route = step.before.route
    name = step.write.route.name
    under_way = is_running(step.before) or is_rolling_back(step.before) or is_stranded(step.before)
    if under_way and route is not None and name != route.name:
        return f"the run is on {route.name}, the write on {name}"
    keys = [backend_key(share.backend) for share in step.write.shares]
    rising = [key for key in keys if share_at(step.written, key) > share_at(step.entries, key) + 1e-9]
    problems = (_may_not_rise(step, key) for key in rising)
    return next((problem for problem in problems if problem), "") if rising else None


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
    if restored and (fallen is None or (had_none and before.rollback is None) or _is_over(step, fallen)):
        return _empty_target(step, version)
    if _is_adopted(step, version):
        return ""
    if not has_served_well(step, version) and weight_at(step.entries, key) == 0:
        return f"{version} gets the traffic although it has never served well"
    others = fit_targets(step, fallen or "") - {version}
    if not is_fit(step, version) and others and not step.observed.conflict:
        return f"{version} gets the traffic although it is not fit, and {sorted(others)} is"
    # Somebody has emptied the rule: what the status names as serving is put back, whatever its endpoints do.
    emptied = restored and not any(entry.weight for entry in step.entries)
    # Nor does anything answer where the version that is left by a deletion has no endpoints either.
    unanswered = step.observed.deleted and fallen is not None and not has_endpoints(step, fallen)
    if not is_fit(step, version) and weight_at(step.entries, key) == 0 and not emptied and not unanswered:
        return f"{version} gets the traffic although it is not fit and had none"
    return ""


def _is_over(step: Step, fallen: str) -> bool:
    """Whether the rollback is complete and the route shows it: what serves is put right as in any other rest."""
    rollback = step.before.rollback
    over = rollback is not None and rollback.traffic_safe_at is not None
    return over and weight_at(step.entries, step.key_of(fallen)) == 0


def _is_adopted(step: Step, version: str) -> bool:
    """Whether the spec names another route now, which gives this version the most of what is ours already."""
    before, after = step.before, step.after
    moved = before.route is not None and after.route is not None and before.route.name != after.route.name
    ours = {backend_key(facts.backend) for facts in step.observed.versions.values() if facts.backend is not None}
    most = max((weight_at(step.entries, key) for key in ours), default=0)
    return moved and not is_running(before) and 0 < most == weight_at(step.entries, step.key_of(version))


def _empty_target(step: Step, version: str) -> str:
    """A run that is left gives a good candidate's traffic to nobody without endpoints."""
    candidate, after = step.before.candidate, step.after
    left = is_running(step.before) and not is_running(after) and not step.observed.deleted and not fault(step)
    left = left and candidate is not None and candidate.weight > 0
    if left and candidate is not None and not has_endpoints(step, version) and has_endpoints(step, candidate.version):
        return f"{version} gets {candidate.version}'s traffic and has no endpoints"
    return ""


def verdict_in_force(step: Step) -> str | None:
    """What is refused, or has no endpoints for 30 s, after its run began is a fault like a failed test."""
    candidate = step.before.candidate
    if not is_running(step.before) or candidate is None or step.observed.status_problem or step.observed.deleted:
        return None
    if not is_refused(step, candidate) and not is_dead(step, candidate):
        return None
    if step.after.rollback is None or step.after.rollback.version != candidate.version:
        return f"{candidate.version} runs on although it is refused or dead"
    return ""


def safety_first(step: Step) -> str | None:
    """A write that takes weight from a bad version is the first action, and is marked as such."""
    write = step.write
    if write is None:
        return None
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
    return "" if lowers or write.towards_safety else None


def nothing_swallowed(step: Step) -> str | None:
    """Each token ends in an effect, or in an event and a record that say why not; then it is acknowledged."""
    before, after, given = step.before.last_handled, step.after.last_handled, step.observed.commands
    if step.observed.status_problem or not (given or before):
        return None
    remembered = [verb for verb in after if verb not in given]
    if remembered:
        return f"{', '.join(remembered)} is remembered although its annotation is gone"
    for verb, token in fresh_tokens(step).items():
        answered = _is_answered(step, Command(verb))
        if after.get(verb) == token and not answered:
            return f"{verb}={token} is acknowledged without an effect or a word"
        # A Rollout that is being deleted ends its run whatever else is asked for: the words may be those of before.
        if after.get(verb) != token and answered and not step.observed.deleted:
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


def pause_kept(step: Step) -> str | None:
    """A pause ends by a resume, or with the rollback of the run that it holds; without a run it holds the next one."""
    before, after = step.before, step.after
    if before.paused is None:
        return None
    if EventReason.ROLLOUT_RESUMED in step.events or step.observed.deleted:
        return ""
    if after.run != before.run:
        return "a run begins in a pause"
    if after.paused is not None:
        return ""
    held = is_running(before) or is_stranded(before)
    return "" if held and after.rollback is not None else "the pause is over although nobody has resumed"


def unreadable_is_not_empty(step: Step) -> str | None:
    """An unreadable status is kept to the letter; an unreadable spec lets nothing start, rise or end."""
    if step.observed.status_problem:
        if step.after != step.before or step.decision.actions:
            return "an unreadable status is overwritten or acted on"
        return "" if step.decision.events else "an unreadable status is not reported"
    if not isinstance(step.spec, InvalidSpec) or step.observed.deleted:
        return None
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


def outbox_kept(step: Step) -> str | None:
    """The finalizer is there while the candidate has weight or copies or a record is not delivered, and else not."""
    observed = step.observed
    if observed.status_problem:
        return None
    changes = [action for action in step.decision.actions if isinstance(action, SetFinalizer)]
    present = changes[0].present if changes else observed.has_finalizer
    delivered = observed.audit.recorded
    records = (*step.before.records, *step.after.records)
    undelivered = any(record.id not in delivered for record in records)
    forced = observed.deleted and observed.namespace_terminating
    if not present:
        if observed.deleted and not observed.has_finalizer:
            return None
        if undelivered and not forced:
            return "no finalizer although a record is not delivered"
        trial = _trial_weight(step)
        if trial:
            return f"no finalizer although {trial} has weight or copies"
        return "" if changes else None
    if not undelivered and not _trial_weight(step):
        return "the finalizer stays although nothing is left to settle"
    return _raised_before_finalizer(step)


def _trial_weight(step: Step) -> str:
    """The version on trial that has weight or copies: as the decided status says, or as the route still shows."""
    after, before, route = step.after, step.before, step.observed.route
    given = after.candidate if is_running(after) or is_stranded(after) else None
    if given is not None and (given.weight > 0 or given.mirror is not None):
        return given.version
    if isinstance(route, RouteFacts) and route.mirrors:
        return "what the rule mirrors to"
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


def no_weight_without_evidence(step: Step) -> str | None:
    """The candidate's share rises only in its run, unheld, without a fault, and above 0 only on passed evidence."""
    candidate, stage = step.after.candidate, step.after.stage
    key = step.key_of(candidate.version) if candidate is not None else None
    risen_on_route = candidate is not None and share_at(step.written, key) > share_at(step.entries, key) + 1e-9
    stored = step.before.candidate
    same = stored is not None and candidate is not None and step.before.run == step.after.run
    earlier = stored.weight if same and stored is not None else 0.0
    if candidate is None or stage is None or not is_running(step.after):
        return f"{candidate.version} rises outside a run" if candidate is not None and risen_on_route else None
    if risen_on_route and fault(step):
        return f"{candidate.version} rises in spite of: {fault(step)}"
    if risen_on_route and share_at(step.written, key) > candidate.weight / 100 * 1.1 + 1e-9:
        return f"{candidate.version} rises above its stage"
    if candidate.weight <= earlier:
        return "" if risen_on_route else None
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
    judged = [assess(reading, left, step.now) for reading in step.observed.readings]
    verdicts = [one.verdict for one in judged if not one.guard]
    if verdicts != [Verdict.PASS] * len(left.abort_on):
        return f"the weight rises on {[verdict.value for verdict in verdicts]}"
    bad = (Verdict.BREACH, Cause.UNDECIDED)
    suspected = [one.condition.text for one in judged if one.guard and (one.verdict in bad or one.cause in bad)]
    return f"the weight rises in spite of {suspected}" if suspected else ""


def modes_follow(step: Step) -> str | None:
    """The modes and states follow each other as the state diagram says."""
    before, after = step.before, step.after
    if _where(before) == _where(after):
        return None
    if may_follow(before, after):
        return ""
    return f"{before.phase} {before.stage} -> {after.phase} {after.stage}"


def _where(status: RolloutStatus) -> tuple[object, ...]:
    rollback, stage = status.rollback, status.stage
    return (
        None if rollback is None else (rollback.version, rollback.traffic_safe_at is None),
        None if stage is None else (status.run, stage.index, stage.state),
        status.stable is None,
        is_running(status),
    )


LAWS: Final[tuple[Law, ...]] = (
    contained,
    stored_before_the_first_weight,
    true_to_the_route,
    foreign_is_what_was_there,
    no_unproven_target,
    verdict_in_force,
    safety_first,
    nothing_swallowed,
    pause_kept,
    unreadable_is_not_empty,
    outbox_kept,
    no_weight_without_evidence,
    modes_follow,
)
"""The laws that every single decision keeps."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the laws say of one decision.

    Attributes:
        applied: the names of the laws whose premise was true.
        broken: the laws that the decision breaks, each with what is wrong.
    """

    applied: frozenset[str]
    broken: tuple[tuple[str, str], ...] = ()


def judge(step: Step, laws: tuple[Law, ...] = LAWS) -> Judgement:
    """Hold a decision against the laws."""
    applied: set[str] = set()
    broken: list[tuple[str, str]] = []
    for law in laws:
        try:
            problem = law(step)
        except BrokenLawError as error:
            broken.append((error.law, error.problem))
            break
        if problem is None:
            continue
        applied.add(law.__name__)
        if problem:
            broken.append((law.__name__, problem))
    return Judgement(frozenset(applied), tuple(broken))

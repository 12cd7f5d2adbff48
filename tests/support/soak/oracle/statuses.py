"""Rules of the status: what it says is what the route carries, and who serves has served well."""

from serinus.api.conditions import ConditionStatus
from serinus.api.rollout_status import Phase, Rollback, RolloutStatus
from support.soak.facts import METRICS, WRITES, StatusWritten, Trouble
from support.soak.oracle import bounds, outcomes
from support.soak.oracle.case import Case
from support.soak.oracle.state import EXACT, Trial

_RACE = 2.0
"""Seconds within which somebody else's write of the route may not have been seen."""


def take(case: Case, fact: StatusWritten) -> None:
    """Judge a status as it is written."""
    model = case.model
    before, model.status = model.status, fact.status
    _answers(case, before, fact)
    _paused(case, fact)
    _adopted(case, before, fact)
    _begun(case, fact)
    if fact.status.rollback is not None and _is_new(before.rollback, fact.status.rollback):
        outcomes.rolled_back(case, fact.status.rollback, fact.at)
    _history(case, fact)
    _truth(case, fact)
    _serving(case, fact.status, fact.at)


def _is_new(before: Rollback | None, after: Rollback) -> bool:
    return before is None or (before.version, before.decided_at) != (after.version, after.decided_at)


def _answers(case: Case, before: RolloutStatus, fact: StatusWritten) -> None:
    for verb, token in fact.status.last_handled.items():
        if before.last_handled.get(verb) != token:
            case.pay(("command answered", verb), fact.at)
            if verb == "pause" and fact.status.paused is None:
                case.model.commands.pop(verb, None)  # there was nothing to pause


def _paused(case: Case, fact: StatusWritten) -> None:
    """Held time is not run time: law 11."""
    model, trial = case.model, case.trial
    if fact.status.paused is not None:
        model.paused_at = fact.at if model.paused_at is None else model.paused_at
    elif model.paused_at is not None:
        if trial is not None:
            trial.held += fact.at - max(model.paused_at, trial.granted_at)
        model.paused_at = None


def _adopted(case: Case, before: RolloutStatus, fact: StatusWritten) -> None:
    """What the route served alone when nothing else was known has served well by definition."""
    model, stable = case.model, fact.status.stable
    if stable is not None and before.stable is None and not model.proven:
        model.proven.add(stable.version)


def _begun(case: Case, fact: StatusWritten) -> None:
    model, status = case.model, fact.status
    candidate, trial = status.candidate, case.trial
    if status.stage is None or candidate is None or status.run in {0, model.runs_seen.get(model.uid)}:
        return
    if trial is None or (trial.uid, trial.run) != (fact.uid, status.run):
        case.counts["runs"] += 1
        model.runs_seen[model.uid] = status.run
        model.trial = Trial(fact.uid, status.run, candidate.version)
        model.plans = model.plans[-1:]
        case.pay(("run begun",), fact.at)
        key = ("start recorded", fact.uid, str(status.run))
        claim = f"RolloutStarted of run {status.run} must be recorded"
        case.owe(key, claim, fact.at, bounds.WRITTEN_DOWN, WRITES | {Trouble.REGISTRY})


def _history(case: Case, fact: StatusWritten) -> None:
    model, status = case.model, fact.status
    seen = model.ends_seen.setdefault(fact.uid, [])
    for run in reversed(status.history):
        if (run.run, run.version) not in seen:
            seen.append((run.run, run.version))
            outcomes.ended(case, run, fact.at)
    del seen[:-20]


def _truth(case: Case, fact: StatusWritten) -> None:
    """What is called confirmed or safe must be on the route at this moment."""
    model, status, at = case.model, fact.status, fact.at
    blind = model.calm.since(frozenset({Trouble.WATCH}), model.name, at)
    if at - max(model.foreign_at, blind) < _RACE:
        return
    confirmed = any(
        condition.type == "TrafficConfirmed" and condition.status is ConditionStatus.TRUE
        for condition in status.conditions
    )
    if confirmed and (wrong := differences(case)):
        case.find(at, "true to the route", f"TrafficConfirmed, but {wrong}")
    rollback = status.rollback
    if rollback is not None and rollback.traffic_safe_at is not None and status.phase is Phase.ROLLED_BACK:
        share = model.shares.get(rollback.version, 0.0)
        if share > EXACT:
            case.find(at, "true to the route", f"{rollback.version} is called safe and has {share:g} %")


def differences(case: Case) -> str:
    """Return where the route differs from what the status says."""
    model = case.model
    roles = (model.status.stable, model.status.candidate)
    said = {role.version: role.weight for role in roles if role is not None}
    for version in {*said, *model.shares}:
        share = model.shares.get(version, 0.0)
        if abs(share - said.get(version, 0.0)) > EXACT:
            return f"{version} has {share:g} % and the status says {said.get(version, 0.0):g}"
    return ""


def _serving(case: Case, status: RolloutStatus, at: float) -> None:
    model, stable = case.model, status.stable
    if stable is not None and stable.version not in model.proven:
        trial = case.trial
        alone = model.lost_endpoints(model.last_stable, at, 7200.0)
        if not alone and not (trial is not None and trial.version == stable.version):
            case.find(at, "stable has served well", f"{stable.version} is stable and was never promoted")
        model.proven.add(stable.version)
    if stable is not None:
        model.last_stable = stable.version
    good = status.last_known_good
    if good is not None and good not in model.proven:
        case.find(at, "last known good", f"{good} was never promoted")
    if good is not None and good in model.quarantined:
        case.find(at, "last known good", f"{good} is quarantined")
    if status.phase is Phase.HEALTHY and not model.deleting and stable is not None and stable.version != model.wished:
        calm = model.calm.since(WRITES, model.name, at)
        if at - max(calm, model.wished_at) > bounds.SHOWN:
            case.find(at, "healthy", f"Healthy with {stable.version}, though {model.wished} is wanted")


def looked(case: Case, at: float) -> None:
    """What has not changed for a while must be shown as it is."""
    model = case.model
    if not model.uid or model.deleting or model.status.stable is None:
        return
    changed = max(model.written_at, model.foreign_at, model.wished_at, *model.commands.values(), 0.0)
    # Without evidence no weight rises, not even one that somebody else has taken away.
    excuses = WRITES | {Trouble.GATEWAY}
    if model.foreign_at > model.written_at:
        excuses |= METRICS
    if at - max(changed, model.calm.since(excuses, model.name, at)) > bounds.SHOWN and (wrong := differences(case)):
        case.find(at, "true to the route", f"nothing has changed for two minutes, and {wrong}")

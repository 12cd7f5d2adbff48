"""Rules of the outcomes: bad versions go, good ones are promoted, and a rollback has a cause and a fit target."""

from serinus.api.rollout_status import PastRun, Rollback, RollbackReason, RunResult
from support.soak.facts import WRITES, Counted, Trouble
from support.soak.oracle import bounds
from support.soak.oracle.case import Case
from support.soak.oracle.state import EXACT, Trial
from support.soak.oracle.weights import passed
from support.soak.traffic import SCRAPE

_PATIENT = 2.0
"""A good version is promoted at the latest after this many times what its plan watches."""

_CONFIRMING = 0.05
"""Seconds: a decision on an observation of the route after its write comes later than the write."""

_ENDS = {
    RunResult.PROMOTED: "Promoted",
    RunResult.ROLLED_BACK: "RolledBack",
    RunResult.SUPERSEDED: "RunSuperseded",
    RunResult.CANCELLED: "RunCancelled",
}


def counted(case: Case, fact: Counted) -> None:
    """Add a scrape to the evidence that the world has of the version on trial."""
    model, trial = case.model, case.trial
    share = model.shares.get(fact.version, 0.0)
    if trial is None or trial.version != fact.version or share <= EXACT:
        return
    trial.scrapes.append((fact.at, fact.requests, fact.errors, fact.slow))
    quality, ratio = model.qualities[fact.version], model.ratio(fact.version, trial.granted)
    bad = max((fact.errors, quality.errors), (fact.slow, quality.slow), key=lambda pair: pair[1])
    if ratio < bounds.FAR or bad[0] < 0.5 * bad[1] * fact.requests:
        return
    trial.worse += fact.requests
    if trial.worse >= bounds.requests_for_a_breach(ratio, fact.requests):
        why = f"{quality.name}, {ratio:.0f} times its limit in {trial.worse} requests"
        case.owe_safety(fact.version, why, fact.at, by_evidence=True)


def looked(case: Case, at: float) -> None:
    """A scrape's time has passed."""
    model, trial = case.model, case.trial
    if trial is None:
        return
    if model.is_held() or at - model.unfrozen_at < SCRAPE:
        return
    everything = frozenset(Trouble)
    calm = at - model.calm.since(everything, model.name, at) > 2 * SCRAPE
    left = model.stages_of(trial.granted)
    enough = trial.requests >= 1.5 * max((stage.requests for stage in left), default=0)
    if trial.disturbed or not model.is_good(trial.version) or not calm or not (enough or not trial.had_weight):
        return
    trial.waited += SCRAPE
    watches = [sum(stage.watch for stage in plan) for plan in model.plans]
    if trial.waited > _PATIENT * max(watches, default=0.0) + bounds.SETTLED:
        stage = model.status.stage.state.value if model.status.stage is not None else "no stage"
        message = (
            f"{trial.version} is good and not promoted after {trial.waited:.0f} s ({stage}, {model.status.reason})"
        )
        case.find(at, "good version promoted", message)
        trial.disturbed = True


def ended(case: Case, run: PastRun, at: float) -> None:
    """A run has ended by the status's history."""
    model, trial = case.model, case.trial
    mine = trial if trial is not None and (trial.run, trial.version) == (run.run, run.version) else None
    case.counts[run.result.value] += 1
    if mine is not None and mine.had_weight and model.is_good(run.version):
        case.counts["good versions judged"] += 1
    key = ("end recorded", model.uid, str(run.run), run.version, _ENDS[run.result])
    excuses = WRITES | {Trouble.REGISTRY, Trouble.GATEWAY}
    case.owe(key, f"{_ENDS[run.result]} of run {run.run} must be recorded", at, bounds.WRITTEN_DOWN, excuses)
    if run.result is RunResult.PROMOTED:
        _promoted(case, mine, run.version, at)
    model.commands.pop("pause", None)  # a pause is of one run
    if mine is not None:
        model.trial = None
        model.debts.drop("shift recorded")


def _promoted(case: Case, trial: Trial | None, version: str, at: float) -> None:
    model = case.model
    if model.is_bad_from_the_start(version):
        name = model.qualities[version].name
        case.find(at, "bad version promoted", f"{version} is promoted though it {name}")
    if trial is not None:
        if trial.granted < 100 - EXACT:
            case.find(at, "bad version promoted", f"{version} is promoted at {trial.granted:g} %")
        if at - trial.restored_at < _CONFIRMING:
            message = f"{version} is promoted {at - trial.restored_at:.1f} s after its share was put right"
            case.find(at, "confirmed before it goes on", message)
        passed(case, trial, at, f"{version} is promoted")
    late = model.debts.open.get(("safe weight", version))
    if late is not None and late.is_late(model.calm, model.name, at):
        case.find(at, "bad version promoted", f"{version} is promoted, though {late.claim}")
    if version in model.quarantined:
        case.find(at, "quarantine", f"{version} is promoted though it was rolled back and not retried")
    model.proven.add(version)


def rolled_back(case: Case, rollback: Rollback, at: float) -> None:
    """A rollback was decided: its cause must be true and its target fit."""
    model, version = case.model, rollback.version
    quality = model.qualities.get(version)
    true = {
        RollbackReason.METRIC_BREACHED: not model.is_good(version),
        RollbackReason.TEST_FAILED: quality is not None and not quality.passes_tests,
        RollbackReason.ABORTED: "abort" in model.commands or "rollback" in model.commands,
        RollbackReason.ROLLBACK_REQUESTED: "rollback" in model.commands,
        RollbackReason.STAGE_TIMED_OUT: False,
        RollbackReason.CANDIDATE_REFUSED: version in model.yanked,
        RollbackReason.NO_READY_ENDPOINTS: model.lost_endpoints(version, at),
    }[rollback.reason]
    if rollback.reason is RollbackReason.METRIC_BREACHED and not true:
        case.counts["false aborts"] += 1
    elif not true:
        case.find(at, "cause of a rollback", f"{version} is rolled back for {rollback.reason.value}, which is not so")
    if rollback.to:
        _target(case, rollback, at)
    model.quarantined.add(version)
    case.owe_safety(version, f"rolled back for {rollback.reason.value}", at, by_evidence=False)


def _target(case: Case, rollback: Rollback, at: float) -> None:
    model, to = case.model, rollback.to
    if to not in model.proven:
        case.find(at, "rollback target", f"{rollback.version} went back to {to}, which was never promoted")
    if to in model.quarantined:
        case.find(at, "rollback target", f"{rollback.version} went back to {to}, which is quarantined")
    yanked = model.yanked.get(to)
    if yanked is not None and at - max(yanked, model.calm.since(WRITES, model.name, at)) > bounds.SAFE_BY_COMMAND:
        case.find(at, "rollback target", f"{rollback.version} went back to {to}, yanked {at - yanked:.0f} s before")

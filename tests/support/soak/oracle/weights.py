"""Rules of the weights: those of the plan, never up without evidence, never up while held."""

from support.soak.facts import METRICS, WRITES, Trouble, Weights
from support.soak.oracle import bounds
from support.soak.oracle.case import Case
from support.soak.oracle.state import EXACT, Trial
from support.soak.traffic import SCRAPE

_BORDER = 1.25
"""A version at the limit may pass by chance of a few requests that one scrape shares between two stages."""

_QUERY = 10.0
"""Seconds that a query and the decision on it may take."""


def take(case: Case, fact: Weights) -> None:
    """Judge a write of the route."""
    model = case.model
    before, model.shares = model.shares, dict(fact.shares)
    if not fact.by_operator:
        model.foreign_at = fact.at
        if model.trial is not None:
            model.trial.disturbed = True
        return
    model.written_at = fact.at
    if abs(sum(fact.shares.values()) - 100) > EXACT:
        case.find(fact.at, "weights of the plan", f"the shares add up to {sum(fact.shares.values()):g} %")
    for version, share in fact.shares.items():
        if share <= EXACT:
            case.pay(("safe weight", version), fact.at)
        if share > before.get(version, 0.0) + EXACT and not _has_served_well(case, version):
            _raised(case, version, before.get(version, 0.0), share, fact.at)
    for version in before.keys() - fact.shares.keys():
        case.pay(("safe weight", version), fact.at)


def _has_served_well(case: Case, version: str) -> bool:
    """Return whether weight for it may be a rollback."""
    model = case.model
    if model.trial is not None and model.trial.version == version:
        return False
    return version in model.proven and version not in model.quarantined


def _raised(case: Case, version: str, before: float, share: float, at: float) -> None:
    model, trial = case.model, case.trial
    if model.lost_endpoints(_stable(case), at) and share > 100 - EXACT and trial is None:
        return  # what serves alone is kept
    if trial is None or trial.version != version:
        case.find(at, "no unproven target", f"{version} gets {share:g} % without a run and without having served well")
        return
    if version in model.quarantined:
        case.find(at, "quarantine", f"{version} gets {share:g} % though it was rolled back and not retried")
    yanked = model.yanked.get(version)
    if yanked is not None and _seen(case, yanked, at):
        case.find(at, "no unproven target", f"{version} gets {share:g} % {at - yanked:.0f} s after its yank")
    if not model.stages_of(share):
        case.find(at, "weights of the plan", f"{version} gets {share:g} %, which no stage has")
    if share <= trial.granted + EXACT:
        trial.restored_at = at
        return
    if abs(before - trial.granted) > EXACT:
        what = f"{version} goes to {share:g} % while it has {before:g} instead of {trial.granted:g} %"
        case.find(at, "confirmed before it goes on", what)
    _held(case, version, share, at)
    _evidence(case, trial, share, at)
    trial.grant(share, at)
    case.owe(
        ("shift recorded", trial.uid, str(trial.run), f"{share:g}"),
        f"{version} at {share:g} % must be recorded as TrafficShifted",
        at,
        bounds.WRITTEN_DOWN,
        WRITES | {Trouble.GATEWAY, Trouble.REGISTRY},
    )


def _stable(case: Case) -> str:
    stable = case.model.status.stable
    return stable.version if stable is not None else ""


def _seen(case: Case, since: float, now: float) -> bool:
    """Return whether the operator must have seen what happened then."""
    return now - max(since, case.model.calm.since(WRITES, case.model.name, now)) > bounds.SAFE_BY_COMMAND


def _held(case: Case, version: str, share: float, at: float) -> None:
    model = case.model
    paused = model.status.paused
    resumed = max(model.commands.get("resume", 0.0), model.commands.get("promote", 0.0))
    if paused is not None and resumed <= model.commands.get("pause", 0.0):
        case.find(at, "paused", f"{version} gets {share:g} % while the run is paused")
    elif model.commands.get("pause", 0.0) > resumed and _seen(case, model.commands["pause"], at):
        case.find(at, "paused", f"{version} gets {share:g} % though a person has asked for a pause")
    if model.frozen_at is not None and _seen(case, model.frozen_at, at):
        case.find(at, "frozen", f"{version} gets {share:g} % though its namespace is frozen")


def _evidence(case: Case, trial: Trial, share: float, at: float) -> None:
    """What the stage before asks for must have been in the world."""
    left = case.model.stages_of(trial.granted)
    if trial.granted <= EXACT or not left:
        return
    what = f"{trial.version} goes from {trial.granted:g} to {share:g} %"
    passed(case, trial, at, what)


def passed(case: Case, trial: Trial, at: float, what: str) -> None:
    """Judge the end of the stage with the share that the trial has."""
    left = case.model.stages_of(trial.granted)
    if not left:
        return
    lasted = at - trial.granted_at - trial.held
    watch = min(stage.watch for stage in left)
    if not trial.approved and lasted < watch - _unnoticed_steps(case, trial.granted_at, at):
        case.find(at, "duration", f"{what} after {lasted:.0f} s of {watch:.0f}")
    needed = min(stage.requests for stage in left)
    if trial.requests < needed:
        case.find(at, "requests", f"{what} after {trial.requests} requests of {needed}")
    _proportion(case, trial, at, what)


def _proportion(case: Case, trial: Trial, at: float, what: str) -> None:
    """The observed proportion must be within the limit at the last reading, which may be three scrapes old."""
    model = case.model
    left = model.stages_of(trial.granted)
    calm = at - model.calm.since(METRICS | WRITES, model.name, at) > 2 * bounds.TICK
    asked = at - (bounds.TICK + _QUERY if calm else 3 * SCRAPE)
    untils = [at, asked, *(one[0] for one in trial.scrapes if one[0] >= asked)]
    # A step of the clock has the evidence collected anew; a restart after it may read all of it again.
    anews = [0.0, *(when for when in [*model.calm.clock_set, model.wished_at] if when > trial.granted_at)]
    readings = [trial.counted(until, after) for until in untils for after in anews]
    for place, kind, limit in (
        (1, "failed", max(stage.errors for stage in left)),
        (2, "slow", max(stage.slow for stage in left)),
    ):
        if limit and all(one[place] > _BORDER * limit * one[0] for one in readings):
            seen = f"{readings[0][place]} of {readings[0][0]} requests {kind}, at most {limit:.1%} may be"
            case.find(at, "observed proportion", f"{what} with {seen}")


def _unnoticed_steps(case: Case, since: float, now: float) -> float:
    """Return how much shorter a stage may be: steps of the clock while no operator led, and rounding."""
    calm = case.model.calm
    away = calm.since(frozenset({Trouble.OPERATOR}), case.model.name, now) > since
    return 2.0 + (sum(abs(step) for at, step in calm.steps if at > since - 900) if away else 0.0)

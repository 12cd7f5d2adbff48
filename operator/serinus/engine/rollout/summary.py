"""The sentences that an on-call engineer reads: what serves, what happened and why, what comes next.

Shares are read off the route. Measured figures come from the status, never from a fresher reading: a sentence that
changes is a write.
"""

from typing import Final, assert_never

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Rollback, RolloutStatus, RunResult, StageState
from serinus.engine.analysis.text import clock
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.modes import Idle, Mode, RolledBack, RollingBack, Running, Settled, Stranded
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, backend_key
from serinus.engine.rollout.traffic.targets import place_of
from serinus.engine.rollout.waiting import Waiting, WaitReason

_NOTHING: Final = "No version serves yet"

Shares = tuple[tuple[str, str], ...]
"""Who has which share of the rule, for sentences: the version's number or the foreign backend's name, and "95%"."""


def summary(mode: Mode, status: RolloutStatus, situation: Situation, shares: Shares, unready: tuple[str, ...]) -> str:
    """Return the whole story in a few sentences; ``unready`` are the versions with traffic but no ready endpoints."""
    alarm = f" {' AND '.join(unready)} HAS NO READY ENDPOINTS." if unready else ""
    return _story(mode, status, situation, shares) + alarm


def _story(mode: Mode, status: RolloutStatus, situation: Situation, shares: Shares) -> str:
    serving = _serving(status, situation.observed, shares)
    match mode:
        case Idle():
            return "No version serves yet." if serving == _NOTHING else f"{serving}. No run has begun."
        case Settled():
            return _settled(mode, status, serving, situation.spec)
        case Running():
            return _running(mode, status, serving, situation.spec, dict(shares).get(mode.candidate.version))
        case RollingBack(rollback=rollback):
            since = clock(rollback.decided_at)
            target = f" to {rollback.to}" if rollback.to else ""
            return f"{serving}. Rolling back {rollback.version}{target} since {since}: {_why(rollback)}"
        case Stranded(rollback=rollback):
            return (
                f"{rollback.version} IS BAD AND THERE IS NO VERSION TO GO BACK TO: it keeps {rollback.at_weight:g}%."
                f" Found at {clock(rollback.decided_at)}: {rollback.message}"
            )
        case RolledBack(rollback=rollback):
            at = clock(rollback.decided_at)
            return f"{serving}. {rollback.version} was rolled back at {at}: {_why(rollback)}{_paused(status)}"
        case _:
            assert_never(mode)


def shares_on_route(status: RolloutStatus, observed: Observation) -> Shares:
    """Return who has which share of the rule: versions by number, foreign backends by name, the stable one first."""
    route = observed.route
    if not isinstance(route, RouteFacts):
        return ()
    names = _names(status, observed)
    total = sum(entry.weight for entry in route.entries)
    held: dict[str, int] = {serving.version: 0 for serving in (status.stable, status.candidate) if serving is not None}
    for entry in route.entries:
        name = names.get(entry.key, entry.key.label)
        if entry.weight or name in held:
            held[name] = held.get(name, 0) + entry.weight
    return tuple((name, _percent(100 * weight / total if total else 0.0)) for name, weight in held.items())


def _names(status: RolloutStatus, observed: Observation) -> dict[BackendKey, str]:
    roles = tuple(serving.version for serving in (status.stable, status.candidate) if serving is not None)
    names: dict[BackendKey, str] = {}
    for version in roles:
        place = place_of(version, status, observed)
        if place is not None:
            names.setdefault(place.key, version)
    for version, facts in observed.versions.items():
        if facts.backend is not None and version not in roles:
            names.setdefault(backend_key(facts.backend), version)
    return names


def _percent(share: float) -> str:
    return f"{share:.4g}%"


def _serving(status: RolloutStatus, observed: Observation, on_route: Shares) -> str:
    """Return what the rule gives traffic to, apart from the version on trial."""
    stable, candidate = status.stable, status.candidate
    trial = candidate.version if candidate is not None else ""
    if not isinstance(observed.route, RouteFacts):
        problem = observed.route.message.rstrip(".")
        return f"{stable.version} is to serve, but: {problem}" if stable is not None else _NOTHING
    shares = [(name, share) for name, share in on_route if name != trial]
    ours = stable.version if stable is not None else ""
    main = [f"{name} at {share}" for name, share in shares if name == ours]
    others = [f"{name} {share}" for name, share in shares if name != ours and share != "0%"]
    if not main:
        return f"Serving {', '.join(others)} (no version of this model)" if others else _NOTHING
    also = f" (also {', '.join(others)})" if others else ""
    return f"Serving {main[0]}{also}"


def _settled(mode: Settled, status: RolloutStatus, serving: str, spec: RolloutSpec | None) -> str:
    stable, last = mode.stable, next(iter(status.history), None)
    since = f"{stable.since:%Y-%m-%d %H:%M:%SZ}"
    wanted = f" Wanted is {spec.version}." if spec is not None and spec.version != stable.version else ""
    lost = ""
    if last is not None and last.result is RunResult.ROLLED_BACK and wanted:
        lost = f" {last.version} was rolled back at {clock(last.ended_at)}: {last.reason.rstrip('.')}."
    return f"{serving} since {since}.{lost}{wanted}"


def _running(mode: Running, status: RolloutStatus, serving: str, spec: RolloutSpec | None, on_route: str | None) -> str:
    candidate, stage = mode.candidate, mode.stage
    of = f" {stage.index + 1} of {len(spec.stages)}" if spec is not None else ""
    where = f"run {status.run}, stage{of}, {stage.name}: {stage.state.value}"
    figures = [
        f"{one.name} {one.value} (limit {one.threshold})" for one in status.evidence if one.value and not one.guard
    ]
    evidence = f" {', '.join(figures)}." if figures else ""
    wanted = _percent(candidate.weight)
    share = wanted if on_route in {None, wanted} else f"{on_route}, wanted {wanted},"
    copies = f" with copies of {candidate.mirror:g}% of the requests" if candidate.mirror is not None else ""
    return f"{serving}, trying {candidate.version} at {share}{copies} ({where}).{evidence}{_paused(status)}"


def _paused(status: RolloutStatus) -> str:
    return f" Paused: {status.paused.reason}." if status.paused is not None else ""


def _why(rollback: Rollback) -> str:
    return f"{rollback.message.rstrip('.')} at {rollback.at_weight:g}% traffic."


def next_action(mode: Mode, situation: Situation, waiting: Waiting | None, unready: tuple[str, ...]) -> str:
    """Return what happens next and who must act."""
    name, done = situation.observed.name, isinstance(mode, RolledBack)
    if unready and not isinstance(mode, Running | Stranded):
        return f"ACT NOW: {' and '.join(unready)} has traffic and no ready endpoints: bring its pods back."
    if waiting is not None and not (done and waiting.reason is WaitReason.QUARANTINED):
        return waiting.message
    match mode:
        case Idle():
            return "Waiting for the first run."
        case Settled():
            return "None."
        case Running():
            return _next_of_run(mode, situation.spec)
        case RollingBack():
            return "Waiting for the gateway to accept the route."
        case Stranded():
            return (
                "ACT NOW: set spec.version to a good version, bring a version that served well back, "
                f"or accept this one with kubectl serinus retry {name}."
            )
        case RolledBack(rollback=rollback):
            retry = f"set spec.version, or run kubectl serinus retry {name}."
            return f"None. {rollback.version} is not retried by itself: {retry}"
        case _:
            assert_never(mode)


def _next_of_run(mode: Running, spec: RolloutSpec | None) -> str:
    if spec is None or mode.stage.state is not StageState.DONE:
        return "The run goes on by itself."
    return f"Stage {mode.stage.name} is done; the run goes on by itself."

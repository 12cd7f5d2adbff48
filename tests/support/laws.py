"""What must hold of every single decision, whatever came before it."""

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.verdict import Verdict
from serinus.engine.analysis.assessment import assess
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.modes import RolledBack, RollingBack, Running, Stranded, may_follow, mode_of
from serinus.engine.rollout.observation import InvalidSpec, Observation, RouteFacts
from serinus.engine.rollout.route_plan import AcceptanceState, accepted
from serinus.engine.rollout.targets import is_ready, usable
from support.builders import a_key


def check(spec: RolloutSpec | InvalidSpec, before: RolloutStatus, observed: Observation, decision: Decision) -> None:
    """Fail on the first law that the decision breaks."""
    after = decision.status
    assert may_follow(before, after), f"{mode_of(before)} {before.stage} -> {mode_of(after)} {after.stage}"
    _shares_sum_to_all(after, decision)
    _a_breach_leaves_no_weight(before, observed, after)
    plan = spec.last if isinstance(spec, InvalidSpec) else spec
    if plan is not None:
        _no_rise_without_cause(plan, before, observed, decision)


def _shares_sum_to_all(after: RolloutStatus, decision: Decision) -> None:
    for action in decision.actions:
        if not isinstance(action, SetWeights) or after.stable is None:
            continue
        written = {share.backend.name for share in action.shares}
        roles = [one.version for one in (after.stable, after.candidate) if one is not None and one.weight > 0]
        if all(a_key(version).name in written for version in roles):
            assert sum(share.parts for share in action.shares) == 10_000


def _a_breach_leaves_no_weight(before: RolloutStatus, observed: Observation, after: RolloutStatus) -> None:
    breached = any(reading.breached_at is not None for reading in observed.readings)
    if not isinstance(mode_of(before), Running) or not breached or observed.deleted:
        return
    if isinstance(mode_of(after), Stranded):
        bad = before.candidate.version if before.candidate is not None else ""
        good = {before.last_known_good, before.stable.version if before.stable is not None else None}
        assert not any(version != bad and usable(observed, version) for version in good if version is not None)
        return
    assert isinstance(mode_of(after), RollingBack | RolledBack)
    assert after.candidate is not None
    assert after.candidate.weight == 0


def _no_rise_without_cause(plan: RolloutSpec, before: RolloutStatus, observed: Observation, decision: Decision) -> None:
    after = decision.status
    candidate, stage = after.candidate, after.stage
    if candidate is None or stage is None or not isinstance(mode_of(after), Running):
        return
    same_run = before.run == after.run and before.candidate is not None
    earlier = before.candidate.weight if same_run and before.candidate is not None else 0
    if candidate.weight <= earlier:
        return
    facts = usable(observed, candidate.version)
    assert facts is not None
    assert is_ready(facts)
    assert observed.freeze is None
    assert after.paused is None
    assert not any(reading.breached_at is not None for reading in observed.readings)
    if not same_run or before.stage is None or earlier == 0:
        return
    assert stage.index > before.stage.index
    assert isinstance(observed.route, RouteFacts)
    assert accepted(observed.route).state is AcceptanceState.YES
    left = plan.stages[before.stage.index]
    verdicts = [assess(reading, left, stage.since).verdict for reading in observed.readings]
    assert verdicts == [Verdict.PASS] * len(left.abort_on)

"""Which of two Rollouts keeps a model or a rule: who has a run under way, then who serves, then who is older."""

from datetime import timedelta

import pytest

from serinus.api.rollout_status import (
    CurrentStage,
    Rollback,
    RollbackReason,
    RolloutStatus,
    RouteStatus,
    Serving,
    StageState,
)
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.rollouts.observe import LocalFacts, observe
from support.records import key, rollout, spec_for
from support.virtual_loop import START

NOTHING = RolloutStatus()
STABLE = Serving(version="1.0.0", weight=100, since=START)
SERVES = RolloutStatus(stable=STABLE)
RUNS = RolloutStatus(
    run=1,
    stable=STABLE,
    candidate=Serving(version="2.0.0", weight=5, since=START),
    stage=CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=START, state_since=START),
)
ROLLS_BACK = RolloutStatus(
    run=1,
    stable=STABLE,
    candidate=Serving(version="2.0.0", weight=0, since=START),
    rollback=Rollback(
        version="2.0.0", to="1.0.0", reason=RollbackReason.ABORTED, message="", at_weight=5, decided_at=START
    ),
)
ORDER = {"rolls back": ROLLS_BACK, "runs": RUNS, "serves": SERVES, "is new": NOTHING}
RANK = {"rolls back": 0, "runs": 0, "serves": 1, "is new": 2}


def conflicts(older: RolloutStatus, younger: RolloutStatus) -> tuple[str, str]:
    """What the older and the younger Rollout of one model observe."""
    cache = ClusterCache()
    cache.put(rollout("older", spec_for("fraud"), older, created_at=START))
    cache.put(rollout("younger", spec_for("fraud"), younger, created_at=START + timedelta(days=1)))
    records = [cache.rollout(key(name)) for name in ("older", "younger")]
    seen = [
        observe(cache, AdmissionCache(cache), record, LocalFacts()).conflict for record in records if record is not None
    ]
    return seen[0], seen[1]


@pytest.mark.parametrize("older", ORDER)
@pytest.mark.parametrize("younger", ORDER)
def test_who_has_a_run_keeps_it_then_who_serves_then_who_is_older(older: str, younger: str) -> None:
    expected = ("younger", "") if RANK[younger] < RANK[older] else ("", "older")

    assert conflicts(ORDER[older], ORDER[younger]) == expected


def test_a_run_keeps_the_rule_that_it_began_on_although_its_spec_names_another_one() -> None:
    cache = ClusterCache()
    route = RouteStatus(name="fraud", rule_name="predict", foreign=())
    moved = spec_for("fraud", route={"httpRoute": {"name": "elsewhere"}})
    began = RolloutStatus(run=1, stable=STABLE, candidate=RUNS.candidate, stage=RUNS.stage, route=route)
    cache.put(rollout("a", moved, began, created_at=START + timedelta(days=1)))
    cache.put(rollout("b", spec_for("other", route={"httpRoute": {"name": "fraud", "ruleName": "predict"}})))
    wants = cache.rollout(key("b"))
    assert wants is not None

    assert observe(cache, AdmissionCache(cache), wants, LocalFacts()).conflict == "a"

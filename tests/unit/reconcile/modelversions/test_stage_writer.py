"""What each ModelVersion's status says, derived from its Rollout's; and what a Rollout says of a refused write."""

import pytest
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.modelversion import VersionStage
from serinus.api.rollout_status import Rollback, RollbackReason, RolloutStatus, Serving
from serinus.engine.rollout.status import write_refused
from serinus.engine.versions.lifecycle import VersionPlacement, next_placement, placements
from support.virtual_loop import START

STABLE = Serving(version="1.0.0", weight=100, since=START)
SERVING = RolloutStatus(stable=STABLE, last_known_good="0.9.0", quarantined=("1.1.0",))


def trying(weight: float) -> RolloutStatus:
    candidate = Serving(version="2.0.0", weight=weight, since=START)
    return structs.replace(SERVING, candidate=candidate, stable=structs.replace(STABLE, weight=100 - weight))


def rolled_back(weight: float) -> RolloutStatus:
    rollback = Rollback(
        version="2.0.0", to="1.0.0", reason=RollbackReason.ABORTED, message="x", at_weight=5, decided_at=START
    )
    return structs.replace(trying(weight), rollback=rollback)


@pytest.mark.parametrize(
    ("status", "version", "placement"),
    [
        (SERVING, "1.0.0", ("Production", "100%")),
        (SERVING, "0.9.0", ("Superseded", "0%")),
        (SERVING, "1.1.0", ("RolledBack", "0%")),
        (trying(0), "2.0.0", ("Staging", "0%")),
        (trying(2.5), "2.0.0", ("Canary", "2.5%")),
        (trying(2.5), "1.0.0", ("Production", "97.5%")),
        (rolled_back(0), "2.0.0", ("RolledBack", "0%")),
        (rolled_back(5), "2.0.0", ("RolledBack", "5%")),
        (structs.replace(SERVING, quarantined=("1.0.0",)), "1.0.0", ("Production", "100%")),
        (structs.replace(SERVING, last_known_good="1.1.0"), "1.1.0", ("RolledBack", "0%")),
    ],
)
def test_a_version_has_the_stage_and_share_that_the_rollout_gives_it(
    status: RolloutStatus, version: str, placement: tuple[str, str]
) -> None:
    assert placements(status)[version] == placement
    assert next_placement(status, version, VersionPlacement.parse("", "")) == placement


@pytest.mark.parametrize(
    ("published", "placement"),
    [
        (("Canary", "5%"), ("Registered", "0%")),
        (("Staging", "0%"), ("Registered", "0%")),
        (("Production", "100%"), ("Superseded", "0%")),
        (("RolledBack", "0%"), ("RolledBack", "0%")),
        (("Superseded", "0%"), ("Superseded", "0%")),
        (("", ""), (None, "")),
    ],
)
def test_a_version_that_the_rollout_no_longer_names_has_no_traffic(
    published: tuple[str, str], placement: tuple[VersionStage | None, str]
) -> None:
    assert next_placement(SERVING, "7.0.0", VersionPlacement.parse(*published)) == placement


def test_while_the_production_version_is_unknown_the_placement_stays() -> None:
    published = VersionPlacement(VersionStage.PRODUCTION, "100%")
    assert next_placement(RolloutStatus(), "1.0.0", published) == published


def test_a_refused_write_is_told_once_and_changes_nothing_else() -> None:
    refused = write_refused(trying(5), "forbidden", 3, START)
    condition = find_condition(refused.conditions, ConditionType.TRAFFIC_CONFIRMED)
    assert condition is not None
    assert (condition.status, condition.reason, condition.message) == (
        ConditionStatus.FALSE,
        "WriteRefused",
        "forbidden",
    )
    assert (condition.observed_generation, refused.next_action) == (3, "A person must act: forbidden")
    assert structs.replace(refused, conditions=(), next_action="") == trying(5)
    assert write_refused(refused, "forbidden", 3, START) == refused

"""The evidence as it grew: points in the status, with the refresh of its figures and with the decision of a stage."""

from datetime import timedelta
from itertools import pairwise

from msgspec import structs

from serinus.api.audit_record import MAX_EVIDENCE
from serinus.api.names import Command
from serinus.api.parsing import encode
from serinus.api.rollout import MAX_CONDITIONS, RolloutSpec
from serinus.api.rollout_status import EvidencePoint, Phase, StageState
from serinus.api.stored_status import stored_status
from serinus.api.verdict import Verdict
from serinus.engine.analysis.guards import guards_of
from support.builders import CANARY, PRODUCTION, STAGING, a_spec, a_stage
from support.world import BAD, GOOD, World
from support.world_states import in_canary

LONG = {**CANARY, "duration": "2h"}
APPROVED = a_stage("production", "100%", bake="5m", approval="Required")


def points(world: World) -> tuple[EvidencePoint, ...]:
    return world.status.evidence[0].points if world.status.evidence else ()


def test_a_point_comes_with_each_refresh_and_not_with_each_tick() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, LONG, PRODUCTION))
    for _ in range(20):  # 5 minutes
        world.measure().settle()
    times = [point.at for point in points(world)]
    assert {later - earlier for earlier, later in pairwise(times[1:])} == {timedelta(minutes=1)}
    assert 5 <= len(times) <= 7
    assert points(world)[-1].requests > points(world)[0].requests


def test_a_long_stage_keeps_twenty_points_from_its_first_to_its_last_minute() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, LONG, PRODUCTION))
    world.measure().settle()
    first = points(world)[0]
    for _ in range(4 * 100):
        world.measure().settle()
    assert len(points(world)) == 20
    assert points(world)[0] == first
    assert world.now - points(world)[-1].at <= timedelta(minutes=1)


def test_a_breach_is_the_last_point_and_stays_after_the_rollback() -> None:
    world = in_canary()
    for _ in range(3):
        world.measure().settle()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    breach = points(world)[-1]
    assert breach.bad == 350
    assert breach.evidence is not None
    assert float(breach.evidence) >= 200
    assert len(points(world)) >= 2
    kept = world.status.evidence
    for _ in range(10):
        world.measure().settle()
    assert world.status.evidence == kept


def test_an_abort_by_a_person_shows_the_figures_of_that_moment() -> None:
    world = in_canary()
    world.measure().settle()
    shown = points(world)
    world.measure().command(Command.ABORT).look()
    assert points(world)[:-1] == shown
    assert points(world)[-1].at == world.now
    assert world.status.evidence[0].at == world.now


def test_a_stage_that_passes_shows_the_figures_of_that_moment() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, CANARY, APPROVED))
    for _ in range(200):
        before = world.status
        world.measure().look()
        if world.status.stage is not None and world.status.stage.state is StageState.AWAITING_APPROVAL:
            break
        world.settle()
    assert before.stage is not None
    assert before.stage.state is StageState.ANALYZING
    assert points(world)[-1].at == world.now
    assert points(world)[-1].requests == world.status.evidence[0].requests


def test_a_promotion_keeps_the_last_stage_up_to_its_last_figures() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, CANARY, PRODUCTION))
    while world.status.phase is not Phase.HEALTHY:
        world.measure().settle()
    assert world.status.evidence[0].at == world.now
    assert points(world)[-1].at == world.now
    kept = world.status.evidence
    world.measure().settle()
    assert world.status.evidence == kept


def test_each_stage_and_each_run_begins_its_points_anew() -> None:
    world = in_canary()
    world.measure().settle()
    canary = points(world)[0]
    while world.status.stage is not None and world.status.stage.name == "canary":
        world.measure().settle()
    assert points(world) == ()
    world.measure().settle()
    assert points(world)[0].at > canary.at
    assert points(world)[0].requests == GOOD.requests
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    world.quality.clear()
    world.command(Command.RETRY).settle()
    assert points(world) == ()


def test_the_most_conditions_that_a_stage_can_have_fit_into_the_status_and_the_records() -> None:
    latencies = [f"latency_p{quantile} > 200ms" for quantile in (50, 75, 90, 95, 99)]
    lines = [*latencies, "latency_p95 > 1.5x stable", "error_rate > 0.5%", "error_rate > stable + 1%"]
    world = in_canary(spec=a_spec("2.0.0", STAGING, {**CANARY, "abortOn": lines}, PRODUCTION))
    world.measure().settle()
    assert isinstance(world.spec, RolloutSpec)
    assert len(world.status.evidence) == MAX_CONDITIONS + len(guards_of(world.spec, 1)) == MAX_EVIDENCE
    world.command(Command.ABORT).look()
    assert max(len(record.evidence) for record in world.status.records) == MAX_EVIDENCE
    assert stored_status(encode(world.status)) == world.status


def test_without_answers_the_points_stay_and_none_is_added() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, LONG, PRODUCTION))
    for _ in range(5):
        world.measure().settle()
    known = points(world)
    world.quality["2.0.0"] = None
    for _ in range(20):
        world.measure().settle()
    assert world.status.reason == "ProviderDown"
    assert points(world) == known
    world.quality["2.0.0"] = GOOD
    world.measure().settle()
    assert points(world)[:-1] == known


def test_figures_are_shown_anew_after_the_clock_was_set_back() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, LONG, PRODUCTION))
    for _ in range(8):
        world.measure().settle()
    world.pass_time(hours=-1)
    world.evidence.clear()  # as the analysis tracker begins anew
    for _ in range(8):
        world.measure().settle()
    assert world.status.evidence[0].at <= world.now
    assert all(point.at <= world.now for point in points(world))


def test_a_promotion_shows_the_evidence_of_a_last_stage_that_was_too_short_to_store_any() -> None:
    world = in_canary()
    while world.status.phase is not Phase.HEALTHY:
        world.status = structs.replace(world.status, evidence=())
        world.settle().measure()
    assert [one.verdict for one in world.status.evidence] == [Verdict.PASS] * len(world.status.evidence)
    assert all(one.requests > 0 for one in world.status.evidence)
    assert world.status.evidence

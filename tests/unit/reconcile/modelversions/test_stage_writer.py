"""What each ModelVersion's status says, derived from its Rollout's; and what a Rollout says of a refused write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.modelversion import ModelVersionStatus, VersionStage
from serinus.api.rollout_status import Rollback, RollbackReason, RolloutStatus, Serving
from serinus.engine.rollout.status import write_refused
from serinus.engine.versions.lifecycle import VersionPlacement, next_placement, placements
from serinus.errors import NotFoundError, TransientError
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.modelversions.stage_writer import ECHO, GATHER, WORKERS, StageWriter
from serinus.telemetry import Telemetry
from support.fakes import FakeCluster, FakeStatusWriter
from support.records import key, model_version
from support.virtual_loop import START, in_virtual_time

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
        (("Canary", "5%"), ("Registered", "")),
        (("Staging", "0%"), ("Registered", "")),
        (("Registered", ""), ("Registered", "")),
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


# ---- the queue of its own ------------------------------------------------------------------------


class Writer:
    """A stage writer at work over a fake cluster with these versions of one model."""

    def __init__(self, *versions: str) -> None:
        self.cluster = FakeCluster()
        self.seen = [self._put(version) for version in versions]
        self.statuses = FakeStatusWriter(self.cluster)
        self.faults = self.statuses.faults
        self.writer = StageWriter(self.statuses, Telemetry(CollectorRegistry()))

    def _put(self, version: str) -> ModelVersionRecord:
        stored = self.cluster.put(model_version(version))
        assert isinstance(stored, ModelVersionRecord)
        return stored

    def made_anew(self, version: str) -> ModelVersionRecord:
        """Let a version be deleted, and another object have its name."""
        again = model_version(version)
        stored = self.cluster.put(replace(again, meta=replace(again.meta, uid=f"{again.meta.uid}-anew")))
        assert isinstance(stored, ModelVersionRecord)
        return stored

    def publish(self, status: RolloutStatus) -> None:
        self.writer.publish(self.seen, status)

    def stored(self, version: str) -> ModelVersionRecord:
        stored = self.cluster.objects[ModelVersionRecord, key(f"fraud-v{version}")]
        assert isinstance(stored, ModelVersionRecord)
        return stored

    def shown(self, version: str) -> tuple[str, str]:
        return (self.stored(version).stage, self.stored(version).traffic)

    def written(self, version: str) -> int:
        return self.cluster.journal.count(("modelversion", f"fraud-v{version}"))


@asynccontextmanager
async def at_work(*versions: str) -> AsyncIterator[Writer]:
    new = Writer(*versions)
    task = asyncio.create_task(new.writer.run())
    yield new
    assert not task.done()
    task.cancel()


@in_virtual_time
async def test_of_a_version_whose_write_waits_only_the_newest_stage_is_written() -> None:
    async with at_work("1.0.0", "2.0.0") as new:
        new.faults.latency = 1.0
        for weight in (1, 2, 3, 4, 5):
            new.publish(trying(weight))
        await asyncio.sleep(GATHER + 0.5)
        for weight in (6, 7):
            new.publish(trying(weight))
        await asyncio.sleep(5)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("Canary", "7%"), 2)
        assert (new.shown("1.0.0"), new.written("1.0.0")) == (("Production", "93%"), 2)


@in_virtual_time
async def test_a_write_that_hangs_holds_up_no_other_versions_write() -> None:
    async with at_work("1.0.0", "2.0.0") as new:
        new.faults.hanging.add("fraud-v1.0.0")
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.1)
        assert new.shown("2.0.0") == ("Canary", "5%")
    assert WORKERS > 1


@in_virtual_time
async def test_a_write_that_fails_is_tried_again_by_itself_with_what_is_true_by_then() -> None:
    async with at_work("2.0.0") as new:
        new.faults.before.extend([TransientError("down")] * 3)
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 1)
        new.publish(rolled_back(0))
        await asyncio.sleep(10)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("RolledBack", "0%"), 1)


@in_virtual_time
async def test_a_stage_is_not_written_again_while_the_watch_may_not_have_shown_it_yet() -> None:
    async with at_work("2.0.0") as new:
        for _ in range(5):
            new.publish(trying(5))
            await asyncio.sleep(1)
        assert new.written("2.0.0") == 1
        await asyncio.sleep(ECHO)
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.1)
        assert new.written("2.0.0") == 2


@in_virtual_time
async def test_a_share_that_is_taken_back_before_the_watch_has_shown_it_is_written_back() -> None:
    """The Rollout may be gone by then, so that nobody would publish the version again."""
    async with at_work("1.0.0") as new:
        new.publish(SERVING)
        await asyncio.sleep(GATHER + 0.1)
        new.seen = [stored for stored in new.cluster.objects.values() if isinstance(stored, ModelVersionRecord)]
        new.publish(SERVING)
        new.publish(trying(20))
        await asyncio.sleep(GATHER + 0.1)
        assert new.shown("1.0.0") == ("Production", "80%")
        new.publish(SERVING)
        await asyncio.sleep(GATHER + 0.1)
        assert new.shown("1.0.0") == ("Production", "100%")


@in_virtual_time
async def test_a_share_that_is_written_already_is_not_replaced_by_one_that_waited() -> None:
    async with at_work("1.0.0") as new:
        new.publish(trying(20))
        await asyncio.sleep(GATHER + 0.1)
        new.publish(trying(30))
        new.publish(trying(20))
        await asyncio.sleep(GATHER + 0.1)
        assert (new.shown("1.0.0"), new.written("1.0.0")) == (("Production", "80%"), 1)


@in_virtual_time
async def test_nothing_is_remembered_of_a_version_once_it_shows_its_stage_or_is_gone() -> None:
    async with at_work("1.0.0", "2.0.0") as new:
        new.faults.always["fraud-v1.0.0"] = NotFoundError("gone")
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.1)
        new.seen = [stored for stored in new.cluster.objects.values() if isinstance(stored, ModelVersionRecord)][1:]
        new.publish(trying(5))
        assert len(new.writer) == 0


@in_virtual_time
async def test_a_review_takes_the_waiting_placement_along() -> None:
    async with at_work("2.0.0") as new:
        version = new.seen[0].meta
        new.publish(trying(5))
        await new.writer.write_review(version, ModelVersionStatus(spec_hash="sha256:1"))
        assert new.shown("2.0.0") == ("Canary", "5%")
        await new.writer.write_review(version, ModelVersionStatus(spec_hash="sha256:2"))
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.1)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("Canary", "5%"), 0)


@in_virtual_time
async def test_where_a_review_cannot_be_written_the_placement_is_written_by_itself() -> None:
    async with at_work("2.0.0") as new:
        new.publish(trying(5))
        new.faults.before.append(TransientError("down"))
        with pytest.raises(TransientError):
            await new.writer.write_review(new.seen[0].meta, ModelVersionStatus(spec_hash="sha256:1"))
        await asyncio.sleep(GATHER + 0.1)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("Canary", "5%"), 1)


@in_virtual_time
async def test_a_version_that_is_made_anew_gets_its_own_stage_and_nothing_of_the_former_one() -> None:
    async with at_work("2.0.0") as new:
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.1)
        former = new.seen[0].meta
        new.seen = [new.made_anew("2.0.0")]
        new.publish(trying(5))
        with pytest.raises(NotFoundError):
            await new.writer.write_review(former, ModelVersionStatus(yanked="wrong data"))
        await asyncio.sleep(GATHER + 0.1)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("Canary", "5%"), 2)
        assert new.stored("2.0.0").status.yanked == ""


@in_virtual_time
async def test_the_stage_of_a_version_that_was_made_anew_while_it_was_written_is_written_to_the_new_one() -> None:
    async with at_work("2.0.0") as new:
        new.faults.latency = 1.0
        new.publish(trying(5))
        await asyncio.sleep(GATHER + 0.5)
        new.seen = [new.made_anew("2.0.0")]
        new.publish(trying(6))
        await asyncio.sleep(GATHER + 5)
        assert (new.shown("2.0.0"), new.written("2.0.0")) == (("Canary", "6%"), 1)

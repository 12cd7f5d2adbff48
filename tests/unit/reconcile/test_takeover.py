"""Two processes that share the models: each decides about its own, and a model changes hands in the midst of a run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import InvalidSpec
from serinus.errors import TransientError
from serinus.ports.acting import acted_for
from serinus.ports.cluster_state import ModelVersionRecord, Record, RolloutRecord
from serinus.reconcile.ownership import WAIT
from support.fakes import FakeCluster
from support.records import key, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

FRAUD, CHURN = key("fraud"), key("churn")


class SharedCluster(FakeCluster):
    """A cluster that several processes watch."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: list[tuple[Callable[..., None], Callable[..., None]]] = []

    def follow(
        self, on_change: Callable[[Record], None], on_delete: Callable[[type[Record], ObjectKey, str], None]
    ) -> None:
        self._watches.append((on_change, on_delete))
        super().follow(self._all_change, self._all_delete)

    def _all_change(self, record: Record) -> None:
        for on_change, _ in self._watches:
            on_change(record)

    def _all_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        for _, on_delete in self._watches:
            on_delete(kind, key, uid)


@asynccontextmanager
async def two_processes(*of_the_first: ObjectKey) -> AsyncIterator[tuple[Rig, Rig]]:
    """The first handles these models, the second one all others; both have all objects."""
    first = Rig(SharedCluster(), epoch=7)
    second = Rig(first.cluster, first.source, epoch=8)
    first.leadership.elsewhere = {FRAUD, CHURN} - {*of_the_first}
    second.leadership.elsewhere = {*of_the_first}
    first.model("fraud")
    first.model("churn")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first.running())
        await stack.enter_async_context(second.running())
        yield first, second


def hand_over(model: ObjectKey, giver: Rig, taker: Rig) -> None:
    """In the order of serinus.kube.shards."""
    giver.leadership.elsewhere.add(model)
    giver.takeover.forget_models(model.__eq__)
    taker.takeover.forget_models(model.__eq__)
    taker.leadership.elsewhere.discard(model)
    taker.takeover.take_models(model.__eq__)


def weights_sent(rig: Rig) -> set[str]:
    return {name for name, _ in rig.router.sent}


def asked(rig: Rig) -> set[str]:
    return {question.subject.model for ask in rig.source.asks for question in ask.questions}


@in_virtual_time
async def test_each_process_brings_its_own_models_into_production_and_touches_no_other() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches(Phase.HEALTHY, "fraud")
        await second.reaches(Phase.HEALTHY, "churn")
        await until(lambda: not second.status("churn").records, why="its records to be delivered")
        assert (weights_sent(first), weights_sent(second)) == ({"fraud"}, {"churn"})
        assert (set(first.statuses.sent), set(second.statuses.sent)) == ({"fraud"}, {"churn"})
        assert {name for name, _ in first.events.published} == {"fraud"}
        await until(
            lambda: {first.published(name)["2.0.0"] for name in ("fraud", "churn")} == {("Production", "100%")},
            why="the stages of both",
        )


@in_virtual_time
async def test_only_the_models_of_ones_own_are_asked_about() -> None:
    async with two_processes(FRAUD, CHURN) as (first, second):
        await first.reaches_canary("fraud")
        await first.reaches_canary("churn")
        await until(lambda: asked(first) == {"fraud", "churn"}, why="questions about both")
        before = len(first.source.asks)
        hand_over(FRAUD, first, second)
        hand_over(CHURN, first, second)
        first.leadership.elsewhere, second.leadership.elsewhere = {FRAUD, CHURN}, {FRAUD, CHURN}
        await asyncio.sleep(900)
        # A tick of each may have been under way.
        assert len(first.source.asks) - before <= 2


@in_virtual_time
async def test_a_canary_that_changes_hands_goes_on_and_the_former_process_writes_nothing_more() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        weights, statuses = len(first.router.sent), len(first.statuses.sent)
        hand_over(FRAUD, first, second)
        await second.reaches(Phase.HEALTHY)
        assert (len(first.router.sent), len(first.statuses.sent)) == (weights, statuses)
        assert second.status().epoch == 8
        assert [entry.version for entry in second.status().history][:1] == ["2.0.0"]


@in_virtual_time
async def test_a_breach_after_the_handing_over_is_rolled_back_by_the_new_process() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        hand_over(FRAUD, first, second)
        first.source.bad = {"2.0.0": 1.0}
        began = first.clock.monotonic()
        await until(lambda: second.weight("2.0.0") == 0, why="the rollback", within=60)
        assert first.clock.monotonic() - began <= 30
        await second.reaches(Phase.ROLLED_BACK)
        assert len(first.memory) == 0


@in_virtual_time
async def test_a_model_that_comes_back_is_begun_anew() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        hand_over(FRAUD, first, second)
        first.source.bad = {"2.0.0": 1.0}
        await second.reaches(Phase.ROLLED_BACK)
        hand_over(FRAUD, second, first)
        first.leadership.epoch = 9
        sent = len(first.router.sent)
        await asyncio.sleep(600)
        assert first.status().phase is Phase.ROLLED_BACK
        assert len(first.router.sent) == sent
        assert not [part for rig in (first, second) for part in rig.memory._parts if FRAUD in part]


@in_virtual_time
async def test_a_step_of_the_clock_before_a_model_came_is_no_step_of_its_stage() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        second.clock.set_by = timedelta(hours=2)
        hand_over(FRAUD, first, second)
        await asyncio.sleep(60)
        stage = second.status().stage
        assert stage is None or stage.held_seconds == 0
        assert second.statuses.sent


@in_virtual_time
async def test_deletions_of_others_models_are_neither_recorded_nor_remembered() -> None:
    async with two_processes(FRAUD, CHURN) as (first, second):
        await first.reaches(Phase.HEALTHY, "churn")
        await until(lambda: not first.status("churn").records, why="its records to be delivered")
        first.cluster.remove(RolloutRecord, CHURN)
        first.cluster.remove(ModelVersionRecord, key("churn-v1.0.0"))
        await until(lambda: second.cache.rollout(CHURN) is None, why="the deletion")
        await asyncio.sleep(900)
        assert second.router.sent == []
        assert len(second.memory) == 0
        assert not second.model_versions._deletions._pending
        assert not first.model_versions._deletions._pending


async def _events(rig: Rig) -> list[tuple[str, str]]:
    records = [record async for record in rig.registry.history(FRAUD)]
    return [(record.event.value, record.version) for record in records if not record.event.value.startswith("Version")]


@in_virtual_time
async def test_the_last_records_of_a_deleted_rollout_are_not_delivered_after_those_of_another_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A promotion that is recorded after a later one would make the wrong version the production version."""
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        first.audit_log.problem = TransientError("no table")
        await first.reaches(Phase.HEALTHY)
        left = [record.event.value for record in first.status().records]
        assert "Promoted" in left
        first.cluster.remove(RolloutRecord, FRAUD)
        await until(lambda: first.cache.rollout(FRAUD) is None, why="the deletion")
        hand_over(FRAUD, first, second)
        first.cluster.put(rollout("fraud", spec_for("fraud", "1.0.0"), uid="uid-2"))
        await second.reaches(Phase.HEALTHY)
        await until(lambda: not second.status().records, why="its records to be delivered")
        recorded = await _events(second)
        first.audit_log.problem = None
        hand_over(FRAUD, second, first)
        await until(lambda: len(first.background) == 0, why="the former records to be given up", within=120)
        assert await _events(second) == recorded
        head = await second.registry.head(FRAUD)
        assert head.production is not None
        assert head.production.version == "1.0.0"
    lost = [record.getMessage() for record in caplog.records if "not recorded" in record.getMessage()]
    assert [message for message in lost if all(event in message for event in left)], "the log has what no record has"


@in_virtual_time
async def test_the_last_records_of_a_deleted_rollout_are_given_up_with_the_model() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches_canary()
        first.audit_log.problem = TransientError("no table")
        first.router.faults.always["fraud"] = TransientError("no")
        first.cluster.remove(RolloutRecord, FRAUD)
        await until(lambda: len(first.memory) == 1, why="the deletion")
        hand_over(FRAUD, first, second)
        await until(lambda: len(first.background) == 0, why="the former process to stop", within=120)
        await until(lambda: len(first.memory) == 0, why="it to forget the Rollout", within=120)


# ---- a model that is edited ----------------------------------------------------------------------


def with_model(record: RolloutRecord, model: str) -> RolloutRecord:
    assert isinstance(record.spec, RolloutSpec)
    return replace(record, spec=structs.replace(record.spec, model=model), generation=record.generation + 1)


@in_virtual_time
async def test_a_rollout_whose_model_is_edited_is_left_alone_for_a_lease_by_its_new_process() -> None:
    async with two_processes(FRAUD) as (first, second):
        await first.reaches(Phase.HEALTHY, "fraud")
        await second.reaches(Phase.HEALTHY, "churn")
        await until(lambda: not first.status("fraud").records, why="its records to be delivered")
        sent = len(first.statuses.sent)
        first.cluster.put(with_model(first.cluster.rollout(FRAUD), "churn"))
        edited = first.clock.monotonic()
        await until(lambda: "fraud" in second.statuses.sent, why="the new process to act", within=60)
        assert WAIT <= second.clock.monotonic() - edited <= WAIT + 5
        assert len(first.statuses.sent) == sent


@in_virtual_time
async def test_an_edited_rollout_is_left_alone_too_where_its_new_shard_is_taken_over_a_moment_later() -> None:
    """The former process may not have seen the edit yet, whoever holds the shard of the new model."""
    async with two_processes(FRAUD) as (first, second):
        third = Rig(first.cluster, first.source, epoch=9)
        third.leadership.elsewhere = {FRAUD, CHURN}
        async with third.running():
            await first.reaches(Phase.HEALTHY, "fraud")
            await second.reaches(Phase.HEALTHY, "churn")
            await until(lambda: not first.status("fraud").records, why="its records to be delivered")
            first.cluster.put(with_model(first.cluster.rollout(FRAUD), "churn"))
            edited = first.clock.monotonic()
            await asyncio.sleep(1)
            hand_over(CHURN, second, third)
            await until(lambda: "fraud" in third.statuses.sent, why="the new process to act", within=60)
            assert WAIT <= third.clock.monotonic() - edited <= WAIT + 5


def test_the_shard_of_a_rollout_depends_on_the_stored_object_alone() -> None:
    """A process that has seen an earlier, readable spec must not find another shard than one that has not."""
    readable = rollout("a", spec=None)
    broken = replace(readable, spec=InvalidSpec("spec.stages", "must rise", None), model_name="fraud")
    remembered = replace(broken, spec=InvalidSpec("spec.stages", "must rise", readable.spec))  # type: ignore[arg-type]
    assert readable.model == key("a")
    assert broken.model == remembered.model == key("fraud")


# ---- on whose behalf -----------------------------------------------------------------------------


class NamedWrites(list[Any]):
    """A journal that refuses a write for which no model was named, or another one."""

    def append(self, entry: Any) -> None:
        assert acted_for() in {FRAUD, CHURN}, f"{entry} names no model"
        what, name = entry
        assert what == "event" or name.startswith(acted_for().name), f"{entry} is written for {acted_for()}"
        super().append(entry)


@pytest.mark.parametrize("bad", [False, True], ids=["a good version", "a bad version"])
def test_every_write_names_the_model_on_whose_behalf_it_is_sent(*, bad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fence refuses it where there are shards."""

    @in_virtual_time
    async def story() -> None:
        rig = Rig()
        rig.cluster.journal = NamedWrites()
        commit = rig.cluster.registry.commit

        async def named(step: Any) -> None:
            assert acted_for() == step.model, f"{step} names no model"
            await commit(step)

        monkeypatch.setattr(rig.cluster.registry, "commit", named)
        rig.model("fraud")
        rig.model("churn")
        async with rig.running():
            for name in ("fraud", "churn"):
                await rig.reaches_canary(name)
            rig.source.bad = {"2.0.0": 1.0} if bad else {}
            for name in ("fraud", "churn"):
                await rig.reaches(Phase.ROLLED_BACK if bad else Phase.HEALTHY, name)
            await until(lambda: not any(rig.status(name).records for name in ("fraud", "churn")), why="the records")
            await asyncio.sleep(900)
            rig.cluster.remove(RolloutRecord, CHURN)
            rig.cluster.remove(ModelVersionRecord, key("churn-v1.0.0"))
            await until(lambda: rig.cache.rollout(CHURN) is None, why="the deletion")
            await until(lambda: not rig.model_versions._deletions._pending, why="its record")
        assert {what for what, _ in rig.cluster.journal} >= {"weights", "status", "event", "modelversion", "review"}
        assert b"serinus_reconcile_errors_total{" not in rig.telemetry.render()

    story()

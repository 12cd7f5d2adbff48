"""The audit records of a run, whatever happens to the registry or the operator meanwhile."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from serinus.api.audit_record import ActorKind, AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.modelversion import VersionStage
from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.versions.lifecycle import version_stage
from serinus.errors import TransientError
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.rollouts.outbox_relay import BACKOFF
from support.records import key, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

DOWN = TransientError("the registry cannot be reached")


async def trail(rig: Rig) -> list[AuditRecordSpec]:
    return [record async for record in rig.registry.history(key())]


async def events(rig: Rig) -> list[str]:
    return [record.event.value for record in await trail(rig) if not record.event.value.startswith("Version")]


def another_command_handled(rig: Rig, before: dict[str, str]) -> bool:
    return rig.status().last_handled != before


def nothing_waits(rig: Rig) -> bool:
    return not rig.status().records


async def is_whole(rig: Rig) -> bool:
    return (await rig.registry.verify(key())).ok


def stored_events(rig: Rig) -> list[object]:
    data = rig.cluster.registry._data.get(key())
    return [record["event"] for record in data.records.values()] if data is not None else []


@in_virtual_time
async def test_a_good_run_is_recorded_from_its_start_to_its_promotion() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        records = await trail(rig)
        assert await events(rig) == [
            "StableAdopted",
            "RolloutStarted",
            "AnalysisPassed",
            *["TrafficShifted", "AnalysisPassed"] * 2,
            "Promoted",
        ]
        assert sorted(record.version for record in records if record.event is AuditEvent.VERSION_REGISTERED) == [
            "1.0.0",
            "2.0.0",
        ]
        started = next(record for record in records if record.event is AuditEvent.ROLLOUT_STARTED)
        assert (started.actor.name, started.actor.kind) == ("ada@example.org", ActorKind.PERSON)
        assert '"traffic":"5%"' in started.details["plan"]
        promoted = records[-1]
        assert (promoted.before.production, promoted.after.production) == ("1.0.0", "2.0.0")
        assert [(status.verdict.value, status.requests > 600, status.query) for status in promoted.evidence] == [
            ("Pass", True, "preset contour")
        ]
        head = await rig.registry.head(key())
        assert (version_stage(head, "2.0.0"), version_stage(head, "1.0.0")) == (
            VersionStage.PRODUCTION,
            VersionStage.SUPERSEDED,
        )
        assert head.managed_by == "fraud"
        assert await is_whole(rig)


@in_virtual_time
async def test_the_head_says_who_asked_for_the_run_that_promoted_the_version_and_why() -> None:
    rig = Rig()
    stored = rig.model()
    rig.cluster.put(replace(stored, actors=replace(stored.actors, reason="retrained on October")))
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        promoted = (await trail(rig))[-1]
        assert (promoted.event, promoted.actor.kind) == (AuditEvent.PROMOTED, ActorKind.OPERATOR)
        production = await rig.registry.production(key())
        assert production is not None
        assert (production.promoted_by, production.promoted_because) == ("ada@example.org", "retrained on October")
        assert production.promoted_at == promoted.at
        assert await is_whole(rig)


@in_virtual_time
async def test_the_intent_is_recorded_before_and_the_promotion_only_after_the_traffic_has_moved() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_stage("canary")
        await until(lambda: "RolloutStarted" in stored_events(rig), why="the intent to be recorded")
        assert rig.weight("2.0.0") == 500
        head = await rig.registry.head(key())
        assert head.production is not None
        assert head.production.version == "1.0.0"
        await rig.reaches_stage("production")
        await until(lambda: rig.weight("2.0.0") == 10_000, why="all the traffic")
        head = await rig.registry.head(key())
        assert head.production is not None
        assert head.production.version == "1.0.0", "100 % is observed and the bake has passed first"


@in_virtual_time
async def test_a_rollback_is_recorded_with_its_evidence_once_the_traffic_is_safe() -> None:
    rig = Rig()
    rig.source.bad = {"2.0.0": 1.0}
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.ROLLED_BACK)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        decided, safe = (await trail(rig))[-2:]
        assert (decided.event, safe.event) == (AuditEvent.ROLLBACK_STARTED, AuditEvent.ROLLED_BACK)
        assert (safe.version, safe.to, safe.details["cause"]) == ("2.0.0", "1.0.0", "MetricBreached")
        assert [status.verdict.value for status in decided.evidence] == ["Breach"]
        assert decided.actor.kind is ActorKind.OPERATOR
        head = await rig.registry.head(key())
        assert version_stage(head, "2.0.0") is VersionStage.ROLLED_BACK
        assert await is_whole(rig)


@in_virtual_time
async def test_a_registry_that_is_down_for_a_whole_run_delays_nothing_and_loses_nothing() -> None:
    up, down = Rig(), Rig()
    down.audit_log.problem = DOWN
    for rig in (up, down):
        rig.model(registered=True)
        async with rig.running():
            await rig.reaches(Phase.HEALTHY)
            if rig is down:
                lag = find_condition(rig.status().conditions, ConditionType.AUDIT_LAG)
                assert lag is not None
                assert lag.status is ConditionStatus.TRUE
                assert "cannot be reached" in lag.message
                assert len(rig.status().records) == 8
                rig.audit_log.problem = None
            await until(partial(nothing_waits, rig), why="all to be recorded", within=120)
            assert find_condition(rig.status().conditions, ConditionType.AUDIT_LAG) is None
            assert await is_whole(rig)
    runs = [rig.status().history[0] for rig in (up, down)]
    took = [run.ended_at - run.started_at for run in runs]
    assert took[0] == took[1], "the registry has no say in when a run ends"
    assert await events(down) == await events(up)


@in_virtual_time
async def test_a_registry_that_never_answers_does_not_delay_a_rollback() -> None:
    took = []
    for hanging in (False, True):
        rig = Rig()
        rig.source.bad = {"2.0.0": 1.0}
        rig.audit_log.hanging = hanging
        rig.model(registered=True)
        async with rig.running():
            await rig.reaches(Phase.ROLLED_BACK)
            rollback = rig.status().rollback
            begun = rig.status().run_started_at
            assert rollback is not None
            assert rollback.traffic_safe_at is not None
            assert begun is not None
            took.append(rollback.traffic_safe_at - begun)
    assert took[0] == took[1]


@in_virtual_time
async def test_a_successor_delivers_the_rest_and_nothing_twice() -> None:
    first = Rig()
    first.model()
    async with first.running():
        await first.reaches_stage("canary")
        first.audit_log.problem = DOWN
        await first.reaches_stage("production")
        assert first.status().records
    second = Rig(first.cluster, first.source, epoch=8)
    async with second.running():
        await second.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(second), why="all to be recorded")
        ids = [record.id for record in await trail(second)]
        assert len(ids) == len(set(ids))
        assert (await events(second))[-1] == "Promoted"
        assert await is_whole(second)


@in_virtual_time
async def test_the_last_records_of_a_deleted_rollout_are_delivered() -> None:
    rig = Rig()
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches_stage("canary")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="it to be gone")
        rig.audit_log.problem = None
        await until(lambda: "RolloutStarted" in stored_events(rig), why="the last records to be delivered")


@pytest.mark.parametrize("seconds", [0, 3, 11])
@pytest.mark.parametrize("name", ["fraud", "fraud-again"])
@in_virtual_time
async def test_the_records_of_a_rollout_that_is_gone_come_before_those_of_the_next_one(name: str, seconds: int) -> None:
    rig = Rig()
    rig.model(registered=True)
    rig.audit_log.problem = DOWN
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        rig.cluster.remove(RolloutRecord, key())
        rig.cluster.put(rollout(name, spec_for("fraud", "1.0.0"), uid="uid-2"))
        await until(lambda: rig.weight("1.0.0") == 10_000, why="the next one's run", within=3600)
        await rig.reaches(Phase.HEALTHY, name)
        up_at = rig.clock.monotonic() + seconds
        await until(lambda: rig.clock.monotonic() >= up_at, why="the registry to be there")
        rig.audit_log.problem = None
        await until(lambda: not rig.status(name).records and len(rig.background) == 0, why="the delivery", within=100)
    head = await rig.registry.head(key())
    assert head.production is not None
    assert head.production.version == "1.0.0"
    runs = [record.rollout.uid for record in await trail(rig) if record.rollout is not None]
    assert runs == sorted(runs, key=lambda uid: uid == "uid-2")


@in_virtual_time
async def test_after_a_success_the_last_records_of_a_deleted_rollout_are_tried_again_with_the_shortest_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    failures, tries = 9, list[float]()
    outcomes = [DOWN] * failures + [None, DOWN, None]

    async def record(_model: ObjectKey, _entries: Sequence[AuditEntry]) -> int:
        await asyncio.sleep(0)
        tries.append(rig.clock.monotonic())
        failure = outcomes.pop(0) if outcomes else None
        if failure is not None:
            raise failure
        return len(tries)

    async with rig.running():
        await rig.reaches_stage("canary")
        assert len(rig.status().records) >= 2
        monkeypatch.setattr(rig.audit_log, "record_all", record)
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: not outcomes, why="the second record to be delivered", within=300)
        assert tries[failures + 2] - tries[failures + 1] == pytest.approx(BACKOFF.first)


@in_virtual_time
async def test_records_of_a_rollout_whose_spec_was_never_read_wait_without_a_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Rig()
    first.audit_log.problem = DOWN
    first.model(registered=True)
    async with first.running():
        await first.reaches_stage("canary")
    spec = first.cluster.rollout(key()).spec
    second = Rig(first.cluster, first.source, epoch=8)
    second.cluster.put(replace(second.cluster.rollout(key()), spec=InvalidSpec("spec.stages", "no list")))
    start, started = second.background.start, list[object]()

    def counted(work: Coroutine[Any, Any, None]) -> None:
        started.append(work)
        if len(started) > 50:
            work.close()
            raise AssertionError("a loop")
        start(work)

    monkeypatch.setattr(second.background, "start", counted)
    async with second.running():
        began = second.clock.monotonic()
        await until(lambda: second.clock.monotonic() > began + 600, why="ten minutes", within=601)
        assert len(started) < 20
        lag = find_condition(second.status().conditions, ConditionType.AUDIT_LAG)
        assert lag is not None
        assert "its model is not known" in lag.message
        second.cluster.put(replace(second.cluster.rollout(key()), spec=spec))
        await until(lambda: nothing_waits(second), why="the records to be delivered", within=60)


@in_virtual_time
async def test_too_many_waiting_records_hold_everything_but_a_rollback() -> None:
    rig = Rig()
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches_stage("canary")
        for number in range(200):
            verb = Command.PAUSE if number % 2 else Command.RESUME
            record = rig.cluster.rollout(key())
            rig.cluster.put(replace(record, commands={**record.commands, verb.value: f"again {number}"}))
            before = rig.status().last_handled
            if len(rig.status().records) >= 160:
                break
            await until(partial(another_command_handled, rig, before), why="the command")
        assert rig.status().reason in {"AuditBacklog", "Paused"}
        record = rig.cluster.rollout(key())
        rig.cluster.put(replace(record, commands={"abort": "now"}))
        await rig.reaches(Phase.ROLLED_BACK)
        assert len(rig.status().records) <= 170
        rig.audit_log.problem = None
        await until(lambda: nothing_waits(rig), why="all to be recorded", within=300)
        assert (await events(rig))[-1] == "RolledBack"
        assert await is_whole(rig)

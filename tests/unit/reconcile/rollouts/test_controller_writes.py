"""What the controller writes, in which order, and who may write."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from serinus.api.rollout_status import Phase
from serinus.errors import NotLeaderError
from serinus.ports.cluster_state import HttpRouteRecord, RolloutRecord
from serinus.ports.registry_store import Commit
from support.records import endpoints, key, model_version, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

# ---- the order of writes ------------------------------------------------------------------------


@in_virtual_time
async def test_a_good_version_goes_through_all_stages_and_is_said_to_be_in_production() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(
            lambda: rig.published() == {"1.0.0": ("Superseded", "0%"), "2.0.0": ("Production", "100%")}, why="it"
        )
        assert rig.status().history[0].version == "2.0.0"
        assert rig.weight("1.0.0") in {0, None}


@in_virtual_time
async def test_a_bad_version_loses_its_traffic_before_the_status_says_so_and_before_anybody_is_told() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        written = len(rig.cluster.journal)
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert rig.weight("2.0.0") == 0
        writes = [entry for entry in rig.cluster.journal[written:] if entry[0] != "modelversion"]
        weights, status = writes.index(("weights", "fraud")), writes.index(("status", "fraud"))
        assert weights < status < writes.index(("event", "RollbackStarted"))
        assert "2.0.0" in rig.status().quarantined
        assert b"serinus_rollbacks_total{" in rig.telemetry.render()


@pytest.mark.parametrize("resync", [300.0, 1.0])
@in_virtual_time
async def test_nothing_at_all_is_written_for_a_settled_rollout_however_often_it_is_reconciled(resync: float) -> None:
    rig = Rig()
    rig.model()
    async with rig.running(resync_every=resync):
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: rig.published()["1.0.0"][0] == "Superseded", why="all to be published")
        written = list(rig.cluster.journal)
        for version in range(100):
            rig.cluster.put(endpoints(ready=version % 3 + 1))
            await until(lambda: len(rig.queue) == 0, why="the reconcile")
        assert rig.cluster.journal == written
        assert len(rig.queue._timers) <= 1


@in_virtual_time
async def test_the_writes_of_one_run_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.model(version="1.0.0")
    heads = count_heads(rig, monkeypatch)
    staging = {"name": "staging", "traffic": "0%", "tests": [{"name": "answers", "http": {"path": "/ready"}}]}
    watched = {"abortOn": ["error_rate > 5%"]}
    canary = {"name": "canary", "traffic": "5%", "duration": "10m", **watched}
    production = {"name": "production", "traffic": "100%", "bake": "5m", **watched}
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: not rig.status().records, why="all to be recorded")
        rig.cluster.put(model_version("2.0.0"))
        rig.cluster.put(endpoints("fraud", "2.0.0"))
        await until(lambda: rig.published().get("2.0.0", ("", ""))[0] == "Registered", why="the registration")
        written, recorded = len(rig.cluster.journal), (await rig.registry.head(key())).audit.sequence
        moved = len(heads)
        wish = spec_for("fraud", "2.0.0", staging, canary, production)
        rig.cluster.put(replace(rig.cluster.rollout(key()), spec=wish, generation=2))
        await until(lambda: rig.weight("2.0.0") == 10_000, why="all the traffic", within=1200)
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: rig.published()["1.0.0"] == ("Superseded", "0%"), why="the end to be published")
        await until(lambda: not rig.status().records, why="all to be recorded")
    count = Counter(what for what, _ in rig.cluster.journal[written:])
    minutes = 15
    assert count.pop("status") <= 7 + minutes, "a refresh a minute beside what happened"
    assert count == {"weights": 3, "finalizer": 1, "no finalizer": 1, "modelversion": 6, "event": 6}
    assert (await rig.registry.head(key())).audit.sequence - recorded == 8
    assert len(heads) - moved == 3


def count_heads(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the records whose step also writes the head, where that is a write of its own."""
    heads, commit = list[int](), rig.cluster.registry.commit

    async def counted(step: Commit) -> None:
        await commit(step)
        if not step.head_later:
            heads.append(step.record.sequence)

    monkeypatch.setattr(rig.cluster.registry, "commit", counted)
    return heads


@in_virtual_time
async def test_a_running_stage_costs_one_status_a_minute_beside_what_happens_in_it() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        statuses = rig.cluster.journal.count(("status", "fraud"))
        others = sum(1 for what, _ in rig.cluster.journal if what in {"weights", "modelversion"})
        assert statuses <= 15 + 12, "10 minutes canary, 5 minutes bake, and what happened"
        assert others <= 12


@in_virtual_time
async def test_a_superseded_candidate_is_no_canary_any_more() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: rig.published()["2.0.0"][0] == "Canary", why="the canary to be one")
        rig.cluster.put(model_version("3.0.0"))
        rig.cluster.put(endpoints("fraud", "3.0.0"))
        rig.cluster.put(rollout(spec=spec_for("fraud", "3.0.0"), status=rig.status()))
        await until(lambda: rig.published().get("3.0.0", ("", ""))[0] in {"Staging", "Canary"}, why="the new candidate")
        await until(lambda: rig.published()["2.0.0"] == ("Registered", ""), why="the old candidate to be none")


@in_virtual_time
async def test_no_weight_rises_while_the_gateway_has_not_accepted_what_was_written_before() -> None:
    rig = Rig()
    rig.cluster.accepting = False
    rig.model()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 900, why="more than the stage's time", within=1000)
        assert rig.weight("2.0.0") in {0, None}
        assert rig.status().phase is Phase.PROGRESSING


# ---- leadership ---------------------------------------------------------------------------------


@in_virtual_time
async def test_who_does_not_lead_writes_nothing() -> None:
    rig = Rig()
    rig.model()
    rig.leadership.epoch = None
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 900, why="a quarter of an hour to pass", within=1000)
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the deletion")
    assert rig.cluster.journal == []


@in_virtual_time
async def test_a_lead_that_is_lost_between_the_weights_and_the_status_ends_the_reconcile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    rig.model()
    write = rig.router.set_weights

    async def deposed_after(*args: Any, **kwargs: Any) -> HttpRouteRecord:
        written = await write(*args, **kwargs)
        rig.leadership.epoch = None
        return written

    monkeypatch.setattr(rig.router, "set_weights", deposed_after)
    async with rig.running():
        await until(lambda: rig.leadership.epoch is None, why="the first weights")
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 60, why="a minute", within=61)
        assert rig.statuses.sent == []


@in_virtual_time
async def test_every_status_bears_the_term_of_its_writer_and_it_never_falls() -> None:
    rig = Rig(epoch=7)
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        assert rig.status().epoch == 7
    successor = Rig(rig.cluster, epoch=9)
    async with successor.running():
        successor.source.bad = {"2.0.0": 1.0}
        await successor.reaches(Phase.ROLLED_BACK, within=30)
        assert successor.status().epoch == 9


@in_virtual_time
async def test_a_deposed_leader_cannot_write_over_its_successor() -> None:
    rig = Rig(epoch=9)
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={"pause": "wait"}))
    deposed = Rig(rig.cluster, epoch=7)
    for record in rig.cluster.objects.values():
        deposed.cache.put(record)
    with pytest.raises(NotLeaderError, match="term 9, and this process leads in term 7"):
        await deposed.reconciler.reconcile(key())
    assert deposed.status().epoch == 9
    assert (deposed.statuses.sent, deposed.router.sent, deposed.leadership.outranked) == ([], [], [9])


@in_virtual_time
async def test_a_leader_whose_term_is_below_that_of_a_status_goes_on_once_its_term_is_raised() -> None:
    rig = Rig(epoch=9)
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
    restored = Rig(rig.cluster, epoch=7)
    async with restored.running():
        await until(lambda: restored.leadership.outranked, why="the term to be raised")
        assert set(restored.leadership.outranked) == {9}
        restored.leadership.epoch = 10
        await restored.reaches(Phase.HEALTHY)
        assert restored.status().epoch == 10

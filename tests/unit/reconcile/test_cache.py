"""The store: the last sight of each object wins, and each sight wakes those whom it concerns and nobody else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import CurrentStage, RolloutStatus, StageState, TestResult
from serinus.engine.rollout.observation import Observation, TestOutcome
from serinus.ports.cluster_state import (
    EndpointsRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
    RouteRecord,
)
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.rollouts.observe import LocalFacts, observe, spec_of
from support.records import MISSPELT, endpoints, job, key, model_version, namespace_record, rollout, route, spec_for
from support.virtual_loop import START

IN_STAGING = RolloutStatus(
    run=1,
    stage=CurrentStage(index=0, name="staging", state=StageState.TESTING, since=START, state_since=START),
)
PASSED = TestOutcome(TestResult.PASSED, "it passed")


def a_store(*records: Record) -> ClusterCache:
    store = ClusterCache()
    for record in records:
        store.put(record)
    return store


def seen(store: ClusterCache, name: str = "fraud") -> Observation:
    record = store.rollout(key(name))
    assert record is not None
    return observe(store, AdmissionCache(store), record, LocalFacts())


# ---- sights ------------------------------------------------------------------------------------


def test_an_older_sight_never_replaces_a_newer_one_and_wakes_nobody() -> None:
    store = a_store(rollout(version=5, status=RolloutStatus(run=2)))
    assert store.put(rollout(version=4)) == frozenset()
    assert store.put(rollout(version=5)) == frozenset()
    held = store.rollout(key())
    assert held is not None
    assert held.status.run == 2


def test_a_late_sight_of_the_namesake_that_is_gone_does_not_replace_the_new_one() -> None:
    store = a_store(rollout(uid="old", version=5))
    assert store.put(rollout(uid="new", version=9)) == {key()}
    assert store.put(rollout(uid="old", version=6)) == frozenset()
    assert store.uid_of(RolloutRecord, key()) == "new"


def test_the_deletion_of_the_old_namesake_leaves_the_new_one_alone() -> None:
    store = a_store(rollout(uid="old", version=5), rollout(uid="new", version=9))
    assert store.drop(RolloutRecord, key(), "old") == frozenset()
    assert store.rollout(key()) is not None
    assert store.drop(RolloutRecord, key(), "new") == {key()}
    assert store.rollout(key()) is None


def test_a_deletion_without_a_uid_means_whatever_has_the_name() -> None:
    store = a_store(route())
    store.drop(RouteRecord, key(), "")
    assert store.route(key()) is None


def test_the_last_plan_survives_a_spoilt_spec() -> None:
    store = a_store(rollout(version=1), rollout(spec=MISSPELT, version=2))
    record = store.rollout(key())
    assert record is not None
    assert store.last_plan(record) == spec_for("fraud")
    assert spec_of(store, record) == replace(MISSPELT, last=spec_for("fraud"))
    assert store.put(route(version=3)) == {key()}, "a route of the last plan still concerns it"


def test_the_plan_of_a_namesake_that_is_gone_guards_nobody() -> None:
    store = a_store(rollout(uid="old", version=1), rollout(uid="new", spec=MISSPELT, version=2))
    record = store.rollout(key())
    assert record is not None
    assert store.last_plan(record) is None
    assert store.put(route(version=3)) == frozenset()


def test_a_rollout_that_was_never_readable_has_no_plan_and_waits_for_no_route() -> None:
    store = a_store(rollout(spec=MISSPELT))
    assert seen(store).versions == {}
    assert store.counts()["Rollout"] == 1


def test_nothing_is_left_in_any_index_once_everything_is_gone() -> None:
    records: list[Record] = [rollout(), model_version(), route(), endpoints(), namespace_record(), job()]
    store = a_store(*records)
    for record in records:
        store.drop(type(record), record.meta.key, record.meta.uid)
    assert set(store.counts().values()) == {0}
    indexes = (store._by_namespace, store._by_model, store._by_route, store._versions, store._models)
    assert [len(index) for index in (*indexes, store._slices, store._jobs)] == [0] * 7
    assert store._plans == {}


# ---- whom it concerns --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "concerned"),
    [
        (rollout(version=2), {"fraud"}),
        (rollout("churn", version=2), {"churn"}),
        (model_version("3.0.0"), {"fraud"}),
        (model_version("1.0.0", "unheard-of"), set()),
        (route(version=2), {"fraud"}),
        (route("elsewhere"), set()),
        (endpoints("fraud", "2.0.0"), {"fraud"}),
        (endpoints("fraud", "9.9.9"), set()),
        (job(), {"fraud"}),
        (namespace_record("audit", version=2), {"fraud", "churn"}),
        (namespace_record("audit", name="other"), set()),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, set) else "-".join(sorted(value)) or "nobody",
)
def test_a_sight_concerns_the_rollouts_of_its_model_route_or_namespace(record: Record, concerned: set[str]) -> None:
    store = a_store(model_version("2.0.0"), model_version("2.0.0", "churn"), rollout(), rollout("churn"))
    assert store.put(record) == {key(name) for name in concerned}


def test_what_changes_its_model_concerns_both_the_old_and_the_new_one() -> None:
    store = a_store(rollout(), rollout("churn"), model_version("2.0.0", version=1))
    moved = replace(model_version("2.0.0", version=2), model="churn")
    assert store.put(moved) == {key("fraud"), key("churn")}
    assert store.versions("ml", "fraud") == ()


def test_the_ready_endpoints_of_all_slices_of_a_service_are_added() -> None:
    store = a_store(endpoints(ready=2, name="a"), endpoints(ready=1, name="b"), endpoints("churn", ready=5, name="c"))
    assert store.ready_endpoints("ml", "fraud-v2-0-0") == 3
    store.drop(EndpointsRecord, key("a"), "")
    assert store.ready_endpoints("ml", "fraud-v2-0-0") == 1
    assert store.ready_endpoints("other", "fraud-v2-0-0") == 0


def test_a_frozen_namespace_says_why_until_it_is_let_go() -> None:
    store = a_store(rollout(), namespace_record("year-end audit"))
    assert seen(store).freeze == "year-end audit"
    store.put(namespace_record(None, version=2))
    assert seen(store).freeze is None
    store.put(namespace_record("again", version=3))
    store.drop(NamespaceRecord, ObjectKey("", "ml"), "")
    assert seen(store).freeze is None


# ---- tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"run": 2}, {"stage": "canary"}, {"owner": "uid-of-a-namesake"}, {"rollout": "churn"}, {"outcome": None}],
    ids=str,
)
def test_the_job_of_another_run_stage_or_rollout_is_not_believed(other: dict[str, Any]) -> None:
    store = a_store(rollout(status=IN_STAGING), job(**{"outcome": PASSED, **other}))
    assert seen(store).tests == {}


def test_the_job_of_this_very_stage_is_believed() -> None:
    store = a_store(rollout(status=IN_STAGING), job(PASSED))
    assert seen(store).tests == {"contract": PASSED}


def test_no_job_is_believed_while_no_stage_is_under_way() -> None:
    assert seen(a_store(rollout(), job(PASSED, run=0, stage=""))).tests == {}


# ---- conflicts ---------------------------------------------------------------------------------


def test_of_two_rollouts_of_one_model_the_older_one_wins() -> None:
    second = rollout("second", spec_for("fraud"), created_at=START + timedelta(seconds=1))
    store = a_store(rollout())
    assert store.put(second) == {key(), key("second")}, "the older one looks again too"
    assert seen(store, "second").conflict == "fraud"
    assert seen(store, "fraud").conflict == ""
    assert store.drop(RolloutRecord, key(), "") == {key(), key("second")}
    assert seen(store, "second").conflict == ""


def test_of_two_rollouts_made_in_the_same_second_the_name_decides() -> None:
    store = a_store(rollout("b", spec_for("fraud")), rollout("a", spec_for("fraud")))
    assert [seen(store, "a").conflict, seen(store, "b").conflict] == ["", "a"]


@pytest.mark.parametrize(("mine", "theirs", "conflict"), [
    ("predict", "predict", True),
    ("predict", "explain", False),
    ("predict", None, True),
    (None, None, True),
])  # fmt: skip
def test_two_models_conflict_where_they_may_share_a_rule(mine: str | None, theirs: str | None, conflict: bool) -> None:  # noqa: FBT001 - a table
    def on(rule: str | None) -> dict[str, Any]:
        return {"route": {"httpRoute": {"name": "shared", **({"ruleName": rule} if rule else {})}}}

    store = a_store(rollout("a", spec_for("a", **on(theirs))), rollout("b", spec_for("b", **on(mine))))
    assert seen(store, "b").conflict == ("a" if conflict else "")


def test_a_rollout_in_another_namespace_is_no_rival() -> None:
    store = a_store(rollout(), rollout(namespace="other", created_at=START - timedelta(days=1)))
    assert seen(store).conflict == ""


# ---- lists -------------------------------------------------------------------------------------


def take_in(store: ClusterCache, kind: type[Record], *records: Record) -> tuple[ObjectKey, ...]:
    listing = store.begin_listing(kind)
    gone = store.vanished(listing, records)
    store.put_all(listing, records)
    store.end_listing(listing)
    return gone


def test_what_a_list_does_not_hold_has_vanished_unseen() -> None:
    store = a_store(rollout(), rollout("churn"))
    assert take_in(store, RolloutRecord, rollout("churn")) == (key("fraud"),)


def test_what_came_up_while_the_list_was_read_has_not_vanished() -> None:
    store = a_store(rollout("churn"))
    listing = store.begin_listing(RolloutRecord)
    store.put(rollout("newborn"))
    assert store.vanished(listing, [rollout("churn")]) == ()


def test_what_was_made_anew_while_the_list_was_read_has_not_vanished() -> None:
    store = a_store(rollout(uid="old", version=1))
    listing = store.begin_listing(RolloutRecord)
    store.put(rollout(uid="new", version=2))
    assert store.vanished(listing, []) == ()


def test_what_was_deleted_while_the_list_was_read_is_not_brought_back_by_it() -> None:
    store = a_store(rollout())
    listing = store.begin_listing(RolloutRecord)
    store.drop(RolloutRecord, key(), "uid-ml-fraud")
    assert store.put_all(listing, [rollout()]) == frozenset()
    store.end_listing(listing)
    assert store.rollout(key()) is None
    take_in(store, RolloutRecord, rollout(version=9))
    assert store.rollout(key()) is not None, "the next list is believed again"


def test_a_list_of_one_kind_says_nothing_of_another() -> None:
    store = a_store(rollout(), model_version())
    assert take_in(store, ModelVersionRecord) == (model_version().meta.key,)
    assert store.rollout(key()) is not None

"""The cache: the newest version of each object wins, and a change returns exactly the Rollouts that it concerns."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import CurrentStage, RolloutStatus, RouteStatus, Serving, StageState, TestResult
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.observation import Observation, TestOutcome
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
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


def cache_of(*records: Record) -> ClusterCache:
    cache = ClusterCache()
    for record in records:
        cache.put(record)
    return cache


def observed(cache: ClusterCache, name: str = "fraud") -> Observation:
    record = cache.rollout(key(name))
    assert record is not None
    return observe(cache, AdmissionCache(cache), record, LocalFacts())


# ---- versions of an object ---------------------------------------------------------------------


def test_an_older_version_never_replaces_a_newer_one_and_concerns_no_rollout() -> None:
    cache = cache_of(rollout(version=5, status=RolloutStatus(run=2)))
    assert cache.put(rollout(version=4)) == frozenset()
    assert cache.put(rollout(version=5)) == frozenset()
    record = cache.rollout(key())
    assert record is not None
    assert record.status.run == 2


def test_a_late_version_of_the_namesake_that_is_gone_does_not_replace_the_new_one() -> None:
    cache = cache_of(rollout(uid="old", version=5))
    assert cache.put(rollout(uid="new", version=9)) == {key()}
    assert cache.put(rollout(uid="old", version=6)) == frozenset()
    assert cache.uid_of(RolloutRecord, key()) == "new"


def test_the_deletion_of_the_old_namesake_leaves_the_new_one_alone() -> None:
    cache = cache_of(rollout(uid="old", version=5), rollout(uid="new", version=9))
    assert cache.drop(RolloutRecord, key(), "old") == frozenset()
    assert cache.rollout(key()) is not None
    assert cache.drop(RolloutRecord, key(), "new") == {key()}
    assert cache.rollout(key()) is None


def test_a_deletion_without_a_uid_means_whatever_has_the_name() -> None:
    cache = cache_of(route())
    cache.drop(HttpRouteRecord, key(), "")
    assert cache.route(key().namespace, RuleId(RouteKind.HTTP_ROUTE, key().name)) is None


def test_what_was_dropped_is_gone_until_the_watch_or_a_list_shows_it() -> None:
    cache = cache_of(rollout(uid="old", version=5))
    cache.drop(RolloutRecord, key(), "old")
    assert cache.is_gone("old")
    cache.put(rollout(uid="old", version=6))
    assert not cache.is_gone("old")


def test_the_dropped_ones_that_are_remembered_are_bounded() -> None:
    cache = ClusterCache()
    for number in range(5000):
        cache.drop(RolloutRecord, key(), f"uid-{number}")
    assert [cache.is_gone(f"uid-{number}") for number in (0, 4999)] == [False, True]


def test_the_last_plan_survives_a_spoilt_spec() -> None:
    cache = cache_of(rollout(version=1), rollout(spec=MISSPELT, version=2))
    record = cache.rollout(key())
    assert record is not None
    assert cache.last_plan(record) == spec_for("fraud")
    assert spec_of(cache, record) == replace(MISSPELT, last=spec_for("fraud"))
    assert cache.put(route(version=3)) == {key()}, "a route of the last plan still concerns it"


def test_the_plan_of_a_namesake_that_is_gone_does_not_pass_to_the_new_one() -> None:
    cache = cache_of(rollout(uid="old", version=1), rollout(uid="new", spec=MISSPELT, version=2))
    record = cache.rollout(key())
    assert record is not None
    assert cache.last_plan(record) is None
    assert cache.put(route(version=3)) == frozenset()


def test_a_rollout_that_was_never_readable_has_no_plan_and_waits_for_no_route() -> None:
    cache = cache_of(rollout(spec=MISSPELT))
    assert observed(cache).versions == {}
    assert cache.counts()["Rollout"] == 1


def test_what_can_be_read_of_a_spec_that_was_never_followed_ties_the_rollout_to_its_route_and_versions() -> None:
    cache = cache_of(rollout(spec=replace(MISSPELT, last=spec_for("fraud"))))
    assert cache.put(route(version=3)) == {key()}
    assert cache.put(model_version(version=4)) == {key()}


def test_what_can_be_read_of_a_spoilt_spec_does_not_replace_the_plan_that_was_followed() -> None:
    spoilt = replace(MISSPELT, last=spec_for("fraud", "9.9.9"))
    cache = cache_of(rollout(version=1), rollout(spec=spoilt, version=2))
    record = cache.rollout(key())
    assert record is not None
    assert cache.last_plan(record) == spec_for("fraud")


def test_nothing_is_left_in_any_index_once_everything_is_gone() -> None:
    records: list[Record] = [rollout(), model_version(), route(), endpoints(), namespace_record(), job()]
    cache = cache_of(*records)
    for record in records:
        cache.drop(type(record), record.meta.key, record.meta.uid)
    assert set(cache.counts().values()) == {0}
    named = cache._relations
    indexes = (named._by_namespace, named.by_model, named._by_route, named._by_service, named.versions, named._models)
    assert [len(index) for index in (*indexes, named.slices, named.jobs)] == [0] * 8
    assert named.plans == {}


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
def test_a_change_concerns_the_rollouts_of_its_model_route_or_namespace(record: Record, concerned: set[str]) -> None:
    cache = cache_of(model_version("2.0.0"), model_version("2.0.0", "churn"), rollout(), rollout("churn"))
    assert cache.put(record) == {key(name) for name in concerned}


def test_a_version_that_changes_its_model_concerns_the_old_and_the_new_one() -> None:
    cache = cache_of(rollout(), rollout("churn"), model_version("2.0.0", version=1))
    moved = replace(model_version("2.0.0", version=2), model="churn")
    assert cache.put(moved) == {key("fraud"), key("churn")}
    assert cache.versions("ml", "fraud") == ()


def test_the_ready_endpoints_of_all_slices_of_a_service_are_added() -> None:
    cache = cache_of(endpoints(ready=2, name="a"), endpoints(ready=1, name="b"), endpoints("churn", ready=5, name="c"))
    assert cache.ready_endpoints("ml", "fraud-v2-0-0") == 3
    cache.drop(EndpointsRecord, key("a"), "")
    assert cache.ready_endpoints("ml", "fraud-v2-0-0") == 1
    assert cache.ready_endpoints("other", "fraud-v2-0-0") == 0


def test_a_frozen_namespace_has_a_reason_until_it_is_released() -> None:
    cache = cache_of(rollout(), namespace_record("year-end audit"))
    assert observed(cache).freeze == "year-end audit"
    cache.put(namespace_record(None, version=2))
    assert observed(cache).freeze is None
    cache.put(namespace_record("again", version=3))
    cache.drop(NamespaceRecord, ObjectKey("", "ml"), "")
    assert observed(cache).freeze is None


# ---- tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"run": 2}, {"stage": "canary"}, {"owner": "uid-of-a-namesake"}, {"rollout": "churn"}, {"outcome": None}],
    ids=str,
)
def test_the_job_of_another_run_stage_or_rollout_is_not_believed(other: dict[str, Any]) -> None:
    cache = cache_of(rollout(status=IN_STAGING), job(**{"outcome": PASSED, **other}))
    assert observed(cache).tests == {}


def test_the_job_of_this_very_stage_is_believed() -> None:
    cache = cache_of(rollout(status=IN_STAGING), job(PASSED))
    assert observed(cache).tests == {"contract": PASSED}


def test_no_job_is_believed_while_no_stage_is_under_way() -> None:
    assert observed(cache_of(rollout(), job(PASSED, run=0, stage=""))).tests == {}


# ---- conflicts ---------------------------------------------------------------------------------


def test_of_two_rollouts_of_one_model_the_older_one_wins() -> None:
    second = rollout("second", spec_for("fraud"), created_at=START + timedelta(seconds=1))
    cache = cache_of(rollout())
    assert cache.put(second) == {key(), key("second")}, "the older one is reconciled again too"
    assert observed(cache, "second").conflict == "fraud"
    assert observed(cache, "fraud").conflict == ""
    assert cache.drop(RolloutRecord, key(), "") == {key(), key("second")}
    assert observed(cache, "second").conflict == ""


def test_of_two_rollouts_made_in_the_same_second_the_name_decides() -> None:
    cache = cache_of(rollout("b", spec_for("fraud")), rollout("a", spec_for("fraud")))
    assert [observed(cache, "a").conflict, observed(cache, "b").conflict] == ["", "a"]


@pytest.mark.parametrize(("mine", "theirs", "conflict"), [
    ("predict", "predict", True),
    ("predict", "explain", False),
    ("predict", None, True),
    (None, None, True),
])  # fmt: skip
def test_two_models_conflict_where_they_may_share_a_rule(mine: str | None, theirs: str | None, conflict: bool) -> None:  # noqa: FBT001 - a table
    def on(rule: str | None) -> dict[str, Any]:
        return {"route": {"httpRoute": {"name": "shared", **({"ruleName": rule} if rule else {})}}}

    cache = cache_of(rollout("a", spec_for("a", **on(theirs))), rollout("b", spec_for("b", **on(mine))))
    assert observed(cache, "b").conflict == ("a" if conflict else "")


def test_who_waits_for_a_route_is_reconciled_when_the_run_on_it_is_left() -> None:
    """The spec names another route by then: only the status tells on which one the run was."""
    on_old: dict[str, Any] = {"route": {"httpRoute": {"name": "old"}}}
    running = structs.replace(
        IN_STAGING,
        route=RouteStatus(name="old"),
        candidate=Serving(version="2.0.0", weight=0, since=START),
        stable=Serving(version="1.0.0", weight=100, since=START),
    )
    moving = rollout("a", spec_for("a"), running)
    waiting = rollout("b", spec_for("b", **on_old), created_at=START - timedelta(days=1))
    cache = cache_of(moving, waiting)
    assert observed(cache, "b").conflict == "a"

    settled = structs.replace(running, stage=None, candidate=None)
    left = rollout("a", spec_for("a"), structs.replace(settled, route=RouteStatus(name="a", rule_name="predict")))
    assert cache.put(replace(left, meta=replace(left.meta, version=2))) == {key("a"), key("b")}
    assert observed(cache, "b").conflict == ""
    assert cache.put(replace(left, meta=replace(left.meta, version=3))) == {key("a")}


def test_a_rollout_in_another_namespace_is_no_rival() -> None:
    cache = cache_of(rollout(), rollout(namespace="other", created_at=START - timedelta(days=1)))
    assert observed(cache).conflict == ""


# ---- lists -------------------------------------------------------------------------------------


def put_list(cache: ClusterCache, kind: type[Record], *records: Record) -> tuple[ObjectKey, ...]:
    listing = cache.begin_listing(kind)
    gone = cache.vanished(listing, records)
    cache.put_all(listing, records)
    cache.end_listing(listing)
    return gone


def test_an_object_that_is_missing_from_a_list_has_vanished() -> None:
    cache = cache_of(rollout(), rollout("churn"))
    assert put_list(cache, RolloutRecord, rollout("churn")) == (key("fraud"),)


def test_an_object_was_replaced_whose_name_another_one_has_in_the_list() -> None:
    cache = cache_of(rollout(uid="old", version=1), rollout("churn", uid="same", version=1))
    listing = cache.begin_listing(RolloutRecord)
    records = (rollout(uid="new", version=2), rollout("churn", uid="same", version=1), rollout("newborn", version=3))
    assert cache.replaced(listing, records) == (key("fraud"),)
    assert cache.vanished(listing, records) == ()
    cache.put(rollout(uid="newer", version=4))
    assert cache.replaced(listing, records) == ()


def test_an_object_that_was_created_while_the_list_was_read_has_not_vanished() -> None:
    cache = cache_of(rollout("churn"))
    listing = cache.begin_listing(RolloutRecord)
    cache.put(rollout("newborn"))
    assert cache.vanished(listing, [rollout("churn")]) == ()


def test_an_object_that_was_recreated_while_the_list_was_read_has_not_vanished() -> None:
    cache = cache_of(rollout(uid="old", version=1))
    listing = cache.begin_listing(RolloutRecord)
    cache.put(rollout(uid="new", version=2))
    assert cache.vanished(listing, []) == ()


def test_an_object_that_was_deleted_while_the_list_was_read_is_not_brought_back_by_it() -> None:
    cache = cache_of(rollout())
    listing = cache.begin_listing(RolloutRecord)
    cache.drop(RolloutRecord, key(), "uid-ml-fraud")
    assert cache.put_all(listing, [rollout()]) == frozenset()
    cache.end_listing(listing)
    assert cache.rollout(key()) is None
    put_list(cache, RolloutRecord, rollout(version=9))
    assert cache.rollout(key()) is not None, "the next list is believed again"


def test_a_list_of_one_kind_does_not_affect_another() -> None:
    cache = cache_of(rollout(), model_version())
    assert put_list(cache, ModelVersionRecord) == (model_version().meta.key,)
    assert cache.rollout(key()) is not None


def test_a_list_that_is_older_than_what_was_known_before_it_is_a_restored_backup_and_is_believed() -> None:
    cache = cache_of(rollout(version=9), route(version=8))
    restored = rollout(spec=spec_for("fraud", "1.5.0"), version=4)
    listing = cache.begin_listing(RolloutRecord)
    assert cache.put_all(listing, [restored]) == {key()}
    cache.end_listing(listing)
    assert cache.rollout(key()) == restored
    assert cache.put(replace(restored, generation=2, meta=replace(restored.meta, version=5))) == {key()}


def test_what_has_changed_while_a_list_was_read_is_not_set_back_by_it() -> None:
    cache = cache_of(rollout(version=4))
    listing = cache.begin_listing(RolloutRecord)
    cache.put(rollout(version=9))
    assert cache.put_all(listing, [rollout(version=4)]) == frozenset()
    cache.put(rollout(version=10))
    assert cache.put_all(listing, [rollout(version=3)]) == frozenset()
    found = cache.rollout(key())
    assert found is not None
    assert found.meta.version == 10

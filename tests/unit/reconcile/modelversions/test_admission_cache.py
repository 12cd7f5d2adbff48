"""Which reviews are computed again: a model may have a thousand versions, and one of them changes at a time."""

from dataclasses import replace

import pytest

from serinus.api.conditions import Condition, ConditionStatus, ConditionType
from serinus.api.model import ModelSpec
from serinus.api.modelversion import Bump, Compatibility, ModelVersionStatus
from serinus.engine.versions.admission import REGISTERED, VersionUnderReview
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions import comparisons
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from support.builders import NOW
from support.records import key, model_record, model_version

MODEL = key()


def accepted(number: str) -> ModelVersionRecord:
    """A version whose schema has been accepted: its status says so."""
    record = model_version(number)
    told = Condition(
        type=ConditionType.SCHEMA_ACCEPTED,
        status=ConditionStatus.TRUE,
        reason="Compatible",
        message="It fits.",
        observed_generation=1,
        last_transition_time=NOW,
    )
    nothing = Compatibility(against="", declared=Bump.NONE, required=Bump.NONE, rollback_safe=True)
    status = ModelVersionStatus(spec_hash=record.spec_hash, conditions=(told,), compatibility=nothing)
    return replace(record, status=status)


def cached(*records: ModelVersionRecord) -> tuple[ClusterCache, AdmissionCache]:
    cache = ClusterCache()
    cache.put(model_record())
    for record in records:
        cache.put(record)
    return cache, AdmissionCache(cache)


def test_a_registration_has_one_version_reviewed_again() -> None:
    records = [model_version(f"1.{minor}.0") for minor in range(5)]
    _, admission = cached(*records)
    before = admission.reviews(MODEL)
    admission.set_registration(records[2].meta.uid, REGISTERED)
    after = admission.reviews(MODEL)
    assert [number for number in after if after[number] is not before[number]] == ["1.2.0"]


def test_a_new_version_has_those_reviewed_again_whose_schema_is_not_accepted_yet() -> None:
    cache, admission = cached(accepted("1.0.0"), model_version("1.1.0"))
    before = admission.reviews(MODEL)
    cache.put(model_version("1.2.0"))
    after = admission.reviews(MODEL)
    assert after["1.0.0"] is before["1.0.0"]
    assert after["1.1.0"] is not before["1.1.0"]
    assert list(after) == ["1.0.0", "1.1.0", "1.2.0"]


def test_a_new_policy_has_all_versions_reviewed_again() -> None:
    cache, admission = cached(accepted("1.0.0"), model_version("1.1.0"))
    before = admission.reviews(MODEL)
    changed = model_record(policy=ModelSpec(owner="payments"))
    cache.put(replace(changed, meta=replace(changed.meta, version=changed.meta.version + 1)))
    after = admission.reviews(MODEL)
    assert [number for number in after if after[number] is before[number]] == []


def test_of_many_versions_only_the_one_that_has_changed_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    under_review = AdmissionCache._under_review

    def noted(admission: AdmissionCache, version: ModelVersionRecord) -> VersionUnderReview:
        looked.append(version.version)
        return under_review(admission, version)

    monkeypatch.setattr(AdmissionCache, "_under_review", noted)
    records = [model_version(f"1.{minor}.0") for minor in range(20)]
    cache, admission = cached(*records)
    admission.reviews(MODEL)
    assert len(looked) == 20

    admission.reviews(MODEL)
    admission.set_registration(records[3].meta.uid, REGISTERED)
    admission.reviews(MODEL)
    settled = accepted("1.7.0")
    cache.put(replace(settled, meta=replace(settled.meta, version=settled.meta.version + 1)))
    assert admission.reviews(MODEL)["1.7.0"].compatibility is not None
    assert looked[20:] == ["1.3.0", "1.7.0"]


def test_versions_are_the_same_ones_to_others_until_one_is_added_yanked_or_taken_away() -> None:
    one, other = (known(number) for number in ("1.0.0", "1.1.0"))
    versions = comparisons.KnownVersions([one, other])
    assert versions.with_versions([other, replace(one, registration=REGISTERED)]) is versions
    assert versions.with_versions([one]) is not versions
    assert versions.with_versions([one, replace(other, yanked="it leaks")]) is not versions


def known(number: str) -> VersionUnderReview:
    record = model_version(number)
    assert record.spec is not None
    return VersionUnderReview(spec=record.spec, spec_hash=record.spec_hash)


def with_columns(minor: int, columns: int) -> ModelVersionRecord:
    """A version that has some hundred outputs; the next one has one more."""
    outputs = [{"name": f"o{number}", "dtype": "float32"} for number in range(columns + minor)]
    inputs = [{"name": "amount", "dtype": "float64"}]
    signature = {"profile": "columnar", "inputs": inputs, "outputs": outputs}
    return model_version(f"1.{minor}.0", spec={"signature": signature})


MANY = [with_columns(minor, 200) for minor in range(12)]


def registered(*records: ModelVersionRecord) -> tuple[ClusterCache, AdmissionCache]:
    cache, admission = cached(*records)
    for record in records:
        admission.set_registration(record.meta.uid, REGISTERED)
    return cache, admission


def answer_all(admission: AdmissionCache) -> int:
    parts = 0
    while (due := admission.due(MODEL)) is not None:
        admission.set_answers(MODEL, due.answers())
        parts += 1
    return parts


def test_schemas_that_take_long_to_compare_are_left_to_the_caller() -> None:
    _, admission = registered(*MANY)
    waiting = [number for number, one in admission.reviews(MODEL).items() if one.block and one.block.temporary]
    assert len(waiting) > len(MANY) / 2
    block = admission.reviews(MODEL)["1.11.0"].block
    assert block is not None
    assert (block.reason, block.message) == (
        "SchemaPending",
        "Its schema is being compared with those of the model's other versions.",
    )


def test_what_is_compared_elsewhere_is_reviewed_like_what_is_compared_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, apart = registered(*MANY)
    assert answer_all(apart) >= 1
    monkeypatch.setattr(comparisons, "AT_ONCE", 10**9)
    _, in_place = registered(*MANY)
    assert in_place.due(MODEL) is None
    assert apart.reviews(MODEL) == in_place.reviews(MODEL)
    assert {one.block for one in apart.reviews(MODEL).values()} == {None}


def test_an_answer_about_versions_that_have_changed_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, admission = registered(*MANY)
    due = admission.due(MODEL)
    assert due is not None
    shorter = with_columns(12, 0)
    cache.put(shorter)
    admission.set_registration(shorter.meta.uid, REGISTERED)
    admission.set_answers(MODEL, due.answers())
    blocks = [admission.reviews(MODEL)[one.version].block for one in due.parts]
    assert {block.reason if block is not None else "none" for block in blocks} == {"SchemaPending"}
    answer_all(admission)
    monkeypatch.setattr(comparisons, "AT_ONCE", 10**9)
    _, in_place = registered(*MANY, shorter)
    assert admission.reviews(MODEL) == in_place.reviews(MODEL)


def test_a_yanked_version_is_barred_although_its_schema_is_not_compared_yet() -> None:
    _, admission = registered(*MANY[:-1], replace(MANY[-1], yanked="it leaks"))
    block = admission.reviews(MODEL)["1.11.0"].block
    assert block is not None
    assert (block.reason, block.temporary) == ("VersionYanked", False)


def test_much_work_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "PART", 10_000)
    _, admission = registered(*MANY)
    assert answer_all(admission) > 3

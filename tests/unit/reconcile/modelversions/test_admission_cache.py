"""Which reviews are computed again: a model may have a thousand versions, and one of them changes at a time."""

from dataclasses import replace

from serinus.api.conditions import Condition, ConditionStatus, ConditionType
from serinus.api.model import ModelSpec
from serinus.api.modelversion import Bump, Compatibility, ModelVersionStatus
from serinus.engine.versions.admission import REGISTERED
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.cache import ClusterCache
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

"""The ModelVersions' controller: which versions it admits, and what it records and writes of them."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.conditions import ConditionType, find_condition
from serinus.api.model import (
    ApprovalPolicy,
    Better,
    MetricsPolicy,
    MetricTolerance,
    ModelSpec,
    ProductionVersion,
    RequiredFacts,
    Verification,
    VersioningPolicy,
)
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import YANKED_ANNOTATION
from serinus.api.parsing import encode
from serinus.api.rollout_status import Phase
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import RefusedError, TransientError
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.reconcile.modelversions.status import entry_of, policy_conditions
from support.builders import NOW
from support.records import ADA, key, model_record, model_version
from support.registry.place import audit_entry
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

AMOUNT: dict[str, object] = {"name": "amount", "dtype": "float64"}
STRICT = ModelSpec(versioning=VersioningPolicy(allow_major_in_place=True), require=RequiredFacts(digest=True))


def signature(*inputs: dict[str, object]) -> dict[str, object]:
    return {
        "profile": "columnar",
        "unknownInputs": "Ignore",
        "inputs": list(inputs),
        "outputs": [{"name": "score", "dtype": "float32"}],
    }


async def trail(rig: Rig) -> list[AuditRecordSpec]:
    return [record async for record in rig.registry.history(key())]


def nothing_waits(rig: Rig) -> bool:
    return not rig.status().records


def version_status(rig: Rig, version: str) -> ModelVersionRecord:
    record = rig.cluster.objects[ModelVersionRecord, key(f"fraud-v{version}")]
    assert isinstance(record, ModelVersionRecord)
    return record


@in_virtual_time
async def test_a_version_whose_number_promises_too_much_does_not_start_until_a_person_waives_it() -> None:
    rig = Rig()
    rig.cluster.put(model_version("1.0.0", spec={"signature": signature(AMOUNT)}))
    rig.model(version="1.1.0")
    rig.cluster.put(model_version("1.0.0", spec={"signature": signature(AMOUNT)}, version=2))
    broken = model_version("1.1.0", spec={"signature": signature(AMOUNT, {"name": "country", "dtype": "string"})})
    rig.cluster.put(broken)
    async with rig.running():
        await until(lambda: rig.status().reason == "SchemaRejected", why="it to be refused")
        await until(lambda: "VersionRejected" in version_status(rig, "1.1.0").status.recorded, why="it to be recorded")
        status = version_status(rig, "1.1.0").status
        assert status.compatibility is not None
        assert (status.compatibility.declared.value, status.compatibility.required.value) == ("minor", "major")
        assert status.stage == "Quarantined"
        assert "VersionRejected" in status.recorded

        rig.cluster.put(replace(version_status(rig, "1.1.0"), waiver="all clients send it since May"))
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        waived = next(record for record in await trail(rig) if record.event is AuditEvent.SCHEMA_WAIVED)
        assert (waived.reason, waived.details["required"]) == ("all clients send it since May", "major")


@in_virtual_time
async def test_a_version_with_worse_metrics_waits_for_a_word_which_is_recorded() -> None:
    rig = Rig()
    tolerance = MetricTolerance(name="f1", better=Better.HIGHER, worse_by="0.01")
    policy = ModelSpec(metrics=MetricsPolicy(tolerances=(tolerance,)))
    rig.cluster.put(model_record(policy=policy))
    rig.model(version="1.1.0")
    for version, value in (("1.0.0", "0.91"), ("1.1.0", "0.85")):
        rig.cluster.put(model_version(version, spec={"metrics": [{"name": "f1", "value": value}]}))
    async with rig.running():
        await until(lambda: rig.status().reason == "MetricsWorse", why="it to be held")
        assert "accept-worse-metrics" in rig.status().next_action
        assert rig.status().run == 0

        rig.cluster.put(replace(version_status(rig, "1.1.0"), worse_metrics="it answers in half the time"))
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        accepted = [record for record in await trail(rig) if record.event is AuditEvent.WORSE_METRICS_ACCEPTED]
        assert [(record.version, record.reason) for record in accepted] == [("1.1.0", "it answers in half the time")]


@in_virtual_time
async def test_a_hotfix_prerelease_that_breaks_clients_of_what_serves_does_not_start() -> None:
    rig = Rig()
    rig.model(version="1.0.0-hotfix.1")
    rig.cluster.put(model_version("1.0.0", spec={"signature": signature(AMOUNT)}))
    more = signature(AMOUNT, {"name": "country", "dtype": "string"})
    rig.cluster.put(model_version("1.0.0-hotfix.1", spec={"signature": more}))
    async with rig.running():
        await until(lambda: rig.status().reason == "SchemaRejected", why="it to be refused")
        assert "1.0.0-hotfix.1 would take over the clients of 1.0.0" in rig.status().next_action
        assert rig.status().run == 0


@in_virtual_time
async def test_a_major_version_does_not_take_over_the_route_of_the_old_one_unless_allowed() -> None:
    rig = Rig()
    rig.cluster.put(model_record(policy=ModelSpec()))
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().reason == "MajorVersionInPlace", why="it to be refused")
        rig.cluster.put(replace(model_record(), generation=2))
        await rig.reaches(Phase.HEALTHY)


@in_virtual_time
async def test_facts_that_the_policy_requires_and_the_version_lacks_are_named() -> None:
    rig = Rig()
    rig.cluster.put(model_record(policy=STRICT))
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().reason == "FactsMissing", why="it to be refused")
        assert "spec.artifact.digest" in rig.status().next_action


@in_virtual_time
async def test_no_stage_begins_before_the_artifact_was_verified() -> None:
    rig = Rig()
    policy = ModelSpec(versioning=STRICT.versioning, verification=Verification.FULL)
    rig.cluster.put(model_record(policy=policy))
    rig.verifier.finding = ArtifactFinding(ArtifactResult.COULD_NOT_ASK, "s3://models/fraud: no answer.")
    artifact = {"artifact": {"uri": "s3://models/fraud/2.onnx", "digest": f"sha256:{'0' * 64}"}}
    rig.model()
    rig.cluster.put(model_version("2.0.0", spec=artifact))
    async with rig.running():
        await until(lambda: rig.status().reason == "ArtifactUnverified", why="it to be held")
        rig.verifier.finding = ArtifactFinding(ArtifactResult.DIGEST_DIFFERS, "It is sha256:1, not sha256:0.")
        await until(lambda: rig.status().reason == "ArtifactRejected", why="it to be refused", within=120)
        assert rig.status().run == 0
        rig.verifier.finding = ArtifactFinding(ArtifactResult.VERIFIED, "It is as the spec says.")
        await rig.reaches(Phase.HEALTHY)
        assert rig.verifier.namespaces == {key().namespace}
        assert AuditEvent.ARTIFACT_VERIFIED in {record.event for record in await trail(rig)}


# ---- one number, one version -------------------------------------------------------------------


async def registered_elsewhere(rig: Rig, version: str, **spec: object) -> None:
    """Register a version as another cluster of the same registry has done."""
    other = model_version(version, spec=spec)
    await rig.registry.register(key(), entry_of(other), audit_entry(AuditEvent.VERSION_REGISTERED))


@in_virtual_time
async def test_a_number_that_another_cluster_has_registered_with_another_spec_never_gets_traffic() -> None:
    rig = Rig()
    await registered_elsewhere(rig, "2.0.0", changes="the build of cluster A")
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().reason == "VersionTaken", why="the run to be held")
        await until(lambda: "VersionRejected" in version_status(rig, "2.0.0").status.recorded, why="it to be recorded")
        status = version_status(rig, "2.0.0").status
        found = {condition.type: condition for condition in status.conditions}
        for kind in ("Accepted", "Recorded"):
            assert (found[kind].status.value, found[kind].reason) == ("False", "VersionTaken")
        assert "registered with another spec by record 1" in found["Recorded"].message
        assert status.stage == "Quarantined"
        assert "VersionRegistered" not in status.recorded
        assert (rig.status().run, rig.weight("2.0.0")) == (0, None)
        assert "give the new build a new version" in rig.status().next_action
        rejected = next(record for record in await trail(rig) if record.event is AuditEvent.VERSION_REJECTED)
        assert (rejected.version, rejected.details["rule"]) == ("2.0.0", "VersionTaken")
        assert rejected.spec_hash == version_status(rig, "2.0.0").spec_hash


@in_virtual_time
async def test_a_taken_number_stays_taken_after_a_restart_while_the_registry_is_down() -> None:
    rig = Rig()
    await registered_elsewhere(rig, "2.0.0", changes="the build of cluster A")
    rig.model()
    async with rig.running():
        await until(lambda: "VersionRejected" in version_status(rig, "2.0.0").status.recorded, why="it to be recorded")
    second = Rig(rig.cluster, rig.source, epoch=8)
    second.audit_log.problem = TransientError("the registry cannot be reached")
    async with second.running():
        began = second.clock.monotonic()
        await until(lambda: second.clock.monotonic() > began + 600, why="ten minutes", within=601)
        assert (second.status().reason, second.status().run) == ("VersionTaken", 0)


@in_virtual_time
async def test_a_version_that_is_deleted_and_made_anew_with_another_spec_never_serves() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        old = version_status(rig, "1.0.0")
        rig.cluster.remove(ModelVersionRecord, old.meta.key)
        forged = model_version("1.0.0", spec={"changes": "other bytes"})
        rig.cluster.put(replace(forged, meta=replace(forged.meta, uid="another")))

        def refused() -> bool:
            accepted = find_condition(version_status(rig, "1.0.0").status.conditions, ConditionType.ACCEPTED)
            return accepted is not None and accepted.reason == "VersionTaken"

        await until(refused, why="it to be refused")
        record = rig.cluster.rollout(key())
        rig.cluster.put(replace(record, commands={**record.commands, "rollback": "please"}))
        await until(lambda: rig.status().last_handled.get("rollback") == "please", why="the command to be answered")
        assert rig.weight("2.0.0") == 10_000
        assert await rig.registry.production(key()) is not None


@in_virtual_time
async def test_no_run_of_an_unregistered_version_begins_while_the_registry_is_down() -> None:
    rig = Rig()
    rig.audit_log.problem = TransientError("the registry cannot be reached")
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().reason == "RegistrationPending", why="the run to be held")
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 600, why="ten minutes", within=601)
        assert (rig.status().reason, rig.status().run) == ("RegistrationPending", 0)
        rig.audit_log.problem = None
        await rig.reaches(Phase.HEALTHY)


@in_virtual_time
async def test_a_candidate_that_was_made_anew_while_the_registry_is_down_gets_no_more_traffic() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.audit_log.problem = TransientError("no table")
        rig.cluster.remove(ModelVersionRecord, key("fraud-v2.0.0"))
        other = model_version("2.0.0", spec={"changes": "another build"})
        rig.cluster.put(replace(other, meta=replace(other.meta, uid="uid-2")))
        await until(lambda: rig.status().reason == "RegistrationPending", why="the run to be held", within=1200)
        assert rig.weight("2.0.0") == 500
        rig.audit_log.problem = None
        await rig.reaches(Phase.ROLLED_BACK, within=120)
        assert not rig.weight("2.0.0")


@in_virtual_time
async def test_a_candidate_whose_number_turns_out_to_be_taken_is_rolled_back() -> None:
    rig = Rig()
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches_canary()
        await registered_elsewhere(rig, "2.0.0", changes="the build of cluster A")
        # The status is lost, as after a restore: the version is registered again, and refused now.
        rig.cluster.put(replace(version_status(rig, "2.0.0"), status=ModelVersionStatus()))
        await rig.reaches(Phase.ROLLED_BACK)
        rollback = rig.status().rollback
        assert rollback is not None
        assert rollback.reason.value == "CandidateRefused"
        assert "registered with another spec" in rollback.message


# ---- yanks -------------------------------------------------------------------------------------


async def yanks(rig: Rig) -> list[tuple[str, str, str]]:
    found = {AuditEvent.VERSION_YANKED, AuditEvent.VERSION_UNYANKED}
    return [(one.event.value, one.reason, one.actor.name) for one in await trail(rig) if one.event in found]


def annotated(rig: Rig, version: str, yanked: str, why: str = "") -> None:
    """Set or, where it is empty, remove the annotation that yanks a version, as bob."""
    record = version_status(rig, version)
    actors = replace(record.actors, requested_by="bob@example.org", reason=why)
    rig.cluster.put(replace(record, yanked=yanked, actors=actors))


def yank_noted(rig: Rig, version: str, yanked: str) -> bool:
    return version_status(rig, version).status.yanked == yanked


@in_virtual_time
async def test_a_yank_is_of_who_wrote_it_whoever_writes_something_else_a_moment_later() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        record = version_status(rig, "1.0.0")
        actors = replace(record.actors, requested_by="bob@example.org", issuers=((YANKED_ANNOTATION, "carol"),))
        rig.cluster.put(replace(record, yanked="it leaks", actors=actors))
        await until(lambda: yank_noted(rig, "1.0.0", "it leaks"), why="it to be recorded")
        assert await yanks(rig) == [("VersionYanked", "it leaks", "carol")]


@in_virtual_time
async def test_every_yank_and_every_way_back_is_a_record_with_who_and_why() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        for yanked, why in (("it leaks", ""), ("", "it was another version"), ("it leaks", ""), ("it leaks more", "")):
            annotated(rig, "1.0.0", yanked, why)
            await until(lambda: yank_noted(rig, "1.0.0", yanked), why="it to be recorded")  # noqa: B023 - awaited here
        assert await yanks(rig) == [
            ("VersionYanked", "it leaks", "bob@example.org"),
            ("VersionUnyanked", "it was another version", "bob@example.org"),
            ("VersionYanked", "it leaks", "bob@example.org"),
            ("VersionYanked", "it leaks more", "bob@example.org"),
        ]
        verified = await rig.registry.verify(key())
        assert verified.ok, verified.findings


@in_virtual_time
async def test_a_yank_outlives_the_model_version_that_bore_it_until_it_is_taken_back() -> None:
    rig = Rig()
    rig.model()
    annotated(rig, "2.0.0", "it leaks")
    async with rig.running():
        await until(lambda: yank_noted(rig, "2.0.0", "it leaks"), why="it to be recorded")
        old = version_status(rig, "2.0.0")
        rig.cluster.remove(ModelVersionRecord, old.meta.key)
        anew = model_version("2.0.0")
        rig.cluster.put(replace(anew, meta=replace(anew.meta, uid="another")))

        def accepted() -> str:
            found = find_condition(version_status(rig, "2.0.0").status.conditions, ConditionType.ACCEPTED)
            return f"{found.reason} {found.message}" if found is not None else ""

        await until(lambda: "VersionYanked" in accepted(), why="it to be refused")
        assert "it leaks. The audit trail says so" in accepted()
        assert rig.status().run == 0
        annotated(rig, "2.0.0", "it leaks")
        await until(lambda: yank_noted(rig, "2.0.0", "it leaks"), why="it to be noted")
        annotated(rig, "2.0.0", "", "reviewed")
        await rig.reaches(Phase.HEALTHY)
        assert [event for event, _, _ in await yanks(rig)] == ["VersionYanked", "VersionUnyanked"]


@in_virtual_time
async def test_a_version_whose_yank_is_taken_back_does_not_start_before_that_is_recorded() -> None:
    rig = Rig()
    rig.model()
    annotated(rig, "2.0.0", "it leaks")
    async with rig.running():
        await until(lambda: yank_noted(rig, "2.0.0", "it leaks"), why="it to be recorded")
        rig.audit_log.problem = TransientError("the registry cannot be reached")
        annotated(rig, "2.0.0", "")
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 300, why="five minutes", within=301)
        assert (rig.status().reason, rig.status().run) == ("VersionYanked", 0)
        rig.audit_log.problem = None
        await rig.reaches(Phase.HEALTHY)


# ---- deletions ---------------------------------------------------------------------------------


@in_virtual_time
async def test_the_deletion_of_a_registered_version_and_of_a_model_is_recorded_and_their_facts_stay() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        rig.cluster.remove(ModelVersionRecord, key("fraud-v1.0.0"))
        rig.cluster.put(replace(model_record(), recorded=9, meta=replace(model_record().meta, version=500)))
        rig.cluster.remove(ModelRecord, key())

        def recorded() -> set[object]:
            return {record["event"] for record in rig.cluster.registry._data[key()].records.values()}

        await until(lambda: {"VersionDeleted", "ModelDeleted"} <= recorded(), why="both to be recorded", within=5)
        records = await trail(rig)
        deleted = next(record for record in records if record.event is AuditEvent.VERSION_DELETED)
        assert (deleted.version, deleted.actor.name) == ("1.0.0", "unverified")
        held = next(record.registration for record in records if record.version == "1.0.0" and record.registration)
        assert '"version":"1.0.0"' in held.spec


@in_virtual_time
async def test_the_deletion_of_what_was_never_recorded_is_no_record() -> None:
    rig = Rig()
    rig.model()
    rig.audit_log.problem = TransientError("the registry cannot be reached")
    async with rig.running():
        await until(lambda: rig.status().reason == "RegistrationPending", why="the run to be held")
        rig.cluster.remove(ModelVersionRecord, key("fraud-v2.0.0"))
        rig.audit_log.problem = None
        await until(lambda: rig.clock.monotonic() > 300, why="five minutes", within=301)
        assert "VersionDeleted" not in {record.event.value for record in await trail(rig)}


@in_virtual_time
async def test_a_deletion_is_recorded_once_the_registry_is_back_and_dropped_where_it_refuses_for_good() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: nothing_waits(rig), why="all to be recorded")
        rig.audit_log.problem = TransientError("the registry cannot be reached")
        rig.cluster.remove(ModelVersionRecord, key("fraud-v1.0.0"))
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 120, why="two minutes", within=121)
        rig.audit_log.problem = None

        def recorded() -> list[object]:
            return [record["event"] for record in rig.cluster.registry._data[key()].records.values()]

        await until(lambda: recorded().count("VersionDeleted") == 1, why="it to be recorded", within=120)
        rig.audit_log.problem = RefusedError("the namespace is being deleted")
        rig.cluster.remove(ModelVersionRecord, key("fraud-v2.0.0"))
        await until(lambda: rig.model_versions._deletions._pending == {}, why="it to be dropped", within=5)


def test_four_eyes_without_a_stamp_are_refused_at_the_model_until_there_is_one() -> None:
    four_eyes = ModelSpec(approvals=ApprovalPolicy(four_eyes=True))
    record = replace(model_record(policy=four_eyes), generation=3)
    (refused,) = policy_conditions(record, NOW, actor_stamped=False)
    assert (refused.type, refused.status.value, refused.reason) == ("Accepted", "False", "ActorStampMissing")
    assert "Install the chart's actor stamp (Kubernetes 1.36 or newer" in refused.message
    again = replace(record, conditions=(refused,))
    assert policy_conditions(again, NOW + timedelta(hours=1), actor_stamped=False) == (refused,)
    (accepted,) = policy_conditions(again, NOW, actor_stamped=True)
    assert (accepted.status.value, accepted.reason) == ("True", "PolicyEnforced")
    assert policy_conditions(record, NOW, actor_stamped=True) == ()
    assert policy_conditions(model_record(), NOW, actor_stamped=False) == ()


@pytest.mark.parametrize(("by", "recorded"), [("ada@example.org", "fewer checks"), ("bob", ""), ("", "fewer checks")])
@in_virtual_time
async def test_a_change_of_policy_has_the_reason_of_who_made_it_only(by: str, recorded: str) -> None:
    rig = Rig()
    actors = replace(ADA, reason="fewer checks", reason_by=by)
    rig.cluster.put(replace(model_record(policy=STRICT, generation=2), observed_generation=1, actors=actors))
    rig.model()

    def is_recorded() -> bool:
        model = rig.cluster.objects[ModelRecord, key()]
        return isinstance(model, ModelRecord) and model.observed_generation == 2

    async with rig.running():
        await until(is_recorded, why="it to be recorded")
        changes = [record for record in await trail(rig) if record.event is AuditEvent.POLICY_CHANGED]
        assert [record.reason for record in changes] == [recorded]
        assert changes[0].details["generation"] == "2"
        assert json.loads(changes[0].details["versioning"]) == encode(STRICT.versioning)


@in_virtual_time
async def test_a_version_shows_who_promoted_it_and_keeps_that_when_another_one_serves() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        first = ProductionVersion(
            version="2.0.0", since=NOW, promoted_by="ada@example.org", promoted_because="retrained on October"
        )
        for serving in (first, ProductionVersion(version="1.0.0", since=NOW, promoted_by="bob@example.org")):
            model = rig.cluster.objects[ModelRecord, key()]
            assert isinstance(model, ModelRecord)
            # Only the status changes, as when the registry writes the head.
            rig.cluster.put(replace(model, production=serving))
            await until(
                lambda: version_status(rig, serving.version).status.promoted_by == serving.promoted_by,  # noqa: B023 - awaited here
                why="the promotion to be shown",
            )
        status = version_status(rig, "2.0.0").status
        assert (status.promoted_at, status.promoted_by) == (NOW, "ada@example.org")
        assert status.promoted_because == "retrained on October"


@in_virtual_time
async def test_no_name_is_believed_where_the_stamp_turns_out_not_to_work() -> None:
    rig = Rig()
    rig.stamped = False
    rig.cluster.put(replace(model_record(policy=STRICT, generation=2), observed_generation=1, actors=ADA))
    rig.model()

    async def changes() -> list[AuditRecordSpec]:
        return [record for record in await trail(rig) if record.event is AuditEvent.POLICY_CHANGED]

    def is_recorded() -> bool:
        model = rig.cluster.objects[ModelRecord, key()]
        return isinstance(model, ModelRecord) and model.observed_generation == 2

    async with rig.running():
        await until(is_recorded, why="it to be recorded")
        assert [record.actor.name for record in await changes()] == ["unverified"]


@in_virtual_time
async def test_a_review_is_not_written_again_before_the_watch_has_shown_it() -> None:
    rig = Rig()
    rig.model(version="1.0.0")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        rig.cluster.deaf = True
        new = model_version("2.0.0")
        rig.cluster.objects[ModelVersionRecord, new.meta.key] = new
        rig.cache.put(new)
        rig.model_versions.enqueue((key(),))
        await until(lambda: ("review", "fraud-v2.0.0") in rig.cluster.journal, why="the review")
        for _ in range(5):
            rig.model_versions.enqueue((key(),))
            await until(lambda: len(rig.model_versions._queue) == 0, why="another reconcile")
        assert rig.cluster.journal.count(("review", "fraud-v2.0.0")) == 1


@pytest.mark.parametrize(("kept", "event"), [(True, "VersionRegistered"), (False, "VersionRejected")])
def test_of_versions_whose_schemas_take_long_to_compare_only_the_outcome_is_recorded(*, kept: bool, event: str) -> None:
    numbers = [f"1.{minor}.0" for minor in range(1, 12)]

    def outputs(more: int) -> list[dict[str, object]]:
        """Two hundred, and more: those of the version before, or one that only this version has."""
        names = range(200 + more) if kept else (*range(200), 200 + more)
        return [{"name": f"o{name}", "dtype": "float32"} for name in names]

    async def story() -> None:
        rig = Rig()
        for more, number in enumerate(numbers):
            rig.cluster.put(model_version(number, spec={"signature": signature(AMOUNT) | {"outputs": outputs(more)}}))
        rig.model()
        async with rig.running():
            await until(lambda: all(version_status(rig, one).status.recorded for one in numbers), why="answers to all")
            assert {version_status(rig, one).status.recorded for one in numbers} == {(event,)}

    # In virtual time the minutes would pass by themselves while another thread works.
    asyncio.run(story())

"""The ModelVersions' controller: which versions it admits, and what it records and writes of them."""

from dataclasses import replace

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.model import ModelSpec, RequiredFacts, Verification, VersioningPolicy
from serinus.api.rollout_status import Phase
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.ports.cluster_state import ModelVersionRecord
from support.records import key, model_record, model_version
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

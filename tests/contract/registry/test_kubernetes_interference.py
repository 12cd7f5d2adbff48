"""The Kubernetes store under interference: deleted, forged, yanked and invalid objects, and stalled writers."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.audit.archive import FolderArchive
from serinus.audit.restore import plan_restoration, restore
from serinus.audit.retention import Remover, finish_removal, plan_removal
from serinus.audit.verify import prove
from serinus.engine.audit.chain import ChainFault
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, VersionTakenError
from serinus.registry.kubernetes.store import KubernetesStore
from support.registry.concurrency import rivals
from support.registry.kubernetes import KubernetesPlace, ListingApi
from support.registry.place import (
    ALICE,
    BY,
    START,
    CountingClock,
    Crash,
    Fault,
    audit_entry,
    digest_for,
    in_use,
    register,
    registry_on,
    step_on,
    verified_model,
    version_entry,
)

ROOT = "/apis/serinus.dev/v1alpha1/namespaces/ml"


def of(model: ObjectKey, plural: str, end: str = "") -> str:
    return f"{ROOT}/{plural}/{model.name}{end}"


# ---- interference by others --------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "a new one without a status"])
async def test_a_model_that_was_deleted_has_its_head_back_from_the_chain(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, left: str
) -> None:
    registry = registry_on(place.open())
    head = await registry.head(model)
    del server.objects[of(model, "models")]
    if left != "nothing":
        server.put(of(model, "models"), {"metadata": {"name": model.name, "namespace": "ml"}, "spec": {}})
    assert await registry.head(model) == head
    (finding,) = (await registry.verify(model)).findings
    assert finding.fault is ChainFault.HEAD_MISSING, "people who read the Model see nothing"
    await registry.promote(model, "3.0.0", audit_entry())
    assert (await verified_model(place, model)).summary == ("3.0.0", ("2.0.0", "1.0.0"), (), 3, 6)
    assert server.objects[of(model, "models")]["status"]["audit"]["sequence"] == 6


async def test_a_step_on_a_head_that_was_read_before_its_model_was_deleted_finds_the_chain(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    class Deleted(KubernetesStore):
        async def commit(self, step: Any) -> None:
            server.objects.pop(of(model, "models"), None)
            await super().commit(step)

    await registry_on(Deleted(server)).promote(model, "3.0.0", audit_entry())
    assert (await verified_model(place, model)).summary == ("3.0.0", ("2.0.0", "1.0.0"), (), 3, 6)


async def test_a_head_that_is_far_behind_is_updated_by_the_next_writer(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    registry = registry_on(place.open())
    old = server.objects[of(model, "models")]
    for _ in range(12):
        await registry.record(model, audit_entry())
    server.put(of(model, "models"), {**old, "metadata": {"name": model.name, "namespace": "ml"}})
    assert await registry.record(model, audit_entry()) == 18
    assert (await verified_model(place, model)).head.audit.sequence == 18


async def test_a_model_deleted_after_its_first_records_were_pruned_is_refused_until_it_is_restored(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, tmp_path: Path
) -> None:
    registry, archive = registry_on(place.open()), FolderArchive(tmp_path)
    removal = await plan_removal(registry.store, model, recorded_before=START + timedelta(days=1), covered=2)
    remover = Remover(
        store=registry.store, archive=archive, actor=ALICE, reason="it is time", by=BY, clock=CountingClock()
    )
    await remover.archive_and_record(model, removal)
    assert await finish_removal(registry.store, model) == 2
    head = await registry.head(model)
    del server.objects[of(model, "models")]
    for ask in (registry.head(model), registry.promote(model, "3.0.0", audit_entry())):
        with pytest.raises(RefusedError, match=r"records 1 to 2 are missing.*restore them from the archive"):
            await ask
    plan = await plan_restoration(registry.store, model, archive)
    assert (plan.restoration.head, plan.archived) == (head, 2)
    assert await restore(registry, model, plan, audit_entry(AuditEvent.HEAD_RESTORED)) == 7
    assert (await prove(registry, model, archive=archive)).ok
    assert await registry.promote(model, "3.0.0", audit_entry()) == 8


async def test_a_number_stays_taken_after_its_registration_was_pruned_and_its_object_deleted(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, tmp_path: Path
) -> None:
    registry, archive = registry_on(place.open()), FolderArchive(tmp_path)
    await registry.set_yanked(model, "2.0.0", "it leaks", audit_entry())
    for through in (2, 5):
        removal = await plan_removal(registry.store, model, recorded_before=START + timedelta(days=1), covered=through)
        remover = Remover(
            store=registry.store, archive=archive, actor=ALICE, reason="it is time", by=BY, clock=CountingClock()
        )
        await remover.archive_and_record(model, removal)
        await finish_removal(registry.store, model)
    del server.objects[of(model, "modelversions", "-v1.0.0")]
    assert (await prove(registry, model)).ok
    assert (await prove(registry, model, archive=archive)).ok
    late = registry_on(place.open())
    other = version_entry(model, "1.0.0", changes="another build")
    with pytest.raises(VersionTakenError):
        await late.register(model, other, audit_entry(AuditEvent.VERSION_REGISTERED))
    standing = await late.standing(model, "2.0.0")
    assert standing is not None
    assert (standing.yanked, standing.yank_changes) == ("it leaks", 1)
    await register(late, model, "1.0.0")


async def test_a_process_that_has_read_less_than_another_one_has_pruned_knows_what_was_removed(
    place: KubernetesPlace, model: ObjectKey, tmp_path: Path
) -> None:
    running, other = registry_on(place.open()), registry_on(place.open())
    assert await running.standing(model, "3.0.0"), "it has read the five records so far"
    await register(other, model, "4.0.0")
    await other.set_yanked(model, "3.0.0", "it leaks", audit_entry())
    removal = await plan_removal(other.store, model, recorded_before=START + timedelta(days=1), covered=7)
    archive, clock = FolderArchive(tmp_path), CountingClock()
    remover = Remover(store=other.store, archive=archive, actor=ALICE, reason="it is time", by=BY, clock=clock)
    await remover.archive_and_record(model, removal)
    assert await finish_removal(other.store, model) == 7

    standing = await running.standing(model, "3.0.0")
    assert standing is not None
    assert standing.yanked == "it leaks"
    changed = version_entry(model, "4.0.0", changes="another build")
    with pytest.raises(VersionTakenError):
        await running.register(model, changed, audit_entry(AuditEvent.VERSION_REGISTERED))


async def test_a_record_that_somebody_deleted_hides_none_of_those_after_it(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    running, other = registry_on(place.open()), registry_on(place.open())
    assert await running.standing(model, "3.0.0"), "it has read the five records so far"
    await other.record(model, audit_entry())
    await other.set_yanked(model, "3.0.0", "it leaks", audit_entry())
    del server.objects[of(model, "auditrecords", "-000000000006")]

    standing = await running.standing(model, "3.0.0")
    assert standing is not None
    assert standing.yanked == "it leaks"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"previousHash": digest_for("another chain")}, "does not follow record 5"),
        ({"sequence": 7}, "does not follow record 5"),
        ({"event": "Celebrated"}, "spec.event: Invalid enum value 'Celebrated'"),
    ],
    ids=["of another chain", "of another number", "of no known event"],
)
async def test_a_forged_record_at_the_end_of_the_chain_is_refused(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, change: dict[str, Any], words: str
) -> None:
    dying = registry_on(place.crashing(4))
    with pytest.raises(Crash):
        await dying.promote(model, "3.0.0", audit_entry())
    path = of(model, "auditrecords", "-000000000006")
    raw = server.objects[path]
    server.put(path, {**raw, "spec": {**raw["spec"], **change}})
    with pytest.raises(RefusedError, match=words):
        await registry_on(place.open()).promote(model, "3.0.0", audit_entry())
    assert server.objects[of(model, "models")]["status"]["audit"]["sequence"] == 5


async def test_a_number_that_was_pruned_while_its_writer_was_stalled_is_not_reused(
    place: KubernetesPlace, model: ObjectKey
) -> None:
    registry = registry_on(place.open())
    stalled = await step_on(registry.store, model, audit_entry())
    for _ in range(2):
        await registry.record(model, audit_entry())
    details = {"through": "7", "hash": (await registry.head(model)).audit.hash, "archive": "s3://archive"}
    await registry.record(model, audit_entry(AuditEvent.RECORDS_PRUNED, details=details))
    assert await registry.store.remove_records(model, 7) == 7
    with pytest.raises(ConflictError, match="pruned long ago"):
        await place.open().commit(stalled)
    verification = await registry.verify(model)
    assert verification.ok, verification.findings
    assert await registry.store.find_record(model, verification.head, stalled.record.id) is None


async def test_after_a_late_confirmation_of_a_commit_the_head_includes_it(
    place: KubernetesPlace, model: ObjectKey
) -> None:
    registry, entry = registry_on(place.open()), audit_entry()
    for _ in range(70):
        await registry.record(model, audit_entry())
    with pytest.raises(Crash):
        await registry_on(place.crashing(5)).promote(model, "3.0.0", entry)
    assert (await registry.head(model)).audit.sequence == 75, "the crash was between the record and the head"
    assert await registry.promote(model, "3.0.0", entry) == 76
    assert (await verified_model(place, model)).summary == ("3.0.0", ("2.0.0", "1.0.0"), (), 3, 76)


# ---- versions that are deleted and made anew ---------------------------------------------------


def _made_anew(server: ListingApi, model: ObjectKey, version: str, **spec: Any) -> None:
    """Replace a ModelVersion by one with another spec, as whoever may edit ModelVersions can."""
    path = of(model, "modelversions", f"-v{version}")
    raw = server.objects.pop(path)
    server.put(
        path, {"metadata": {"name": raw["metadata"]["name"], "namespace": "ml"}, "spec": {**raw["spec"], **spec}}
    )


@pytest.mark.parametrize("digest", ["the same", "another"])
async def test_a_version_made_anew_with_another_spec_is_taken_and_never_serves(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, digest: str
) -> None:
    artifact = {
        "uri": "s3://evil",
        "digest": digest_for(model, "3.0.0") if digest == "the same" else digest_for("evil"),
    }
    _made_anew(server, model, "3.0.0", artifact=artifact)
    registry = registry_on(place.open())
    forged = await registry.get(model, "3.0.0")
    with pytest.raises(VersionTakenError, match=r"registered with another spec by record 3"):
        await registry.register(model, forged, audit_entry(AuditEvent.VERSION_REGISTERED))
    with pytest.raises(RefusedError, match=r"3\.0\.0"):
        await registry.promote(model, "3.0.0", audit_entry())
    assert [record.sequence async for record in registry.history(model)] == [1, 2, 3, 4, 5]


async def test_a_version_made_anew_with_the_same_spec_is_the_same_version(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    _made_anew(server, model, "3.0.0")
    registry = registry_on(place.open())
    same = version_entry(model, "3.0.0")
    assert await registry.register(model, same, audit_entry(AuditEvent.VERSION_REGISTERED)) == 3
    assert await registry.promote(model, "3.0.0", audit_entry()) == 6


async def test_a_version_that_was_deleted_can_be_registered_again_with_its_own_spec_only(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    del server.objects[of(model, "modelversions", "-v3.0.0")]
    registry = registry_on(place.open())
    other = version_entry(model, "3.0.0", changes="another build")
    with pytest.raises(VersionTakenError):
        await registry.register(model, other, audit_entry(AuditEvent.VERSION_REGISTERED))
    await register(registry, model, "3.0.0")
    assert of(model, "modelversions", "-v3.0.0") in server.objects


@pytest.mark.parametrize("others", [1, 4, 7], ids=["shorter", "as long", "longer"])
async def test_of_a_namespace_that_was_made_anew_the_new_chain_decides_however_long_it_is(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, others: int
) -> None:
    store = place.open()
    former = await store.read_registered(model, await store.read_head(model), "3.0.0")
    for path in [path for path in server.objects if model.name in path]:
        del server.objects[path]
    anew = registry_on(place.open())
    entry = version_entry(model, "3.0.0", changes="another build")
    assert await anew.register(model, entry, audit_entry(AuditEvent.VERSION_REGISTERED)) == 1
    for number in range(others):
        await register(anew, model, f"4.{number}.0")
    head = await store.read_head(model)
    assert head.audit.sequence == 1 + others
    found = await store.read_registered(model, head, "3.0.0")
    assert former is not None
    assert found is not None
    assert (found.sequence, found.spec_hash == former.spec_hash) == (1, False)
    assert await store.read_registered(model, head, "2.0.0") is None


async def test_of_several_specs_registered_at_once_under_one_number_one_is_registered(place: KubernetesPlace) -> None:
    await rivals(place, place.fresh_model())


# ---- invalid objects ---------------------------------------------------------------------------


@pytest.mark.parametrize("annotation", ["it leaks", ""])
async def test_a_yanked_version_never_serves_also_without_a_reason(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, annotation: str
) -> None:
    path = of(model, "modelversions", "-v3.0.0")
    raw = server.objects[path]
    server.put(path, {**raw, "metadata": {**raw["metadata"], "annotations": {"serinus.dev/yanked": annotation}}})
    with pytest.raises(RefusedError, match=annotation or "no reason was given"):
        await registry_on(place.open()).promote(model, "3.0.0", audit_entry())


async def test_two_versions_that_would_share_a_name_are_not_confused(place: KubernetesPlace, model: ObjectKey) -> None:
    registry = registry_on(place.open())
    await register(registry, model, "4.0.0-RC.1")
    assert await registry.store.read_version(model, "4.0.0-rc.1") is None
    with pytest.raises(RefusedError, match="registered with another spec"):
        await register(registry, model, "4.0.0-rc.1")


async def test_an_invalid_object_hides_no_other_but_is_refused_when_read_by_name(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, caplog: pytest.LogCaptureFixture
) -> None:
    other = await in_use(place)
    for path, part in ((of(model, "modelversions", "-v3.0.0"), "spec"), (of(other, "models"), "status")):
        raw = server.objects[path]
        server.put(path, {**raw, part: {**raw[part], "colour": "blue"}})
    registry = registry_on(place.open())
    assert [entry.version for entry in await registry.list(model)] == ["2.0.0", "1.0.0"]
    assert [key async for key, _ in registry.store.list_models()] == [model]
    logged = [record.getMessage().split(":")[0] for record in caplog.records]
    assert logged == [f"ModelVersion ml/{model.name}-v3.0.0", f"Model {other}"]
    with pytest.raises(RefusedError, match=r"v3\.0\.0: spec: .*colour"):
        await registry.get(model, "3.0.0")
    with pytest.raises(RefusedError, match=f"Model {other}: status: .*colour"):
        await registry.head(other)


async def test_a_version_with_a_number_beyond_json_hides_no_other(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    path = of(model, "modelversions", "-v3.0.0")
    raw = server.objects[path]
    server.put(path, {**raw, "spec": {**raw["spec"], "trainingData": [{"uri": "s3://data", "rows": 2**60 + 1}]}})
    registry = registry_on(place.open())
    assert [entry.version for entry in await registry.list(model)] == ["2.0.0", "1.0.0"]
    with pytest.raises(RefusedError, match=r"rows: Expected `int` <= 9007199254740991"):
        await registry.promote(model, "3.0.0", audit_entry())


async def test_a_record_that_the_schema_would_refuse_is_refused_before_anything_is_written(
    server: ListingApi, place: KubernetesPlace
) -> None:
    model = place.fresh_model()
    entry = audit_entry(AuditEvent.VERSION_REGISTERED, version="1.0.0", reason="x" * 5000)
    with pytest.raises(RefusedError, match=r"spec\.reason"):
        await registry_on(place.open()).register(model, version_entry(model, "1.0.0"), entry)
    assert server.writes() == []


async def test_without_the_crds_or_the_namespace_the_error_says_what_to_install() -> None:
    class Bare:
        async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
            raise NotFoundError(f"{method} {path}: 404 the server could not find the requested resource")

    store = KubernetesStore(Bare())
    model = ObjectKey("ml", "fraud")
    for ask in (store.read_head(model), store.find_record(model, await _head_of_a_long_chain(), "an id")):
        with pytest.raises(RefusedError, match="install Serinus' CRDs"):
            await ask


async def _head_of_a_long_chain() -> Head:
    head = Head()
    return structs.replace(head, audit=structs.replace(head.audit, sequence=100, hash=digest_for("a record")))


async def test_a_failure_after_the_record_was_stored_is_ambiguous(place: KubernetesPlace, model: ObjectKey) -> None:
    store = place.failing(*[None] * 2, Fault.THROTTLED)
    step = await step_on(store, model, audit_entry())
    with pytest.raises(AmbiguousError, match=r"record 6 of .* is stored"):
        await store.commit(step)
    await store.commit(step)
    assert (await verified_model(place, model)).head.audit.sequence == 6


async def test_a_store_closes_only_a_client_that_it_owns(server: ListingApi) -> None:
    ended: list[str] = []

    async def end() -> None:
        ended.append("the client")

    await KubernetesStore(server).close()
    assert ended == []
    await KubernetesStore(server, on_close=end).close()
    assert ended == ["the client"]

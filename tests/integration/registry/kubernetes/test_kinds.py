"""What the API server itself refuses of the registry's objects, also to the operator that writes them."""

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.names import AUDIT_RECORD, MODEL, ObjectKey, audit_record_name
from serinus.errors import RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.kinds import collection_path, object_path
from serinus.registry.kubernetes.objects import model_snapshot, record_manifest, status_patch
from serinus.registry.kubernetes.store import KubernetesStore
from support.registry.kubernetes import KubernetesPlace
from support.registry.place import audit_entry, digest_for, in_use, registry_on, step_on, verified_model


@pytest.fixture
async def model(place: KubernetesPlace) -> ObjectKey:
    return await in_use(place)


def record_of(model: ObjectKey, sequence: int) -> str:
    return object_path(AUDIT_RECORD, ObjectKey(model.namespace, audit_record_name(model.name, sequence)))


async def test_a_record_of_a_real_chain_never_changes(api: KubernetesClient, model: ObjectKey) -> None:
    for change in ({"reason": "another"}, {"hash": digest_for("another")}, {"actor": {"name": "mallory"}}):
        with pytest.raises(RefusedError, match="an AuditRecord never changes"):
            await api.request("PATCH", record_of(model, 2), body={"spec": change}, content_type=MERGE_PATCH)


async def test_a_record_has_no_name_but_that_of_its_number(
    api: KubernetesClient, place: KubernetesPlace, model: ObjectKey
) -> None:
    step = await step_on(place.open(), model, audit_entry())
    manifest = record_manifest(model, step.record)
    for name in (audit_record_name(model.name, 7), f"{model.name}-6", audit_record_name(f"{model.name}x", 6)):
        manifest["metadata"]["name"] = name
        with pytest.raises(RefusedError, match=r"metadata\.name must be <model>-<sequence in twelve digits>"):
            await api.request("POST", collection_path(AUDIT_RECORD, model.namespace), body=manifest)
    assert (await verified_model(place, model)).head.audit.sequence == 5


async def test_a_head_never_goes_back(api: KubernetesClient, model: ObjectKey) -> None:
    path = f"{object_path(MODEL, model)}/status"
    for change in ({"audit": {"sequence": 4}}, {"audit": None}):
        with pytest.raises(RefusedError, match=r"status\.audit\.sequence never falls"):
            await api.request("PATCH", path, body={"status": change}, content_type=MERGE_PATCH)
    with pytest.raises(RefusedError, match=r"status\.generation never falls"):
        await api.request("PATCH", path, body={"status": {"generation": 1}}, content_type=MERGE_PATCH)


async def test_a_model_deleted_by_a_person_has_its_head_back_with_the_next_step(
    api: KubernetesClient, place: KubernetesPlace, model: ObjectKey
) -> None:
    await api.request("DELETE", object_path(MODEL, model))
    registry = registry_on(place.open())
    production = await registry.production(model)
    assert production is not None
    assert production.version == "2.0.0"
    await registry.rollback(model, audit_entry())
    stored = model_snapshot(model, await api.request("GET", object_path(MODEL, model)))
    assert stored.head == (await verified_model(place, model)).head
    assert stored.head.audit.sequence == 6


async def test_records_are_listed_in_order_however_many_pages_and_neighbours_there_are(
    place: KubernetesPlace, model: ObjectKey
) -> None:
    neighbour = ObjectKey(model.namespace, f"{model.name}-0")
    registry = registry_on(place.open())
    for _ in range(12):
        await registry.record(model, audit_entry())
        await registry.record(neighbour, audit_entry())
    store = place.open(page_size=5)
    assert isinstance(store, KubernetesStore)
    assert [one.sequence async for one in store.read_records(model)] == list(range(1, 18))
    assert [one.content["model"] async for one in store.read_records(neighbour)] == [neighbour.name] * 12


async def test_the_fullest_head_fits_into_a_model(
    api: KubernetesClient, place: KubernetesPlace, model: ObjectKey
) -> None:
    registry = registry_on(place.open())
    for number in range(70):
        version = f"{number}.0.0-" + "x" * 55
        await registry.record(model, audit_entry(AuditEvent.PROMOTED, version=version, digest=digest_for(number)))
    seen = model_snapshot(model, await api.request("GET", object_path(MODEL, model)))
    assert (len(seen.head.good), len(seen.head.recent)) == (72 - 1, 64)
    assert status_patch(seen, seen.head)[0]["value"] == seen.resource_version

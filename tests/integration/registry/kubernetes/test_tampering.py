"""The table of docs/explanation/audit.md for Kubernetes: what is changed, by somebody whom no policy stops, and what
says so. On the real API server, because much of it refuses the change by itself.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from serinus.api.names import AUDIT_RECORD, MODEL, MODEL_VERSION, RECORD_ID_LABEL, ObjectKey, audit_record_name
from serinus.engine.audit.chain import ChainFault
from serinus.errors import RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.kinds import collection_path, object_path
from serinus.registry.kubernetes.objects import record_manifest
from support.registry.kubernetes import KubernetesPlace
from support.registry.place import audit_entry, digest_for, in_use, registry_on, step_on


@dataclass(frozen=True)
class Objects:
    """The objects of a model, as the cluster's administrator sees them."""

    api: KubernetesClient
    place: KubernetesPlace
    model: ObjectKey

    def record(self, sequence: int) -> str:
        return object_path(AUDIT_RECORD, ObjectKey(self.model.namespace, audit_record_name(self.model.name, sequence)))

    def version(self, version: str) -> str:
        return object_path(MODEL_VERSION, ObjectKey(self.model.namespace, f"{self.model.name}-v{version}"))

    @property
    def head(self) -> str:
        return object_path(MODEL, self.model)

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        await self.api.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def anew(self, path: str, collection: str, status: dict[str, Any] | None = None, **spec: Any) -> None:
        """Delete an object and make it again with another spec or status."""
        raw = await self.api.request("GET", path)
        await self.api.request("DELETE", path)
        kept = {name: raw["metadata"][name] for name in ("name", "labels") if name in raw["metadata"]}
        manifest = {
            "apiVersion": raw["apiVersion"],
            "kind": raw["kind"],
            "metadata": kept,
            "spec": {**raw.get("spec", {}), **spec},
        }
        await self.api.request("POST", collection, body=manifest)
        if status is not None:
            await self.patch(f"{path}/status", {"status": status})


async def _head_status(objects: Objects, **changed: Any) -> dict[str, Any]:
    raw = await objects.api.request("GET", objects.head)
    return {**raw["status"], **changed}


async def _head(objects: Objects, **changed: Any) -> None:
    await objects.patch(f"{objects.head}/status", {"status": changed})


async def _head_set_back(objects: Objects) -> None:
    """What restoring the Model from a backup does: the API server refuses it of an existing one only."""
    raw = await objects.api.request("GET", objects.record(3))
    audit = {"sequence": 3, "hash": raw["spec"]["hash"]}
    collection = collection_path(MODEL, objects.model.namespace)
    await objects.anew(objects.head, collection, await _head_status(objects, audit=audit, generation=1))


async def _version(objects: Objects, **spec: Any) -> None:
    await objects.anew(objects.version("2.0.0"), collection_path(MODEL_VERSION, objects.model.namespace), **spec)


async def _record(objects: Objects, **spec: Any) -> None:
    await objects.anew(objects.record(3), collection_path(AUDIT_RECORD, objects.model.namespace), **spec)


async def _records_beyond(objects: Objects) -> None:
    step = await step_on(objects.place.open(), objects.model, audit_entry())
    manifest = record_manifest(objects.model, step.record)
    for number in (6, 7):
        manifest["metadata"]["name"] = audit_record_name(objects.model.name, number)
        manifest["spec"]["sequence"] = number
        path = collection_path(AUDIT_RECORD, objects.model.namespace)
        await objects.api.request("POST", path, body=manifest)


Change = Callable[[Objects], Awaitable[Any]]

CHANGES: dict[str, tuple[Change, ChainFault]] = {
    "the head is set back": (_head_set_back, ChainFault.HEAD_DIFFERS),
    "the Model is deleted": (lambda o: o.api.request("DELETE", o.head), ChainFault.HEAD_MISSING),
    "the production version": (
        lambda o: _head(o, production={"version": "1.0.0"}),
        ChainFault.HEAD_DIFFERS,
    ),
    "the production digest": (lambda o: _head(o, production={"digest": digest_for("x")}), ChainFault.HEAD_DIFFERS),
    "the good versions": (lambda o: _head(o, good=["3.0.0"]), ChainFault.HEAD_DIFFERS),
    "the quarantined versions": (lambda o: _head(o, quarantined=["1.0.0"]), ChainFault.HEAD_DIFFERS),
    "the Rollout in charge": (lambda o: _head(o, managedBy="another"), ChainFault.HEAD_DIFFERS),
    "the ids of the last records": (lambda o: _head(o, recent=[]), ChainFault.HEAD_DIFFERS),
    "a ModelVersion is made anew": (lambda o: _version(o, changes="other bytes"), ChainFault.VERSION_DIFFERS),
    "a record is removed": (lambda o: o.api.request("DELETE", o.record(3)), ChainFault.MISSING),
    "the last record is removed": (lambda o: o.api.request("DELETE", o.record(5)), ChainFault.TRUNCATED),
    "a record is made anew": (lambda o: _record(o, reason="another"), ChainFault.ALTERED),
    "a record's id, by which it is found": (
        lambda o: o.patch(o.record(3), {"metadata": {"labels": {RECORD_ID_LABEL: "another"}}}),
        ChainFault.ATTRIBUTE_DIFFERS,
    ),
    "a record's model, by which it is found": (
        lambda o: o.patch(o.record(3), {"metadata": {"labels": {"serinus.dev/model": "another"}}}),
        ChainFault.MISSING,
    ),
    "records are added at the end": (_records_beyond, ChainFault.HEAD_DIFFERS),
}


@pytest.fixture
async def objects(api: KubernetesClient, place: KubernetesPlace) -> Objects:
    return Objects(api, place, await in_use(place))


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_anything_that_people_read_does_not_verify(objects: Objects, change: str) -> None:
    before = await registry_on(objects.place.open()).verify(objects.model)
    assert (before.ok, before.notes) == (True, ())
    tamper, fault = CHANGES[change]
    await tamper(objects)
    found = await registry_on(objects.place.open()).verify(objects.model)
    assert fault in {finding.fault for finding in found.findings}, found.findings


async def test_what_the_api_server_refuses_itself_of_heads_versions_and_records(objects: Objects) -> None:
    for path, change in (
        (objects.record(3), {"spec": {"reason": "another"}}),
        (objects.version("2.0.0"), {"spec": {"changes": "other bytes"}}),
        (f"{objects.head}/status", {"status": {"audit": {"sequence": 4}}}),
    ):
        with pytest.raises(RefusedError):
            await objects.patch(path, change)
    assert (await registry_on(objects.place.open()).verify(objects.model)).ok


async def test_a_model_version_that_is_deleted_is_no_fault_and_its_facts_stay_in_the_record(objects: Objects) -> None:
    registry = registry_on(objects.place.open())
    entry = await registry.get(objects.model, "2.0.0")
    await objects.api.request("DELETE", objects.version("2.0.0"))
    assert (await registry.verify(objects.model)).ok
    records = [record async for record in registry.history(objects.model)]
    held = records[1].registration
    assert held is not None
    assert (records[1].spec_hash, '"version":"2.0.0"' in held.spec) == (entry.spec_hash, True)


async def test_a_model_that_was_deleted_is_among_the_chains(objects: Objects) -> None:
    await objects.api.request("DELETE", objects.head)
    store = objects.place.open()
    assert objects.model in {model async for model in store.list_chains()}
    assert objects.model not in {model async for model, _ in store.list_models()}

"""The Kubernetes store beyond its port: the objects that it writes, and the number of its requests."""

import asyncio
from typing import Any

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import ChainFault, record_hash
from serinus.engine.versions.catalogue import Query
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from support.registry.kubernetes import KubernetesPlace, ListingApi, MeddledRequests
from support.registry.place import (
    BY,
    CountingClock,
    audit_entry,
    digest_for,
    register,
    registry_on,
    verified_model,
)

ROOT = "/apis/serinus.dev/v1alpha1/namespaces/ml"


def of(model: ObjectKey, plural: str, end: str = "") -> str:
    return f"{ROOT}/{plural}/{model.name}{end}"


# ---- objects -----------------------------------------------------------------------------------


async def test_a_record_is_an_object_of_its_own_under_the_name_of_its_number(
    server: ListingApi, model: ObjectKey
) -> None:
    raw = server.objects[of(model, "auditrecords", "-000000000005")]
    spec, labels = raw["spec"], raw["metadata"]["labels"]
    assert labels == {"serinus.dev/model": model.name, "serinus.dev/record-id": spec["id"]}
    assert (spec["sequence"], spec["event"], spec["version"]) == (5, "Promoted", "2.0.0")


async def test_a_version_that_a_team_has_applied_is_registered_unchanged(
    server: ListingApi, place: KubernetesPlace
) -> None:
    model = place.fresh_model()
    artifact = {"uri": f"s3://models/{model.name}/1.0.0"}
    spec = {"model": model.name, "version": "v1.0.0", "artifact": artifact}
    labels = {"team": "payments-ml"}
    path = of(model, "modelversions", "-v1.0.0")
    server.put(path, {"metadata": {"name": f"{model.name}-v1.0.0", "namespace": "ml", "labels": labels}, "spec": spec})
    artifact |= {"digest": digest_for(model, "1.0.0")}
    applied = dict(server.objects[path])
    await register(registry_on(place.open()), model, "1.0.0")
    assert server.objects[path] == applied
    assert [entry.labels for entry in await registry_on(place.open()).list(model)] == [(("team", "payments-ml"),)]


async def test_a_model_keeps_its_teams_policy_and_the_other_fields_of_its_status(
    server: ListingApi, place: KubernetesPlace
) -> None:
    model = place.fresh_model()
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Fine",
        "message": "All is well.",
        "lastTransitionTime": "2026-11-01T12:00:00Z",
        "observedGeneration": 1,
    }
    path = of(model, "models")
    status = {"observedGeneration": 1, "conditions": [condition]}
    metadata = {"name": model.name, "namespace": "ml"}
    server.put(path, {"metadata": metadata, "spec": {"owner": "payments-ml"}, "status": status})
    registry = registry_on(place.open())
    await register(registry, model, "1.0.0", "2.0.0")
    await registry.promote(model, "1.0.0", audit_entry())
    stored = server.objects[path]
    assert stored["spec"] == {"owner": "payments-ml"}
    assert stored["status"]["production"]["version"] == "1.0.0"
    assert {name: stored["status"][name] for name in status} == status


async def test_a_condition_written_in_between_causes_no_conflict(server: ListingApi, model: ObjectKey) -> None:
    class Meanwhile(MeddledRequests):
        async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
            if path.endswith("/status"):
                raw = server.objects[of(model, "models")]
                server.put(of(model, "models"), {**raw, "status": {**raw["status"], "observedGeneration": 3}})
            return await super().request(method, path, **more)

    client = Meanwhile(server)
    await registry_on(KubernetesStore(client)).promote(model, "3.0.0", audit_entry())
    assert [call for call in client.seen if call.startswith("PATCH")] == [f"PATCH {of(model, 'models')}/status"]
    assert server.objects[of(model, "models")]["status"]["observedGeneration"] == 3


# ---- requests ----------------------------------------------------------------------------------


async def test_production_takes_one_request_and_a_promotion_few_whatever_the_number_of_versions(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    await register(registry_on(place.open()), model, *(f"1.{minor}.0" for minor in range(1, 30)))
    client = MeddledRequests(server)
    registry = registry_on(KubernetesStore(client))
    await registry.production(model)
    assert client.seen == [f"GET {of(model, 'models')}"]
    client.seen.clear()
    await registry.promote(model, "3.0.0", audit_entry())
    requests = [
        f"GET {of(model, 'models')}",
        f"GET {of(model, 'modelversions', '-v3.0.0')}",
        f"POST {ROOT}/auditrecords",
        f"PATCH {of(model, 'models')}/status",
    ]
    # What is registered is read from the chain: all of it once, then only what was recorded since.
    assert client.seen == [requests[0], f"GET {ROOT}/auditrecords", *requests[1:]]
    client.seen.clear()
    await registry.promote(model, "2.0.0", audit_entry())
    new = [f"GET {of(model, 'auditrecords', f'-{number:012d}')}" for number in (35, 36)]
    assert client.seen[:3] == [requests[0], *new]


STEPS = (
    AuditEvent.ROLLOUT_STARTED,
    AuditEvent.TEST_PASSED,
    AuditEvent.ANALYSIS_PASSED,
    AuditEvent.TRAFFIC_SHIFTED,
    AuditEvent.ANALYSIS_PASSED,
    AuditEvent.PROMOTED,
    AuditEvent.ROLLOUT_STARTED,
)


async def test_the_head_is_moved_once_for_four_steps_of_a_run_and_at_once_by_what_changes_who_serves(
    server: ListingApi, model: ObjectKey
) -> None:
    client = MeddledRequests(server)
    entries = [audit_entry(event, version="3.0.0") for event in STEPS]
    await registry_on(KubernetesStore(client)).record_all(model, entries)
    writes = [call.removesuffix("/status").rsplit("/", 1)[-1] for call in client.seen if not call.startswith("GET")]
    assert writes == [*["auditrecords"] * 4, model.name, *["auditrecords"] * 2, model.name, "auditrecords", model.name]


@pytest.mark.parametrize("stored", [1, 2, 3])
async def test_records_that_a_killed_process_still_stores_are_followed_as_they_are(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, stored: int
) -> None:
    """Its request is carried out after the next process has looked for the records of the same entries."""
    entries = [audit_entry(event, version="3.0.0") for event in STEPS[:4]]
    another_time = CountingClock()
    another_time.now()

    class Overtaken(KubernetesStore):
        late = True

        async def commit(self, step: Any) -> None:
            if self.late:
                self.late = False
                head = dict(server.objects[of(model, "models")])
                await Registry(place.open(), another_time, BY).record_all(model, entries[:stored])
                server.put(of(model, "models"), head)
            await super().commit(step)

    await registry_on(Overtaken(server)).record_all(model, entries)

    assert len((await verified_model(place, model)).trail) == 5 + len(entries)


@pytest.mark.parametrize("fault", [ChainFault.MISSING, ChainFault.ALTERED, ChainFault.BROKEN])
async def test_records_that_the_head_has_not_followed_yet_are_verified_too(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey, fault: ChainFault
) -> None:
    """As after a process that was killed between the records of one moment and their head."""
    head = dict(server.objects[of(model, "models")])
    entries = [audit_entry(event, version="3.0.0") for event in STEPS[:3]]
    last = await registry_on(place.open()).record_all(model, entries)
    server.put(of(model, "models"), head)
    assert (await registry_on(place.open()).verify(model)).ok

    path = of(model, "auditrecords", f"-{last - 1:012d}")
    if fault is ChainFault.MISSING:
        del server.objects[path]
    else:
        spec = {**server.objects[path]["spec"], "reason": "another"}
        spec |= {"hash": record_hash(spec)} if fault is ChainFault.BROKEN else {}
        server.put(path, {**server.objects[path], "spec": spec})

    found = await registry_on(place.open()).verify(model)
    assert (fault, last if fault is ChainFault.BROKEN else last - 1) in {
        (finding.fault, finding.sequence) for finding in found.findings
    }


async def test_a_records_id_is_searched_once_however_often_its_step_is_retried(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    other = registry_on(place.open())
    for _ in range(70):
        await other.record(model, audit_entry())

    class Late(KubernetesStore):
        tries = 0

        async def commit(self, step: Any) -> None:
            self.tries += 1
            if self.tries < 5:
                await other.record(model, audit_entry())
            await super().commit(step)

    client = MeddledRequests(server)
    await registry_on(Late(client)).promote(model, "3.0.0", audit_entry())
    # Once for the id, once for the registered versions.
    assert client.seen.count(f"GET {ROOT}/auditrecords") == 2
    assert (await verified_model(place, model)).head.audit.sequence == 80


async def test_only_the_given_namespaces_are_listed(server: ListingApi, model: ObjectKey) -> None:
    client = MeddledRequests(server)
    store = KubernetesStore(client, namespaces=("ml", "other"))
    assert [key async for key, _ in store.list_models()] == [model]
    found = [entry.version async for _, entry in store.find_versions(Query(digest=digest_for(model, "1.0.0")))]
    assert found == ["1.0.0"]
    assert all("/namespaces/ml/" in call or "/namespaces/other/" in call for call in client.seen)
    whole = MeddledRequests(server)
    assert [key async for key, _ in KubernetesStore(whole).list_models()] == []
    assert whole.seen == ["GET /apis/serinus.dev/v1alpha1/models"]


async def test_all_who_commit_one_entry_at_once_get_the_same_number(place: KubernetesPlace, model: ObjectKey) -> None:
    entry = audit_entry()
    others = [registry_on(place.open()).record(model, audit_entry()) for _ in range(6)]
    promotions = [registry_on(place.open()).promote(model, "3.0.0", entry) for _ in range(6)]
    numbers = await asyncio.gather(*(call for pair in zip(others, promotions, strict=True) for call in pair))
    assert (await verified_model(place, model)).sequences_of(entry) == list({*numbers[1::2]})
    assert len({*numbers}) == 7

"""The Kubernetes store beyond its port: which objects it writes, and how often it asks."""

import asyncio
from typing import Any

from serinus.api.names import ObjectKey
from serinus.engine.versions.catalogue import Query
from serinus.registry.kubernetes.store import KubernetesStore
from support.registry.kubernetes import KubernetesPlace, ListingApi, MeddledRequests
from support.registry.place import (
    audit_entry,
    digest_for,
    register,
    registry_on,
    seen_whole,
)

ROOT = "/apis/serinus.dev/v1alpha1/namespaces/ml"


def of(model: ObjectKey, plural: str, end: str = "") -> str:
    return f"{ROOT}/{plural}/{model.name}{end}"


# ---- what is stored ---------------------------------------------------------------------------


async def test_a_record_is_an_object_of_its_own_under_the_name_of_its_number(
    server: ListingApi, model: ObjectKey
) -> None:
    raw = server.objects[of(model, "auditrecords", "-000000000005")]
    spec, labels = raw["spec"], raw["metadata"]["labels"]
    assert labels == {"serinus.dev/model": model.name, "serinus.dev/record-id": spec["id"]}
    assert (spec["sequence"], spec["event"], spec["version"]) == (5, "Promoted", "2.0.0")


async def test_a_version_that_a_team_has_applied_is_registered_as_it_is(
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
    assert [one.labels for one in await registry_on(place.open()).list(model)] == [(("team", "payments-ml"),)]


async def test_a_model_keeps_its_teams_policy_and_what_others_say_in_its_status(
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


async def test_a_condition_written_in_between_is_no_conflict(server: ListingApi, model: ObjectKey) -> None:
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


# ---- how often it asks ------------------------------------------------------------------------


async def test_production_is_one_request_and_a_promotion_five_however_many_versions_there_are(
    server: ListingApi, place: KubernetesPlace, model: ObjectKey
) -> None:
    await register(registry_on(place.open()), model, *(f"1.{minor}.0" for minor in range(1, 30)))
    client = MeddledRequests(server)
    registry = registry_on(KubernetesStore(client))
    await registry.production(model)
    assert client.seen == [f"GET {of(model, 'models')}"]
    client.seen.clear()
    await registry.promote(model, "3.0.0", audit_entry())
    assert client.seen == [
        f"GET {of(model, 'models')}",
        f"GET {of(model, 'modelversions', '-v3.0.0')}",
        f"GET {of(model, 'modelversions', '-v3.0.0')}",
        f"POST {ROOT}/auditrecords",
        f"PATCH {of(model, 'models')}/status",
    ]


async def test_a_happening_is_looked_for_once_however_often_its_step_is_decided_anew(
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
    assert client.seen.count(f"GET {ROOT}/auditrecords") == 1
    assert (await seen_whole(place, model)).head.audit.sequence == 80


async def test_only_the_named_namespaces_are_looked_through(server: ListingApi, model: ObjectKey) -> None:
    client = MeddledRequests(server)
    store = KubernetesStore(client, namespaces=("ml", "other"))
    assert [one async for one, _ in store.list_models()] == [model]
    found = [entry.version async for _, entry in store.find_versions(Query(digest=digest_for(model, "1.0.0")))]
    assert found == ["1.0.0"]
    assert all("/namespaces/ml/" in call or "/namespaces/other/" in call for call in client.seen)
    whole = MeddledRequests(server)
    assert [one async for one, _ in KubernetesStore(whole).list_models()] == []
    assert whole.seen == ["GET /apis/serinus.dev/v1alpha1/models"]


async def test_all_who_tell_one_happening_at_once_are_told_the_same_number(
    place: KubernetesPlace, model: ObjectKey
) -> None:
    told = audit_entry()
    others = [registry_on(place.open()).record(model, audit_entry()) for _ in range(6)]
    wishes = [registry_on(place.open()).promote(model, "3.0.0", told) for _ in range(6)]
    numbers = await asyncio.gather(*(one for pair in zip(others, wishes, strict=True) for one in pair))
    assert (await seen_whole(place, model)).told(told) == list({*numbers[1::2]})
    assert len({*numbers}) == 7

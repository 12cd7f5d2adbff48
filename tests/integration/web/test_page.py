"""The page against a real API server: lists, selectors and names as it really answers them."""

import asyncio

from serinus.api.names import ObjectKey
from serinus.clock import SystemClock
from serinus.engine.rollout.decision import Event, EventReason
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.events import ApiEvents
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import Meta
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.stream import Streams
from support.kube.client import create
from support.web.asgi import HOST, get
from support.web.objects import rollout, version

GROUP = "/apis/serinus.dev/v1alpha1"


async def _publish(api: KubernetesClient, owner: Meta, event: Event) -> None:
    events = ApiEvents(api, SystemClock(), "test")
    await events.publish(owner, event)
    running = asyncio.create_task(events.run())
    await events.drain()
    running.cancel()


async def test_a_rollout_its_events_and_its_versions_are_found(api: KubernetesClient, namespace: str) -> None:
    manifest = rollout("fraud", namespace)
    status = manifest.pop("status")
    status["conditions"] = [condition | {"observedGeneration": 1} for condition in status["conditions"]]
    stored = await create(
        api, {**manifest, "metadata": {"name": "fraud", "namespace": namespace}}, "rollouts", namespace
    )
    path = f"{GROUP}/namespaces/{namespace}/rollouts/fraud"
    await api.request("PATCH", f"{path}/status", body={"status": status}, content_type=MERGE_PATCH)
    for semver in ("2.2.4", "2.3.1"):
        named = {"name": f"fraud-v{semver}", "namespace": namespace}
        raw = {name: part for name, part in version(semver).items() if name != "status"}
        await create(api, {**raw, "metadata": named}, "modelversions", namespace)
    breach = Event(EventReason.ROLLBACK_STARTED, "latency_p95 412ms > 250ms", warning=True)
    await _publish(api, rollout_record(stored).meta, breach)

    clock = SystemClock()
    app = build_app(ClusterReader(api, clock, namespace), clock, (HOST,), Streams(clock))
    listed, page = await get(app, "/"), await get(app, f"/rollouts/{namespace}/fraud")

    assert listed.status == page.status == 200
    assert "Rollouts 1 to 1 of 1" in listed.body
    assert "RollbackStarted</th>" in page.body
    assert "2.3.1 with 2.2.4" in page.body
    assert "The cluster has no record of this model" in page.body
    assert page.body.count('class="alert"') == 1
    assert "The route cannot be read" in page.body
    missing = ObjectKey(namespace, "nobody")
    assert (await get(app, f"/rollouts/{missing}")).status == 404

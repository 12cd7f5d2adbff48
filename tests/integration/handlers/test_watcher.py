"""kopf against the real API server: every kind comes in, nothing goes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

from localcluster.client import Cluster
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.stage_tests import JobTest
from serinus.engine.rollout.actions import RunJobTest, TestRun
from serinus.handlers.watcher import Watcher
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.kube.connection import read_connection
from serinus.kube.jobs.api import ApiJobs
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    JobRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
)
from support.kube.client import create, eventually
from support.kube.objects import backend_ref, endpoint_slice, http_route, without_identity
from support.kube.sink import RememberingSink
from support.manifests.builders import model_version, rollout

KINDS: tuple[type[Record], ...] = (RolloutRecord, ModelVersionRecord, HttpRouteRecord, EndpointsRecord, JobRecord)


@asynccontextmanager
async def watching(cluster: Cluster, *namespaces: str) -> AsyncIterator[RememberingSink]:
    sink = RememberingSink()
    watcher = Watcher(sink, partial(read_connection, cluster.kubeconfig), namespaces)
    watcher.start()
    try:
        await asyncio.wait_for(watcher.begun.wait(), 90)
        yield sink
    finally:
        started = monotonic()
        await watcher.stop()
        assert not watcher.alive
        assert monotonic() - started < 5


async def one_of_each(api: KubernetesClient, namespace: str) -> None:
    await create(api, model_version(), "modelversions", namespace)
    await create(api, rollout(), "rollouts", namespace)
    await create(
        api, without_identity(http_route({"backendRefs": [backend_ref("fraud-v1", 1)]})), "httproutes", namespace
    )
    readiness = (True, False)
    await create(api, without_identity(endpoint_slice(*readiness)), "endpointslices", namespace)
    await one_job(api, namespace)


async def one_job(api: KubernetesClient, namespace: str) -> None:
    owner = (await ApiCluster(api).read_rollout(ObjectKey(namespace, "fraud-detector"))).meta
    identity = TestRun(
        run=1, stage="staging", test="t", model="m", version="1.0.0", backend=BackendRef(name="b", port=80)
    )
    template = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "example.test/c:1"}]}}}}
    await ApiJobs(api).ensure(owner, RunJobTest(identity=identity, test=JobTest(template=template)))


async def all_kinds(sink: RememberingSink, namespace: str) -> bool:
    named = sink.latest(NamespaceRecord, "")
    return all(sink.latest(kind, namespace) for kind in KINDS) and namespace in named


async def test_objects_of_every_kind_come_in_but_those_that_were_there_before_are_the_operators_to_list(
    api: KubernetesClient, cluster: Cluster, namespace: str
) -> None:
    await create(
        api,
        model_version({"metadata.name": "early-v1.0.0", "spec.model": "early", "spec.version": "1.0.0"}),
        "modelversions",
        namespace,
    )
    async with watching(cluster) as sink:
        await one_of_each(api, namespace)
        await touch(api, f"/api/v1/namespaces/{namespace}")
        await eventually(lambda: all_kinds(sink, namespace), why="objects of every kind")
        assert sink.latest(EndpointsRecord, namespace)["fraud-v1-abc"].ready == 1  # type: ignore[union-attr]
        assert "early-v1.0.0" not in sink.latest(ModelVersionRecord, namespace)


async def touch(api: KubernetesClient, path: str) -> None:
    change = {"metadata": {"annotations": {"example.test/touched": "yes"}}}
    await api.request("PATCH", path, body=change, content_type=MERGE_PATCH)


async def test_what_comes_in_is_what_a_list_would_say(api: KubernetesClient, cluster: Cluster, namespace: str) -> None:
    async with watching(cluster, namespace) as sink:
        await one_of_each(api, namespace)

        async def all_the_same() -> bool:
            reader = ApiCluster(api, [namespace])
            listed = {kind: {one.meta.key.name: one for one in (await reader.list_all(kind)).records} for kind in KINDS}
            return all(listed[kind] and listed[kind] == sink.latest(kind, namespace) for kind in KINDS)

        await eventually(all_the_same, why="the watch and the list to agree")


async def test_changes_and_deletions_come_in_and_nothing_is_written_on_the_object(
    api: KubernetesClient, cluster: Cluster, namespace: str
) -> None:
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/rollouts/fraud-detector"
    async with watching(cluster, namespace) as sink:
        await create(api, rollout(), "rollouts", namespace)

        async def command(token: str) -> bool:
            found = sink.latest(RolloutRecord, namespace).get("fraud-detector")
            return isinstance(found, RolloutRecord) and found.commands.get("promote", "") == token

        await eventually(lambda: command(""), why="the Rollout as it was made")
        change = {"metadata": {"annotations": {"serinus.dev/promote": "now"}}}
        patched = await api.request("PATCH", path, body=change, content_type=MERGE_PATCH)
        await eventually(lambda: command("now"), why="the annotation")

        assert (await api.request("GET", path))["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]
        assert "finalizers" not in patched["metadata"]

        await api.request("DELETE", path)
        expected = (RolloutRecord, ObjectKey(namespace, "fraud-detector"), patched["metadata"]["uid"])
        await eventually(lambda: _gone(sink, expected), why="the deletion")


async def _gone(sink: RememberingSink, expected: tuple[Any, ...]) -> bool:
    return expected in sink.deletions


async def test_a_freeze_of_a_namespace_comes_in(api: KubernetesClient, cluster: Cluster, namespace: str) -> None:
    async with watching(cluster) as sink:
        change = {"metadata": {"annotations": {"serinus.dev/freeze": "year end"}}}
        await api.request("PATCH", f"/api/v1/namespaces/{namespace}", body=change, content_type=MERGE_PATCH)

        async def frozen() -> bool:
            found = sink.latest(NamespaceRecord, "").get(namespace)
            return isinstance(found, NamespaceRecord) and found.freeze == "year end"

        await eventually(frozen, why="the freeze")


async def test_jobs_that_are_not_ours_never_come_in(api: KubernetesClient, cluster: Cluster, namespace: str) -> None:
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.test/c:1"}]}}
    foreign = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "foreign"}, "spec": {"template": pod}}
    async with watching(cluster, namespace) as sink:
        await create(api, foreign, "jobs", namespace)
        await create(api, rollout(), "rollouts", namespace)
        await one_job(api, namespace)

        async def ours() -> bool:
            return bool(sink.latest(JobRecord, namespace))

        await eventually(ours, why="our Job")
        assert "foreign" not in sink.latest(JobRecord, namespace)


async def test_the_watch_outlives_a_restart_of_the_api_server(
    api: KubernetesClient, cluster: Cluster, namespace: str
) -> None:
    async with watching(cluster, namespace) as sink:
        await create(api, rollout(), "rollouts", namespace)
        await eventually(lambda: _rollouts(sink, namespace, "fraud-detector"), why="the first Rollout")
        listed = len(sink.relisted)
        await asyncio.to_thread(cluster.restart, "apiserver")
        later = rollout({"metadata.name": "later", "spec.model": "later"})

        async def made() -> bool:
            await create(api, later, "rollouts", namespace)
            return True

        await made()

        async def known() -> bool:
            # Where kopf lists again after it was made, the operator's own list has it.
            return await _rollouts(sink, namespace, "later") or RolloutRecord in sink.relisted[listed:]

        await eventually(known, why="a Rollout made after it")


async def _rollouts(sink: RememberingSink, namespace: str, name: str) -> bool:
    return name in sink.latest(RolloutRecord, namespace)

"""The adapters of kube/ against the real API server."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from localcluster.client import Cluster
from serinus.api.modelversion import BackendRef, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.api.rollout_status import MAX_POINTS, EvidencePoint, EvidenceStatus, Phase, RolloutStatus, TestResult
from serinus.api.stage_tests import JobTest
from serinus.api.verdict import Verdict
from serinus.engine.rollout.actions import RunJobTest, TestRun
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, TransientError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.kube.events import ApiEvents
from serinus.kube.jobs.api import ApiJobs
from serinus.kube.jobs.names import job_name
from serinus.kube.raw import metadata_of
from serinus.kube.status import ApiStatusWriter
from serinus.ports.cluster_state import (
    EndpointsRecord,
    JobRecord,
    Meta,
    ModelVersionRecord,
    NamespaceRecord,
    RolloutRecord,
)
from support.builders import NOW
from support.kube.client import SystemClock, create, eventually
from support.kube.objects import endpoint_slice, without_identity
from support.manifests.builders import model_version, rollout

READINESS = (True, False, None)
IDENTITY = TestRun(
    run=1,
    stage="staging",
    test="contract",
    model="fraud-detector",
    version="2.3.1",
    backend=BackendRef(name="fraud-v2", port=80),
)


@pytest.fixture
async def seen(api: KubernetesClient, namespace: str) -> RolloutRecord:
    """A Rollout of the usual plan, as the operator reads it."""
    await create(api, rollout(), "rollouts", namespace)
    return await ApiCluster(api).read_rollout(ObjectKey(namespace, "fraud-detector"))


async def test_an_object_that_nobody_has_seen_shows_that(api: KubernetesClient, namespace: str) -> None:
    await create(api, rollout(), "rollouts", namespace)
    await create(api, model_version(), "modelversions", namespace)
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}"
    pending = await api.request("GET", f"{path}/rollouts", query={"fieldSelector": "status.phase=Pending"})
    versions = await api.request("GET", f"{path}/modelversions")

    assert [one["status"] for one in pending["items"]] == [{"observedGeneration": -1, "phase": "Pending"}]
    assert [one["status"] for one in versions["items"]] == [{"observedGeneration": -1}]


async def test_a_rollout_that_waits_shows_that_it_is_pending(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    waiting = RolloutStatus(observed_generation=1, phase=Phase.PENDING, reason="RouteNotFound")
    written = await ApiStatusWriter(api).write_rollout(seen.meta, waiting)
    stored = await api.request("GET", f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/rollouts/fraud-detector")

    assert (written.status, stored["status"]["phase"]) == (waiting, "Pending")


async def test_every_kind_that_is_watched_is_served(api: KubernetesClient) -> None:
    assert await ApiCluster(api).missing_kinds() == []


async def test_a_status_is_written_once_read_back_and_bound_to_what_was_seen(
    api: KubernetesClient, seen: RolloutRecord
) -> None:
    writer = ApiStatusWriter(api)
    status = replace(seen.status, phase=Phase.PROGRESSING, summary="Under way.", epoch=5, observed_generation=1)

    written = await writer.write_rollout(seen.meta, status)

    assert written.status == status
    assert written.spec == seen.spec
    assert written.meta.version > seen.meta.version
    with pytest.raises(ConflictError):
        await writer.write_rollout(seen.meta, status)


async def test_all_points_of_the_evidence_are_stored_and_more_are_refused(
    api: KubernetesClient, seen: RolloutRecord
) -> None:
    point = EvidencePoint(at=NOW, requests=2**53 + 1, bad=7, evidence="1.234e+300", value="-0.004")
    points = tuple(replace(point, at=NOW + timedelta(minutes=minute)) for minute in range(MAX_POINTS + 1))
    evidence = tuple(
        EvidenceStatus(name="m", condition=f"m > {limit}", verdict=Verdict.PASS, at=NOW, points=points[1:])
        for limit in range(8)
    )
    writer = ApiStatusWriter(api)

    written = await writer.write_rollout(seen.meta, replace(seen.status, evidence=evidence))

    assert written.status.evidence == evidence
    for refused in (points, (replace(point, evidence="much"),), (replace(point, bad=-1),)):
        with pytest.raises(RefusedError, match="points"):
            await writer.write_rollout(
                written.meta, replace(seen.status, evidence=(replace(evidence[0], points=refused),))
            )


async def test_a_deposed_leader_cannot_write_a_status_with_its_older_term(
    api: KubernetesClient, seen: RolloutRecord
) -> None:
    writer = ApiStatusWriter(api)
    written = await writer.write_rollout(seen.meta, replace(seen.status, epoch=5))
    with pytest.raises(RefusedError, match="this writer has lost the leadership"):
        await writer.write_rollout(written.meta, replace(seen.status, epoch=4))


async def test_a_rollout_made_anew_under_the_same_name_is_not_the_one_that_was_seen(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    await api.request("DELETE", f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/rollouts/fraud-detector")
    with pytest.raises(NotFoundError):
        await ApiStatusWriter(api).write_rollout(seen.meta, RolloutStatus())
    await create(api, rollout(), "rollouts", namespace)
    with pytest.raises(ConflictError):
        await ApiStatusWriter(api).write_rollout(seen.meta, RolloutStatus())


async def test_a_model_versions_stage_is_written_without_touching_its_spec(
    api: KubernetesClient, namespace: str
) -> None:
    made = await create(api, model_version(), "modelversions", namespace)
    meta = metadata_of(made).meta
    await ApiStatusWriter(api).write_model_version(meta, stage="Canary", traffic="5%")
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/modelversions/{meta.key.name}"
    after = await api.request("GET", path)
    assert (after["status"]["stage"], after["status"]["traffic"]) == ("Canary", "5%")
    assert after["spec"] == made["spec"]
    # The object has changed since: that is no reason not to write.
    await ApiStatusWriter(api).write_model_version(meta, stage="Registered", traffic="")
    assert (await api.request("GET", path))["status"] == {"observedGeneration": -1, "stage": "Registered"}


async def test_nothing_is_written_to_an_object_that_was_made_anew_under_the_same_name(
    api: KubernetesClient, namespace: str
) -> None:
    """Such as that a version was yanked: the new one is not, and the yank would count as taken back."""
    made = await create(api, model_version(), "modelversions", namespace)
    meta = metadata_of(made).meta
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/modelversions/{meta.key.name}"
    await api.request("DELETE", path)
    await create(api, model_version(), "modelversions", namespace)
    writer = ApiStatusWriter(api)
    with pytest.raises(NotFoundError):
        await writer.write_review(meta, ModelVersionStatus(yanked="wrong data"), with_traffic=False)
    with pytest.raises(NotFoundError):
        await writer.write_model_version(meta, stage="Canary", traffic="5%")
    assert not {"yanked", "stage", "traffic"} & (await api.request("GET", path)).get("status", {}).keys()


async def test_a_list_of_many_pages_holds_every_object_once(api: KubernetesClient, namespace: str) -> None:
    names = [f"slice-{number}" for number in range(510)]
    async with asyncio.TaskGroup() as writes:
        for name in names:
            raw = without_identity(endpoint_slice(*READINESS), name)
            writes.create_task(create(api, raw, "endpointslices", namespace))
    found = (await ApiCluster(api, [namespace]).list_all(EndpointsRecord)).records
    assert sorted(record.meta.key.name for record in found) == sorted(names)
    assert {record.ready for record in found if isinstance(record, EndpointsRecord)} == {2}


async def test_all_kinds_are_listed_in_the_whole_cluster_and_in_one_namespace(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    await create(api, model_version(), "modelversions", namespace)
    narrow, wide = ApiCluster(api, [namespace, "does-not-exist"]), ApiCluster(api)
    for kind in (ModelVersionRecord, RolloutRecord):
        assert [record.meta.key.namespace for record in (await narrow.list_all(kind)).records] == [namespace]
        assert namespace in {record.meta.key.namespace for record in (await wide.list_all(kind)).records}
    assert [record.meta.key.name for record in (await narrow.list_all(NamespaceRecord)).records] == [namespace]
    assert "kube-system" in {record.meta.key.name for record in (await wide.list_all(NamespaceRecord)).records}


async def test_an_event_shows_up_once_and_counts_its_repetitions(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    events = ApiEvents(api, SystemClock(), "test")
    happened = Event(EventReason.ROLLBACK_STARTED, "2.3.1 is rolled back.", warning=True)
    for _ in range(3):
        await events.publish(seen.meta, happened)
    publishing = asyncio.create_task(events.run())
    await asyncio.wait_for(events.drain(), 10)
    publishing.cancel()

    items = (await api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"))["items"]
    assert [(item["reason"], item["action"], item["note"], item["type"]) for item in items] == [
        ("RollbackStarted", "RollbackStarted", "2.3.1 is rolled back.", "Warning")
    ]
    assert items[0]["series"]["count"] == 3
    assert items[0]["regarding"]["uid"] == seen.meta.uid


def job_test(container: dict[str, Any], timeout: str = "10m") -> RunJobTest:
    template = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return RunJobTest(identity=IDENTITY, test=JobTest(template=template, timeout=Duration(timeout)))


async def jobs_of(api: KubernetesClient, namespace: str) -> dict[str, JobRecord]:
    found = (await ApiCluster(api, [namespace]).list_all(JobRecord)).records
    return {record.meta.key.name: record for record in found if isinstance(record, JobRecord)}


async def test_a_test_job_is_made_once_however_often_it_is_asked_for(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    action = job_test({"name": "check", "image": "example.test/check:1"})
    for _ in range(3):
        await ApiJobs(api).ensure(seen.meta, action)
    found = await jobs_of(api, namespace)
    assert list(found) == [job_name(seen.meta, IDENTITY)]
    assert found[job_name(seen.meta, IDENTITY)].rollout == "fraud-detector"


async def test_a_job_that_takes_too_long_is_a_failed_test(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    await ApiJobs(api).ensure(seen.meta, job_test({"name": "check", "image": "example.test/check:1"}, timeout="1s"))

    async def outcome() -> TestOutcome | None:
        return (await jobs_of(api, namespace))[job_name(seen.meta, IDENTITY)].outcome

    ended = await eventually(outcome, why="the Job's deadline of 1 s")
    assert (ended.result, "DeadlineExceeded" in ended.message) == (TestResult.FAILED, True)


async def test_a_template_that_is_no_job_is_refused_with_the_field(
    api: KubernetesClient, namespace: str, seen: RolloutRecord
) -> None:
    with pytest.raises(RefusedError, match=r"containers\[0\]\.name"):
        await ApiJobs(api).ensure(seen.meta, job_test({"image": "example.test/check:1"}))


async def test_a_namespace_that_does_not_exist_is_not_found(api: KubernetesClient) -> None:
    gone = Meta(key=ObjectKey("does-not-exist", "x"), uid="u", version=1)
    with pytest.raises(NotFoundError):
        await ApiJobs(api).ensure(gone, job_test({"name": "check", "image": "example.test/check:1"}))


async def test_a_call_that_the_api_server_does_not_answer_ends_in_time_and_says_what_may_have_happened(
    api: KubernetesClient, cluster: Cluster, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    label: dict[str, Any] = {"metadata": {"labels": {"late": "yes"}}}
    cluster.pause("apiserver")
    try:
        started = SystemClock().monotonic()
        with pytest.raises(TransientError, match="no answer within 1 s"):
            await api.request("GET", path, timeout=1)
        with pytest.raises(AmbiguousError, match="it may have been written"):
            await api.request("PATCH", path, body=label, content_type=MERGE_PATCH, timeout=1)
        assert SystemClock().monotonic() - started < 5
    finally:
        cluster.resume("apiserver")
    await api.request("GET", path)

"""The Jobs of tests on a real API server, Job controller and node: what is seen of a pod that does not run."""

from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import JobTest
from serinus.engine.rollout.actions import RunJobTest, TestRun
from serinus.errors import RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.kube.jobs.api import ApiJobs
from serinus.ports.cluster_state import JobRecord, Meta, PodFacts
from support.kube.client import create, eventually
from support.manifests.builders import rollout

IDENTITY = TestRun(
    run=1,
    stage="staging",
    test="contract",
    model="fraud-detector",
    version="2.3.1",
    backend=BackendRef(name="fraud-v2", port=80),
)


def job_test(timeout: str = "10m", pod: dict[str, Any] | None = None, **container: Any) -> RunJobTest:
    main = {"name": "main", "image": "localhost/process", "command": ["sleep", "1000"], **container}
    template = {"spec": {"template": {"spec": {"containers": [main], **(pod or {})}}}}
    return RunJobTest(identity=IDENTITY, test=JobTest(template=template, timeout=Duration(timeout)))


class Jobs:
    """The Jobs of one Rollout."""

    def __init__(self, api: KubernetesClient, owner: Meta) -> None:
        self.api, self.owner, self.port = api, owner, ApiJobs(api)

    async def now(self) -> JobRecord:
        (record,) = (await ApiCluster(self.api, [self.owner.key.namespace]).list_all(JobRecord)).records
        assert isinstance(record, JobRecord)
        return record

    async def ended(self) -> JobRecord:
        async def probe() -> JobRecord | None:
            found = await self.now()
            return found if found.outcome is not None else None

        return await eventually(probe, why="the Job to end")

    async def seen(self, job: JobRecord, words: str) -> PodFacts:
        async def probe() -> PodFacts | None:
            facts = await self.port.pods(job)
            return facts if words in facts.problem else None

        return await eventually(probe, why=f"the pod to say {words!r}")

    async def runs(self, job: JobRecord) -> None:
        async def probe() -> bool:
            return (await self.port.pods(job)).has_run

        await eventually(probe, why="the pod to run")

    async def delete(self, job: JobRecord) -> None:
        path = f"/apis/batch/v1/namespaces/{job.meta.key.namespace}/jobs/{job.meta.key.name}"
        await self.api.request("DELETE", path, query={"propagationPolicy": "Background"})


@pytest.fixture
async def jobs(api: KubernetesClient, namespace: str) -> Jobs:
    await create(api, rollout(), "rollouts", namespace)
    record = await ApiCluster(api).read_rollout(ObjectKey(namespace, "fraud-detector"))
    return Jobs(api, record.meta)


async def test_an_image_that_cannot_be_pulled_is_seen_until_the_deadline_which_leaves_no_trace(jobs: Jobs) -> None:
    job = await jobs.port.ensure(jobs.owner, job_test("8s", image="example.org/check:1"))
    assert (job.containers, job.deadline, job.has_run, job.outcome) == (("main",), 8.0, False, None)

    facts = await jobs.seen(job, "ErrImagePull: ")

    assert "example.org/check:1" in facts.problem
    ended = await jobs.ended()
    assert ended.outcome is not None
    assert (ended.outcome.result, ended.outcome.timed_out) == (TestResult.FAILED, True)
    assert (ended.outcome.job, ended.has_run) == (job.meta.key.name, False)
    await jobs.seen(ended, "has created no pod")


async def test_a_missing_secret_is_named(jobs: Jobs) -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "token"}}}
    job = await jobs.port.ensure(jobs.owner, job_test(env=[secret]))
    assert "nowhere" in (await jobs.seen(job, "CreateContainerConfigError: ")).problem


async def test_a_job_that_runs_is_seen_running_by_its_pod_and_by_its_status(jobs: Jobs) -> None:
    job = await jobs.port.ensure(jobs.owner, job_test())
    await jobs.runs(job)

    async def ready() -> bool:
        return (await jobs.now()).has_run

    await eventually(ready, why="the Job's status to count the pod as ready")


async def test_a_job_that_fails_is_no_matter_of_time(jobs: Jobs) -> None:
    await jobs.port.ensure(jobs.owner, job_test(command=["sh", "-c", "exit 3"]))
    ended = await jobs.ended()
    assert ended.outcome is not None
    assert (ended.outcome.result, ended.outcome.timed_out) == (TestResult.FAILED, False)


async def test_a_pod_that_is_evicted_is_replaced_and_the_job_goes_on(jobs: Jobs) -> None:
    job = await jobs.port.ensure(jobs.owner, job_test(pod={"terminationGracePeriodSeconds": 1}))
    await jobs.runs(job)
    (first,) = await _pods(jobs)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first}}
    path = f"/api/v1/namespaces/{job.meta.key.namespace}/pods/{first}/eviction"
    await jobs.api.request("POST", path, body=eviction)

    async def replaced() -> bool:
        return bool(set(await _pods(jobs)) - {first})

    await eventually(replaced, why="another pod")
    assert (await jobs.now()).outcome is None


async def _pods(jobs: Jobs) -> list[str]:
    answer = await jobs.api.request("GET", f"/api/v1/namespaces/{jobs.owner.key.namespace}/pods")
    return [pod["metadata"]["name"] for pod in answer["items"]]


async def test_a_quota_on_pods_leaves_a_job_without_any_and_says_where_to_look(jobs: Jobs) -> None:
    await _quota(jobs, pods="0")
    job = await jobs.port.ensure(jobs.owner, job_test())
    facts = await jobs.port.pods(job)
    assert (facts.has_run, f"kubectl describe job {job.meta.key.name}" in facts.problem) == (False, True)


async def test_a_quota_on_jobs_refuses_the_job(jobs: Jobs) -> None:
    await _quota(jobs, **{"count/jobs.batch": "0"})
    with pytest.raises(RefusedError, match="exceeded quota"):
        await jobs.port.ensure(jobs.owner, job_test())


async def test_the_pods_of_a_deleted_job_are_not_those_of_its_successor(jobs: Jobs) -> None:
    slow = {"terminationGracePeriodSeconds": 30}
    script = ["sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"]
    first = await jobs.port.ensure(jobs.owner, job_test(pod=slow, command=script))
    await jobs.runs(first)
    await jobs.delete(first)

    second = await jobs.port.ensure(jobs.owner, job_test(image="example.org/check:1"))

    assert (second.meta.key, second.meta.uid == first.meta.uid) == (first.meta.key, False)
    assert (await jobs.port.pods(second)).has_run is False
    await jobs.seen(second, "ErrImagePull: ")


async def test_a_suspended_job_says_so(jobs: Jobs) -> None:
    job = await jobs.port.ensure(jobs.owner, job_test())
    path = f"/apis/batch/v1/namespaces/{job.meta.key.namespace}/jobs/{job.meta.key.name}"
    await jobs.api.request("PATCH", path, body={"spec": {"suspend": True}}, content_type=MERGE_PATCH)
    suspended = await jobs.now()
    assert suspended.suspended
    await jobs.seen(suspended, "Suspended: ")


async def _quota(jobs: Jobs, **hard: str) -> None:
    """Bound what the namespace may have, and wait until the API server enforces it."""
    namespace = jobs.owner.key.namespace
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    await create(jobs.api, quota, "resourcequotas", namespace)
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/small"

    async def counted() -> bool:
        return bool((await jobs.api.request("GET", path)).get("status", {}).get("used"))

    await eventually(counted, why="the quota to be counted")

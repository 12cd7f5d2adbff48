"""The Job of a test: the user's template plus what Serinus adds."""

from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.api.stage_tests import JobTest
from serinus.engine.rollout.actions import RunJobTest, TestRun
from serinus.errors import AmbiguousError, RefusedError
from serinus.kube.jobs.api import ApiJobs, job_manifest
from serinus.kube.jobs.names import job_name
from serinus.ports.cluster_state import Meta, PodFacts
from support.kube.memory import CREATED_AT, MemoryApi
from support.kube.objects import metadata

OWNER = Meta(key=ObjectKey("ml", "fraud-detector"), uid="u-1", version=7)


def identity(**changes: Any) -> TestRun:
    fields: dict[str, Any] = {
        "run": 12,
        "stage": "staging",
        "test": "contract",
        "model": "fraud",
        "version": "2.3.1",
        "backend": BackendRef(name="fraud-v2", port=8080),
        "content": "0123456789abcdef",
    }
    return TestRun(**fields | changes)


def action(template: dict[str, Any], timeout: str = "10m") -> RunJobTest:
    return RunJobTest(identity=identity(), test=JobTest(template=template, timeout=Duration(timeout)))


def template(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}, **spec}}


def test_a_job_is_owned_by_its_rollout_and_labelled_with_its_test() -> None:
    job = job_manifest(OWNER, action(template({"name": "c"}) | {"metadata": {"labels": {"team": "x"}}}))
    assert job["metadata"]["labels"] == {
        "team": "x",
        "serinus.dev/rollout": "fraud-detector",
        "serinus.dev/run": "12",
    }
    assert job["metadata"]["annotations"] == {
        "serinus.dev/stage": "staging",
        "serinus.dev/test": "contract",
        "serinus.dev/test-content": "0123456789abcdef",
    }
    assert job["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "serinus.dev/v1alpha1",
            "kind": "Rollout",
            "name": "fraud-detector",
            "uid": "u-1",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_every_container_gets_the_candidates_variables_unless_it_sets_them() -> None:
    own = {"name": "SERINUS_VERSION", "value": "mine"}
    raw = template({"name": "a"}, {"name": "b", "env": [own]})
    raw["spec"]["template"]["spec"]["initContainers"] = [{"name": "i"}]
    pod = job_manifest(OWNER, action(raw))["spec"]["template"]["spec"]
    first = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert first == {
        "SERINUS_CANDIDATE_URL": "http://fraud-v2.ml.svc:8080",
        "SERINUS_CANDIDATE_HOST": "fraud-v2.ml.svc",
        "SERINUS_CANDIDATE_PORT": "8080",
        "SERINUS_MODEL": "fraud",
        "SERINUS_VERSION": "2.3.1",
        "SERINUS_ROLLOUT": "fraud-detector",
        "SERINUS_STAGE": "staging",
        "SERINUS_RUN": "12",
    }
    assert [entry for entry in pod["containers"][1]["env"] if entry["name"] == "SERINUS_VERSION"] == [own]
    assert len(pod["initContainers"][0]["env"]) == 8


@pytest.mark.parametrize(
    ("spec", "deadline"), [({}, 90), ({"activeDeadlineSeconds": 30}, 30), ({"activeDeadlineSeconds": 900}, 90)]
)
def test_a_job_never_outlives_the_tests_timeout(spec: dict[str, Any], deadline: int) -> None:
    job = job_manifest(OWNER, action(template({"name": "c"}, **spec), timeout="1m30s"))["spec"]
    assert job["activeDeadlineSeconds"] == deadline
    assert (job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (0, 3600)


def test_retries_and_ttl_of_the_template_are_kept() -> None:
    spec = job_manifest(OWNER, action(template({"name": "c"}, backoffLimit=2, ttlSecondsAfterFinished=5)))["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (2, 5)


DISRUPTED = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}


@pytest.mark.parametrize(
    ("pod", "spec", "policy"),
    [
        ({}, {}, DISRUPTED),
        ({"restartPolicy": "OnFailure"}, {}, None),
        ({}, {"podFailurePolicy": {"rules": []}}, {"rules": []}),
    ],
)
def test_a_pod_that_is_evicted_is_replaced_unless_the_template_says_otherwise(
    pod: dict[str, Any], spec: dict[str, Any], policy: dict[str, Any] | None
) -> None:
    raw = template({"name": "c"}, **spec)
    raw["spec"]["template"]["spec"] |= pod
    assert job_manifest(OWNER, action(raw))["spec"].get("podFailurePolicy") == policy


@pytest.mark.parametrize(
    "broken",
    [{"spec": {}}, {"spec": {"template": {"spec": {"containers": "x"}}}}, template("x"), {"spec": []}],  # type: ignore[arg-type]
)
def test_a_malformed_template_is_refused_naming_the_part(broken: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="JobTemplateSpec"):
        job_manifest(OWNER, action(broken))


def test_job_names_are_short_valid_and_unique_for_each_test() -> None:
    long = Meta(key=ObjectKey("ml", "a." * 100 + "a"), uid="u-1", version=7)
    tests = [
        (OWNER, identity()),
        (OWNER, identity(run=13)),
        (OWNER, identity(stage="canary")),
        (OWNER, identity(test="load")),
        (OWNER, identity(content="another")),
        (OWNER, identity(content="")),
        (Meta(key=OWNER.key, uid="u-2", version=7), identity()),
        (long, identity()),
        (long, identity(test="load")),
    ]
    names = [job_name(owner, test) for owner, test in tests]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 and "." not in name and not name.startswith("-") for name in names)
    assert names[0].startswith("fraud-detector-12-staging-contract-")
    assert job_name(OWNER, identity()) == names[0]


async def test_a_job_is_not_created_twice_after_an_ambiguous_answer() -> None:
    api = MemoryApi()
    api.after.append(AmbiguousError("504"))
    with pytest.raises(AmbiguousError):
        await ApiJobs(api).ensure(OWNER, action(template({"name": "c"})))
    job = await ApiJobs(api).ensure(OWNER, action(template({"name": "c"})))
    assert len(api.objects) == 1
    assert (job.meta.key.name, job.containers) == (job_name(OWNER, identity()), ("c",))


async def test_the_job_that_is_there_already_is_returned_as_it_is_now() -> None:
    api = MemoryApi()
    made = await ApiJobs(api).ensure(OWNER, action(template({"name": "c"})))
    assert (made.rollout, made.run, made.stage, made.test, made.owner) == (
        "fraud-detector",
        12,
        "staging",
        "contract",
        "u-1",
    )
    path = f"/apis/batch/v1/namespaces/ml/jobs/{made.meta.key.name}"
    api.put(path, api.objects[path] | {"status": {"ready": 1}})
    found = await ApiJobs(api).ensure(OWNER, action(template({"name": "other"})))
    assert (found.has_run, found.containers, found.meta.uid) == (True, ("c",), made.meta.uid)


async def test_a_foreign_job_of_the_same_name_is_in_the_way() -> None:
    api = MemoryApi()
    name = job_name(OWNER, identity())
    api.put(
        f"/apis/batch/v1/namespaces/ml/jobs/{name}",
        {"metadata": {"name": name, "namespace": "ml", "creationTimestamp": CREATED_AT}},
    )
    with pytest.raises(RefusedError, match="is in the way"):
        await ApiJobs(api).ensure(OWNER, action(template({"name": "c"})))


async def test_a_job_that_was_made_anew_by_somebody_else_is_in_the_way() -> None:
    api, wanted = MemoryApi(), action(template({"name": "c"}))
    made = await ApiJobs(api).ensure(OWNER, wanted)
    path = f"/apis/batch/v1/namespaces/ml/jobs/{made.meta.key.name}"
    assert (await ApiJobs(api).ensure(OWNER, wanted, made.meta.uid)).meta.uid == made.meta.uid
    forged = api.objects.pop(path)
    api.put(path, forged | {"metadata": forged["metadata"] | {"uid": "forged"}})
    with pytest.raises(RefusedError, match="it is not the one that Serinus created; delete it"):
        await ApiJobs(api).ensure(OWNER, wanted, made.meta.uid)
    del api.objects[path]
    assert (await ApiJobs(api).ensure(OWNER, wanted, made.meta.uid)).meta.uid not in {made.meta.uid, "forged"}


async def test_the_pods_of_a_job_are_found_by_its_uid_and_no_more_than_ten_are_read() -> None:
    api = MemoryApi()
    job = await ApiJobs(api).ensure(OWNER, action(template({"name": "c"})))
    waiting = {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    pod = {"metadata": metadata("pod"), "status": {"phase": "Pending", "containerStatuses": [waiting]}}
    api.objects["/api/v1/namespaces/ml/pods"] = {"items": [pod]}
    assert await ApiJobs(api).pods(job) == PodFacts(has_run=False, problem="ErrImagePull: no such image")
    selector = f"batch.kubernetes.io/controller-uid={job.meta.uid}"
    assert api.queries[-1] == {"labelSelector": selector, "limit": "10"}

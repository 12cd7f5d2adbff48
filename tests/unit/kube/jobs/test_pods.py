"""Why the pods of a Job do not run, as the scheduler, the kubelet and the Job controller put it."""

from typing import Any

import pytest

from serinus.api.names import ObjectKey
from serinus.kube.jobs.pods import pod_facts
from serinus.ports.cluster_state import JobRecord, Meta, PodFacts
from support.kube.objects import condition, metadata

Raw = dict[str, Any]


def job(**fields: Any) -> JobRecord:
    return JobRecord(
        **{
            "meta": Meta(key=ObjectKey("ml", "fraud-1-contract"), uid="uid-of-job", version=1),
            "rollout": "fraud",
            "owner": "uid",
            "run": 1,
            "stage": "staging",
            "test": "contract",
            "outcome": None,
            "containers": ("check",),
            **fields,
        }
    )


def pod(*containers: Raw, init: tuple[Raw, ...] = (), created: str = "2026-11-01T10:00:00Z", **status: Any) -> Raw:
    return {
        "metadata": metadata("pod", creationTimestamp=created),
        "status": {
            "phase": "Pending",
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **status,
        },
    }


def container(name: str = "check", last: Raw | None = None, **state: Raw) -> Raw:
    return {"name": name, "state": state, "lastState": {} if last is None else {"terminated": last}}


def waiting(reason: str, message: str = "", name: str = "check") -> Raw:
    return container(name, waiting={"reason": reason, **({"message": message} if message else {})})


RUNNING = {"startedAt": "2026-11-01T10:00:05Z"}
BACK_OFF = "Back-off pulling image x"


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        pytest.param(pod(waiting("ImagePullBackOff", BACK_OFF)), f"ImagePullBackOff: {BACK_OFF}", id="image"),
        pytest.param(
            pod(waiting("CreateContainerConfigError", "secret s not found")),
            "CreateContainerConfigError: secret s not found",
            id="secret",
        ),
        pytest.param(pod(waiting("ContainerCreating")), "ContainerCreating", id="being created"),
        pytest.param(
            pod(conditions=[condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes fit")]),
            "Unschedulable: 0/3 nodes fit",
            id="no node",
        ),
        pytest.param(
            pod(phase="Failed", reason="UnexpectedAdmissionError", message="no such device"),
            "UnexpectedAdmissionError: no such device",
            id="refused by the kubelet",
        ),
        pytest.param(
            pod(
                waiting("PodInitializing"),
                init=(waiting("ErrImagePull", "no such image", "wait"),),
            ),
            "init container wait: ErrImagePull: no such image",
            id="init container's image",
        ),
        pytest.param(
            pod(waiting("PodInitializing"), init=(container("wait", running=RUNNING),)),
            "init container wait has not ended",
            id="init container that goes on",
        ),
        pytest.param(
            pod(container("proxy", running=RUNNING), waiting("ImagePullBackOff", BACK_OFF)),
            f"ImagePullBackOff: {BACK_OFF}",
            id="only an injected container runs",
        ),
        pytest.param(
            pod(container(terminated={"exitCode": 128, "reason": "StartError", "message": "no such file"})),
            "StartError: no such file",
            id="program that is not there",
        ),
        pytest.param(
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 128, "reason": "StartError"})),
            "StartError",
            id="program that is not there, tried again",
        ),
        pytest.param(pod(), "the pod is Pending and no node has said anything of it", id="nothing known"),
    ],
)
def test_a_pod_that_does_not_run_says_why(found: Raw, problem: str) -> None:
    assert pod_facts(job(), [found]) == PodFacts(has_run=False, problem=problem)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(pod(container(running=RUNNING)), id="runs"),
        pytest.param(pod(container(terminated={"exitCode": 1, "reason": "Error"})), id="has failed"),
        pytest.param(
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 1, "reason": "Error"})),
            id="has failed and is tried again",
        ),
        pytest.param(
            pod(container(running=RUNNING), waiting("ImagePullBackOff", BACK_OFF, "proxy")), id="only the proxy waits"
        ),
    ],
)
def test_a_test_has_run_once_a_container_of_its_template_has(found: Raw) -> None:
    assert pod_facts(job(), [found]) == PodFacts(has_run=True)


def test_a_job_whose_status_says_that_a_pod_was_ready_has_run() -> None:
    assert pod_facts(job(has_run=True), []) == PodFacts(has_run=True)


def test_the_newest_pod_tells_and_an_older_one_that_has_run_counts() -> None:
    old = pod(waiting("ErrImagePull", "old"), created="2026-11-01T10:00:00Z")
    new = pod(waiting("ErrImagePull", "new"), created="2026-11-01T10:01:00Z")
    ran = pod(container(terminated={"exitCode": 1, "reason": "Error"}), created="2026-11-01T09:00:00Z")
    assert pod_facts(job(), [old, new]).problem == "ErrImagePull: new"
    assert pod_facts(job(), [old, new, ran]).has_run


def test_a_job_without_pods_says_where_to_look() -> None:
    hint = "the Job controller has created no pod: kubectl describe job fraud-1-contract -n ml says why"
    assert pod_facts(job(), []).problem == hint
    assert pod_facts(job(suspended=True), []).problem.startswith("Suspended: ")


def test_a_malformed_pod_is_left_out_and_a_long_message_is_cut() -> None:
    malformed = {"metadata": metadata("odd"), "status": {"containerStatuses": "none"}}
    facts = pod_facts(job(), [malformed, pod(waiting("ErrImagePull", "x" * 5000))])
    assert (facts.problem[:17], len(facts.problem)) == ("ErrImagePull: xxx", 512)

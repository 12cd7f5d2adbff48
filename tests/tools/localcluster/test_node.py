"""The node: pods run as processes, and their status reflects them."""

import json
import os
from typing import Any

import pytest

from support.localcluster import Namespace, eventually, fetch


def job(name: str, script: str, *, image: str = "localhost/process", **pod: object) -> dict[str, Any]:
    container = {"name": "main", "image": image, "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "containers": [container]} | pod
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


def pod_of(namespace: Namespace, selector: str) -> dict[str, Any]:
    items = namespace.get("pods", f"--selector={selector}")["items"]
    assert len(items) == 1
    pod: dict[str, Any] = items[0]
    return pod


def test_a_deployment_is_ready_and_reached_by_its_services_name(namespace: Namespace) -> None:
    namespace.serve("web", replicas=2, ANSWER="I am $(POD_NAMESPACE)")

    def ready() -> list[dict[str, Any]]:
        slices = namespace.get("endpointslices", "--selector=kubernetes.io/service-name=web")["items"]
        return [endpoint for item in slices for endpoint in item["endpoints"] if endpoint["conditions"]["ready"]]

    eventually(lambda: len(ready()) == 2, why="both pods are ready endpoints")
    address = namespace.get("service", "web")["spec"]["clusterIP"]
    hosts = (address, f"web.{namespace.name}.svc", f"web.{namespace.name}.svc.cluster.local")
    expected = [(200, f"I am {namespace.name}")] * 3
    eventually(lambda: [fetch(f"http://{host}/") for host in hosts] == expected, why="all names of the Service answer")


def test_a_service_without_ready_endpoints_refuses_connections(namespace: Namespace) -> None:
    namespace.serve("web")
    url = f"http://web.{namespace.name}.svc/"
    eventually(lambda: fetch(url)[0] == 200, why="the Service answers")

    namespace.kubectl("scale", "deployment/web", "--replicas=0")

    eventually(lambda: fetch(url)[0] == 0, why="the Service's address refuses connections")


def test_a_deleted_pod_is_replaced(namespace: Namespace) -> None:
    namespace.serve("web")
    first = pod_of(namespace, "app=web")

    namespace.kubectl("delete", "pod", first["metadata"]["name"])

    def replacement() -> list[str]:
        pods = namespace.get("pods", "--selector=app=web")["items"]
        return [pod["metadata"]["name"] for pod in pods if pod["status"]["containerStatuses"][0]["ready"]]

    names = eventually(lambda: [name for name in replacement() if name != first["metadata"]["name"]])
    assert len(names) == 1


def test_a_pod_that_fails_its_readiness_probe_gets_no_traffic(namespace: Namespace) -> None:
    namespace.serve("web")
    namespace.kubectl("set", "env", "deployment/web", "STATUS=503")

    def unready() -> bool:
        pods = namespace.get("pods", "--selector=app=web")["items"]
        return any(not entry["ready"] for pod in pods for entry in pod["status"].get("containerStatuses", []))

    eventually(unready, why="the new pod is unready")
    assert fetch(f"http://web.{namespace.name}.svc/")[0] == 200


def test_a_container_that_fails_its_liveness_probe_is_restarted(namespace: Namespace) -> None:
    container = {
        "name": "main",
        "image": "localhost/process",
        "command": ["sleep", "1000"],
        "livenessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1},
    }
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sick"}, "spec": spec})

    def restarted() -> dict[str, Any] | None:
        status = namespace.get("pod", "sick")["status"].get("containerStatuses", [{}])[0]
        return status if status.get("restartCount", 0) >= 1 else None

    status = eventually(restarted)
    assert status["lastState"]["terminated"]["exitCode"] == 128 + 15


def test_a_job_succeeds_and_its_output_is_read_by_kubectl_logs(namespace: Namespace) -> None:
    namespace.apply(job("good", "echo made; printf done > $TERMINATION_LOG"))

    namespace.kubectl("wait", "--for=condition=complete", "job/good", "--timeout=120s")

    state = pod_of(namespace, "job-name=good")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (0, "Completed", "done")
    assert namespace.kubectl("logs", "job/good") == "made\n"


def test_a_job_fails_with_its_exit_code(namespace: Namespace) -> None:
    namespace.apply(job("bad", "echo no; exit 3"))

    namespace.kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=120s")

    pod = pod_of(namespace, "job-name=bad")
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (pod["status"]["phase"], state["exitCode"], state["reason"]) == ("Failed", 3, "Error")


def test_on_failure_restarts_a_container_until_it_succeeds(namespace: Namespace) -> None:
    folder = namespace.cluster.state / "retries"
    folder.mkdir(exist_ok=True)
    script = f"test -e {folder}/{namespace.name} || {{ touch {folder}/{namespace.name}; exit 1; }}"
    namespace.apply(job("retry", script, restartPolicy="OnFailure") | {})

    namespace.kubectl("patch", "job/retry", "--type=merge", f"--patch={json.dumps({'spec': {'backoffLimit': 3}})}")
    namespace.kubectl("wait", "--for=condition=complete", "job/retry", "--timeout=120s")

    assert pod_of(namespace, "job-name=retry")["status"]["containerStatuses"][0]["restartCount"] == 1


def test_init_containers_run_first(namespace: Namespace) -> None:
    init = {"name": "first", "image": "localhost/process", "command": ["sh", "-c", "echo first"]}
    namespace.apply(job("two", "echo second", initContainers=[init]))

    namespace.kubectl("wait", "--for=condition=complete", "job/two", "--timeout=120s")

    pod = pod_of(namespace, "job-name=two")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert namespace.kubectl("logs", "job/two", "--container=first") == "first\n"


def test_variables_come_from_fields_config_maps_and_secrets(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "settings", "--from-literal=colour=yellow")
    namespace.kubectl("create", "secret", "generic", "keys", "--from-literal=token=opensesame")
    variables = [
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "ALL", "value": "$(COLOUR) at $(WHERE)"},
    ]
    manifest = job("env", "echo $ALL with $TOKEN")
    manifest["spec"]["template"]["spec"]["containers"][0]["env"] = variables
    namespace.apply(manifest)

    namespace.kubectl("wait", "--for=condition=complete", "job/env", "--timeout=120s")

    assert namespace.kubectl("logs", "job/env") == f"yellow at {namespace.name} with opensesame\n"


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        pytest.param({"image": "example.org/app:1"}, "ErrImagePull", "pulls no images", id="an unknown image"),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "a"}}}]},
            "CreateContainerConfigError",
            "not found",
            id="a missing config map",
        ),
        pytest.param(
            {"livenessProbe": {"grpc": {"port": 1}}},
            "CreateContainerConfigError",
            "httpGet",
            id="an unsupported probe",
        ),
    ],
)
def test_a_container_that_cannot_be_started_waits_with_a_reason(
    namespace: Namespace, change: dict[str, Any], reason: str, message: str
) -> None:
    container = {"name": "main", "image": "localhost/process", "command": ["true"]} | change
    namespace.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "odd"}, "spec": {"containers": [container]}}
    )

    def waiting() -> dict[str, str] | None:
        status = namespace.get("pod", "odd")["status"].get("containerStatuses", [{}])[0]
        state = status.get("state", {}).get("waiting", {})
        return state if state.get("message") else None

    state = eventually(waiting)
    assert state["reason"] == reason
    assert message in state["message"]


def test_a_program_that_does_not_exist_is_a_start_error(namespace: Namespace) -> None:
    manifest = job("missing", "true")
    manifest["spec"]["template"]["spec"]["containers"][0]["command"] = ["no-such-program"]
    namespace.apply(manifest)

    namespace.kubectl("wait", "--for=condition=failed", "job/missing", "--timeout=120s")

    state = pod_of(namespace, "job-name=missing")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (128, "StartError")


def test_deletion_sends_sigterm_and_lets_the_process_finish(namespace: Namespace) -> None:
    marker = namespace.cluster.state / f"{namespace.name}.terminated"
    script = f"trap 'touch {marker}; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    container = {"name": "main", "image": "localhost/process", "command": ["sh", "-c", script]}
    namespace.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "polite"}, "spec": {"containers": [container]}}
    )
    eventually(lambda: namespace.get("pod", "polite")["status"]["phase"] == "Running")
    eventually(lambda: namespace.kubectl("logs", "polite") == "up\n", why="the trap is set")

    namespace.kubectl("delete", "pod", "polite", "--timeout=120s")

    assert marker.exists()


def test_pods_survive_a_restart_of_the_node_with_restarted_containers(namespace: Namespace) -> None:
    namespace.serve("web")
    before = pod_of(namespace, "app=web")

    namespace.cluster.restart("node")

    def restarted() -> dict[str, Any] | None:
        status = pod_of(namespace, "app=web")["status"]["containerStatuses"][0]
        return status if status["ready"] and status["restartCount"] == 1 else None

    eventually(restarted)
    assert pod_of(namespace, "app=web")["metadata"]["uid"] == before["metadata"]["uid"]
    eventually(lambda: fetch(f"http://web.{namespace.name}.svc/")[0] == 200, why="the Service answers again")


def test_the_tests_see_the_clusters_processes(namespace: Namespace) -> None:
    assert os.getpid() != 1
    assert set(namespace.cluster.parts()) >= {"etcd", "apiserver", "controller-manager", "node"}


def test_an_ordinary_user_is_authenticated_and_has_no_rights(namespace: Namespace) -> None:
    kubeconfig = f"--kubeconfig={namespace.cluster.kubeconfig_of('developer')}"

    me = json.loads(namespace.kubectl("auth", "whoami", "--output=json", kubeconfig))["status"]["userInfo"]
    assert (me["username"], me["groups"]) == ("developer", ["ml-team", "system:authenticated"])
    with pytest.raises(AssertionError, match='"developer" cannot list resource "pods"'):
        namespace.kubectl("get", "pods", kubeconfig)


def test_mutating_admission_policies_are_served(namespace: Namespace) -> None:
    served = namespace.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name")

    assert "mutatingadmissionpolicies.admissionregistration.k8s.io" in served.split()

"""The chart's pods on a real node: what a user sees after ``helm install``."""

from support.realnode.installation import Installation


def test_both_replicas_run_unprivileged_and_one_leads(serinus: Installation) -> None:
    pods = serinus.pods()
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 2
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-0", "node-1"}
    assert serinus.leader() in {pod["metadata"]["name"] for pod in pods}
    assert "leads" in serinus.here("logs", serinus.leader())


def test_helm_test_says_that_it_works(serinus: Installation) -> None:
    said = serinus.helm("test", serinus.release.name, "--logs")
    assert "Phase:          Succeeded" in said

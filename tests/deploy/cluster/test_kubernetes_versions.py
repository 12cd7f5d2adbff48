"""What docs/reference/kubernetes-versions.md says of a version holds on the one at hand, whatever it serves.

`make test-versions` runs this file on API servers that emulate earlier versions, without the feature gate of the actor
stamp, and with v1beta1 of the admission policies.
"""

import json
import os
import re
import uuid
from pathlib import Path

import pytest

from serinus.api.names import GROUP, Command
from serinus.kube.client import KubernetesClient
from serinus.kube.stamp_probe import StampProbe
from support.helm import HelmError, find_helm
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed, rollout
from support.manifests.registry import model
from support.people import person, until_allowed, until_refused
from support.release import CHART, SOURCE, Right, asker, installed, until_the_api_server_stamps

GATED = {"spec.stages[2].approval": "Required"}
WORDS = "spec.approvals.fourEyes cannot be enforced, because the API server does not stamp who acts"


@pytest.fixture(scope="module")
def stamp_versions(admin: Kubectl) -> list[str]:
    """The versions of MutatingAdmissionPolicy that the API server serves, the best first."""
    found = []
    for version in ("v1", "v1beta1"):
        answer = admin.run(("get", "--raw", f"/apis/admissionregistration.k8s.io/{version}"))
        resources = json.loads(answer.stdout)["resources"] if not answer.returncode else []
        found += [version for resource in resources if resource["name"] == "mutatingadmissionpolicies"]
    expected = os.environ.get("SERINUS_STAMP_VERSIONS")
    assert expected in {None, ",".join(found)}, "the API server does not serve what this run is meant to test"
    return found


@pytest.fixture(scope="module")
def applied(stamp_versions: list[str]) -> bool:
    """Whether the API server applies the stamp that it serves: with its feature gate off it does not."""
    return bool(stamp_versions) and os.environ.get("SERINUS_STAMP_APPLIED") != "no"


def four_eyes(name: str) -> Manifest:
    return {**model(name), "spec": {"approvals": {"fourEyes": True}}}


def test_the_rules_of_the_crds_are_enforced(user: Kubectl) -> None:
    user("create", "--dry-run=server", "-f", "-", given=rollout({"metadata.name": "fraud"}))
    falling = rollout({"metadata.name": "fraud", "spec.stages[2].traffic": "1%"})
    refused = user.refusal("create", "--dry-run=server", "-f", "-", given=falling)
    assert "traffic" in refused


def test_the_policies_of_the_chart_are_enforced(admin: Kubectl, user: Kubectl) -> None:
    give_up_four_eyes(admin)
    promote = {"metadata": {"name": "probe", "annotations": {Command.PROMOTE.annotation: "CHG-1"}}}
    with installed(admin) as release:
        editor = person(user, "vera", "edit")
        until_allowed(user, "vera", [Right(verb, "rollouts", GROUP) for verb in ("create", "patch", "delete")])
        probe = changed(rollout(GATED), promote)
        until_refused(editor, "create", "--dry-run=server", "-f", "-", given=probe, words="needs the verb approve")
        name = f"fraud-{uuid.uuid4().hex[:8]}"
        editor("create", "-f", "-", given=rollout({"metadata.name": name, **GATED}))
        assert "approve" in editor.refusal("delete", "mro", name)
        assert release.name in admin("get", "validatingadmissionpolicies", "-o", "name")


def test_people_are_stamped_or_four_eyes_are_refused(
    admin: Kubectl, user: Kubectl, stamp_versions: list[str], *, applied: bool
) -> None:
    give_up_four_eyes(admin)
    with installed(admin) as release:
        config = admin.within(release.name).json("get", "configmap", release.name)["data"]["config.yaml"]
        assert f"actorStamped: {str(bool(stamp_versions)).lower()}" in config
        if stamp_versions:
            until_the_api_server_stamps(user, wanted=applied)
            user("create", "--dry-run=server", "-f", "-", given=four_eyes("fraud"))
        else:
            editor = person(user, "vera", "edit")
            until_allowed(user, "vera", [Right("create", "models", GROUP)])
            until_refused(editor, "create", "--dry-run=server", "-f", "-", given=four_eyes("fraud"), words=WORDS)
            assert asker(user.json("create", "--dry-run=server", "-f", "-", given=rollout())) is None


def test_the_chart_refuses_to_be_installed_over_four_eyes_that_it_could_not_stamp(
    admin: Kubectl, user: Kubectl, stamp_versions: list[str]
) -> None:
    give_up_four_eyes(admin)
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    user("create", "-f", "-", given=four_eyes(name))
    options = () if not stamp_versions else ("--set=actorStamp.enabled=false",)
    try:
        said = f"Model {user.namespace}/{name} asks for spec.approvals.fourEyes"
        with pytest.raises(HelmError, match=re.escape(said)), installed(admin, *options):
            pass
    finally:
        user("delete", "mdl", name)


def test_the_stamp_works_in_every_version_that_is_served(
    admin: Kubectl, user: Kubectl, stamp_versions: list[str], *, applied: bool
) -> None:
    """The chart takes the best; here each is applied alone, as where no other is served."""
    for version in stamp_versions:
        served = f"--api-versions=admissionregistration.k8s.io/{version}/MutatingAdmissionPolicy"
        rendered = find_helm().template(CHART, SOURCE, served)
        stamps = [document for document in rendered if document["kind"].startswith("MutatingAdmissionPolicy")]
        assert {document["apiVersion"] for document in stamps} == {f"admissionregistration.k8s.io/{version}"}
        until_the_api_server_stamps(user, wanted=False)
        admin("create", "-f", "-", given=stamps)
        try:
            until_the_api_server_stamps(user, wanted=applied)
        finally:
            admin("delete", "-f", "-", given=stamps)


async def test_the_operator_finds_out_whether_anybody_is_stamped(
    admin: Kubectl, user: Kubectl, *, applied: bool, tmp_path: Path
) -> None:
    give_up_four_eyes(admin)
    with installed(admin) as release:
        until_the_api_server_stamps(user, wanted=applied)
        async with await KubernetesClient.open(release.kubeconfig(tmp_path / "config")) as client:
            probe = StampProbe(client, user.namespace, configured=True)
            await probe.look()
        assert probe.works == applied
        assert "stamp-probe" not in user("get", "mdl", "-o", "name")


def give_up_four_eyes(admin: Kubectl) -> None:
    """Let no Model that another test has left keep the chart from being installed without the stamp."""
    for left in admin.json("get", "mdl", "--all-namespaces")["items"]:
        if left["spec"].get("approvals", {}).get("fourEyes"):
            patch = json.dumps({"spec": {"approvals": {"fourEyes": False}}})
            admin.within(left["metadata"]["namespace"])(
                "patch", "mdl", left["metadata"]["name"], "--type=merge", "--patch", patch
            )

"""A stage with a required approval is approved only by those who have the verb, and the check cannot be bypassed."""

import json
import uuid
from collections.abc import Iterator

import pytest

from serinus.api.names import APPROVED_BY_ANNOTATION, GROUP, Command
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed, rollout
from support.people import person, until_allowed, until_refused
from support.release import Release, Right, installed

_PROMOTE = Command.PROMOTE.annotation
_GATED = {"spec.stages[2].approval": "Required"}


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies in effect and a contact for denied requests."""
    with installed(admin, "--set=approvals.contact=model-risk@bank.example") as release:
        nobody = person(user, "nobody", "edit")
        until_allowed(user, "nobody", [Right(verb, "rollouts", GROUP) for verb in ("create", "patch")])
        probe = changed(rollout(_GATED), {"metadata": {"name": "probe", "annotations": {_PROMOTE: "CHG-1"}}})
        until_refused(nobody, "create", "--dry-run=server", "-f", "-", given=probe, words="needs the verb approve")
        yield release


@pytest.fixture(scope="module")
def editor(user: Kubectl, release: Release) -> Kubectl:
    """bob, who may write Rollouts but not approve them."""
    bob = person(user, "bob", "edit")
    verbs = ("create", "update", "patch", "delete")
    until_allowed(user, "bob", [Right(verb, "rollouts", GROUP) for verb in verbs])
    return bob


@pytest.fixture(scope="module")
def approver(user: Kubectl, release: Release) -> Kubectl:
    """alice, who has the approver role only."""
    alice = person(user, "alice", f"{release.name}-approver")
    until_allowed(user, "alice", [Right("approve", "rollouts", GROUP)])
    return alice


@pytest.fixture
def gated(editor: Kubectl) -> str:
    """The name of bob's Rollout, whose last stage needs an approval."""
    return _made(editor, _GATED)


def _made(by: Kubectl, changes: Manifest) -> str:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    by("create", "-f", "-", given=rollout({"metadata.name": name, **changes}))
    return name


def _patch(name: str, patch: str) -> tuple[str, ...]:
    return "patch", "mro", name, "--type=merge", "--patch", patch


def test_an_editor_is_denied_naming_the_missing_verb_and_the_contact(
    user: Kubectl, editor: Kubectl, release: Release, gated: str
) -> None:
    denial = editor.refusal("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")
    assert f"approves a stage of {gated}: bob needs the verb approve on rollouts.serinus.dev" in denial
    assert f"in namespace {user.namespace} (the ClusterRole {release.name}-approver has it)" in denial
    assert "ask model-risk@bank.example" in denial
    assert _PROMOTE not in user.json("get", "mro", gated)["metadata"].get("annotations", {})


def test_an_approver_may_promote_and_is_stamped(user: Kubectl, approver: Kubectl, gated: str) -> None:
    approver("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")
    annotations = user.json("get", "mro", gated)["metadata"]["annotations"]
    assert (annotations[_PROMOTE], annotations[APPROVED_BY_ANNOTATION]) == ("CHG-1", "alice")


def test_an_approval_cannot_be_replaced_or_withdrawn_and_reissued_by_an_editor(
    editor: Kubectl, approver: Kubectl, gated: str
) -> None:
    approver("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")
    assert "needs the verb approve" in editor.refusal("annotate", "mro", gated, f"{_PROMOTE}=CHG-2", "--overwrite")
    editor("annotate", "mro", gated, f"{_PROMOTE}-")
    assert "needs the verb approve" in editor.refusal("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")


def test_a_rollout_cannot_be_created_approved(editor: Kubectl, release: Release) -> None:
    approved = changed(rollout(_GATED), {"metadata": {"name": "pre-approved", "annotations": {_PROMOTE: "CHG-1"}}})
    assert "approves a stage of pre-approved" in editor.refusal("create", "-f", "-", given=approved)


def test_an_approver_of_one_namespace_cannot_approve_in_another(
    admin: Kubectl, approver: Kubectl, release: Release
) -> None:
    elsewhere = admin.within(release.name)
    name = _made(elsewhere, _GATED)
    person(elsewhere, "alice", "edit")
    until_allowed(elsewhere, "alice", [Right("patch", "rollouts", GROUP)])
    denial = approver.within(release.name).refusal("annotate", "mro", name, f"{_PROMOTE}=CHG-1")
    assert f"alice needs the verb approve on rollouts.serinus.dev in namespace {release.name}" in denial


def test_a_right_on_one_rollout_does_not_apply_to_another(user: Kubectl, editor: Kubectl, gated: str) -> None:
    other = _made(editor, _GATED)
    user(
        "create",
        "role",
        f"approve-{gated}",
        "--verb=approve",
        f"--resource=rollouts.{GROUP}",
        f"--resource-name={gated}",
    )
    user("create", "rolebinding", f"approve-{gated}", f"--role=approve-{gated}", "--user=bob")
    until_allowed(user, "bob", [Right("approve", "rollouts", GROUP, name=gated)])
    editor("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")
    assert "needs the verb approve" in editor.refusal("annotate", "mro", other, f"{_PROMOTE}=CHG-1")


def test_without_required_approvals_every_editor_may_promote(user: Kubectl, editor: Kubectl, release: Release) -> None:
    name = _made(editor, {})
    editor("annotate", "mro", name, f"{_PROMOTE}=past-the-wait")
    assert user.json("get", "mro", name)["metadata"]["annotations"][APPROVED_BY_ANNOTATION] == "bob"


@pytest.mark.parametrize("command", [command for command in Command if command is not Command.PROMOTE])
def test_no_other_command_needs_the_verb(editor: Kubectl, gated: str, command: Command) -> None:
    editor("annotate", "mro", gated, f"{command.annotation}=INC-1")


def test_an_approved_rollout_may_still_be_edited(editor: Kubectl, approver: Kubectl, gated: str) -> None:
    approver("annotate", "mro", gated, f"{_PROMOTE}=CHG-1")
    editor("label", "mro", gated, "team=payments")
    editor(*_patch(gated, '{"spec": {"version": "2.3.2"}}'))


def test_an_editor_cannot_remove_the_approval_from_the_plan(
    user: Kubectl, editor: Kubectl, release: Release, gated: str
) -> None:
    without = rollout({"metadata.name": gated})
    denial = editor.refusal(*_patch(gated, _stages(without)))
    assert "to take the approval of production out of the plan, bob needs the verb approve" in denial
    together = _patch(gated, _stages(without, {"annotations": {_PROMOTE: "CHG-1"}}))
    assert "bob needs the verb approve" in editor.refusal(*together)
    # The approver's role alone is for annotations: see test_author_policy.
    dora = person(user, "dora", "edit", f"{release.name}-approver")
    until_allowed(user, "dora", [Right("approve", "rollouts", GROUP), Right("update", "rollouts", GROUP)])
    dora(*_patch(gated, _stages(without)))


def test_an_editor_cannot_delete_the_rollout_to_recreate_it_without_an_approval(
    user: Kubectl, editor: Kubectl, gated: str
) -> None:
    denial = editor.refusal("delete", "mro", gated)
    assert f"{gated} has a stage that needs an approval" in denial
    assert "bob needs the verb approve on rollouts.serinus.dev" in denial
    plain = _made(editor, {})
    editor("delete", "mro", plain)
    user("delete", "mro", gated)


def _stages(manifest: Manifest, metadata: Manifest | None = None) -> str:
    return json.dumps({"metadata": metadata or {}, "spec": {"stages": manifest["spec"]["stages"]}})


def test_the_admin_role_includes_the_verb_only_if_aggregation_is_enabled(
    admin: Kubectl, user: Kubectl, release: Release
) -> None:
    approve = Right("approve", "rollouts", GROUP)
    carol = person(user, "carol", "admin")
    until_allowed(user, "carol", [Right("deletecollection", "rollouts", GROUP)])
    name = _made(carol, _GATED)
    assert "carol needs the verb approve" in carol.refusal("annotate", "mro", name, f"{_PROMOTE}=CHG-1")
    with installed(admin, "--set=approvals.aggregateToAdmin=true"):
        until_allowed(user, "carol", [approve])
        carol("annotate", "mro", name, f"{_PROMOTE}=CHG-1")


def test_the_policies_can_be_disabled_but_for_that_of_overrides(
    admin: Kubectl, user: Kubectl, release: Release
) -> None:
    """An override does without four eyes, which the operator asks for whether approvals are guarded or not."""
    policies = ("get", "validatingadmissionpolicies", "-o", "name")
    before = set(admin(*policies).split())
    guards = ("approvals", "deletionGuard", "operatorGuard", "authorGuard")
    disabled = "--set=" + ",".join(f"{guard}.enabled=false" for guard in guards)
    with installed(admin, disabled) as other:
        (left,) = set(admin(*policies).split()) - before
        assert left.endswith(f"{other.name}-overrides")

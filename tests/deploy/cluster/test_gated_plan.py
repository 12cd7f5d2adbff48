"""A gate guards the whole plan: without the verb approve an editor changes its version and nothing else.

The API server's policy and the operator's hash of the plan, for which an approval is given, must agree on that.
"""

import json
import re
import uuid
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec
import pytest

from serinus.api.names import GROUP, OVERRIDE_ANNOTATION, ROLLBACK_TO_ANNOTATION, Command
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.engine.rollout.outbox import plan_hash
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed, rollout
from support.manifests.plan_edits import PLANS, edited_at_random, spec_with
from support.people import person, until_allowed, until_refused
from support.release import Release, Right, installed

_PROMOTE: Final = Command.PROMOTE.annotation
_ROLLBACK: Final = Command.ROLLBACK.annotation
_GATED: Final = {"spec.stages[2].approval": "Required"}
_EDITS: Final = 60
_REFUSED: Final = re.compile(r'rollouts\.serinus\.dev "([^"]+)" is forbidden')
_SERVING: Final = {
    "phase": "Healthy",
    "lastKnownGood": "2.2.4",
    "stable": {"version": "2.3.0", "weight": 100, "since": "2026-11-23T14:00:00Z"},
}


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies in effect."""
    with installed(admin) as release:
        nobody = person(user, "nobody", "edit")
        until_allowed(user, "nobody", [Right(verb, "rollouts", GROUP) for verb in ("create", "patch")])
        probe = changed(rollout(_GATED), {"metadata": {"name": "probe", "annotations": {_PROMOTE: "CHG-1"}}})
        until_refused(nobody, "create", "--dry-run=server", "-f", "-", given=probe, words="needs the verb approve")
        yield release


@pytest.fixture(scope="module")
def editor(user: Kubectl, release: Release) -> Kubectl:
    """bob, who may write Rollouts but neither approve nor override."""
    bob = person(user, "bob", "edit")
    until_allowed(user, "bob", [Right(verb, "rollouts", GROUP) for verb in ("create", "update", "patch")])
    return bob


@pytest.fixture(scope="module")
def pipeline(user: Kubectl, release: Release) -> Kubectl:
    """A GitOps account that applies what is in Git: it may write Rollouts."""
    account = f"system:serviceaccount:{user.namespace}:argocd"
    argocd = person(user, account, "edit")
    until_allowed(user, account, [Right(verb, "rollouts", GROUP) for verb in ("create", "patch")])
    return argocd


@pytest.fixture(scope="module")
def approver(user: Kubectl, release: Release) -> Kubectl:
    """alice, who has the approver role only."""
    alice = person(user, "alice", f"{release.name}-approver")
    until_allowed(user, "alice", [Right(verb, "rollouts", GROUP) for verb in ("approve", "patch")])
    return alice


@pytest.fixture(scope="module")
def lead(user: Kubectl, release: Release) -> Kubectl:
    """dana, who writes Rollouts and approves."""
    dana = person(user, "dana", "edit", f"{release.name}-approver")
    until_allowed(user, "dana", [Right(verb, "rollouts", GROUP) for verb in ("approve", "update", "patch")])
    return dana


@pytest.fixture(scope="module")
def on_call(user: Kubectl, release: Release) -> Kubectl:
    """carol, who has the override role only."""
    carol = person(user, "carol", f"{release.name}-override")
    until_allowed(user, "carol", [Right(verb, "rollouts", GROUP) for verb in ("override", "patch")])
    return carol


@pytest.fixture
def gated(user: Kubectl, editor: Kubectl) -> str:
    """The name of a Rollout whose last stage needs an approval; 2.3.0 serves, 2.2.4 served before it."""
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    editor("create", "-f", "-", given=rollout({"metadata.name": name, **_GATED}))
    user("patch", "mro", name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": _SERVING}))
    return name


def _patch(name: str, *, annotations: Manifest | None = None, **spec: object) -> tuple[str, ...]:
    body = {"metadata": {"annotations": annotations or {}}, "spec": spec}
    return "patch", "mro", name, "--type=merge", "--patch", json.dumps(body)


def _hash(spec: Manifest) -> str:
    """The hash of all of a plan but the version, as an approval binds it."""
    plan = decode(RolloutSpec, spec, "spec")
    return plan_hash(msgspec.structs.replace(plan, version="0.0.0"))


@pytest.mark.parametrize("kind", list(PLANS))
def test_the_policy_refuses_an_editor_exactly_what_would_change_the_hash_of_the_plan(
    user: Kubectl, editor: Kubectl, kind: str
) -> None:
    before, random = spec_with(PLANS[kind]), Random(f"1 {kind}")  # noqa: S311 - the same edits each time
    names = [f"edit-{index}-{uuid.uuid4().hex[:6]}" for index in range(_EDITS)]
    edits = dict(zip(names, (edited_at_random(before, random) for _ in names), strict=True))
    user("create", "-f", "-", given=[changed(rollout(), {"metadata.name": name, "spec": before}) for name in names])
    after = [changed(rollout(), {"metadata.name": name, "spec": spec}) for name, (_, spec) in edits.items()]
    said = editor.run(("replace", "--dry-run=server", "-f", "-"), after)
    refused = set(_REFUSED.findall(said.stderr))
    touched = {name for name, (_, spec) in edits.items() if _hash(spec) != _hash(before)}
    assert len(touched) > _EDITS // 2
    assert len(said.stdout.splitlines()) + len(refused) == _EDITS, said.stderr
    expected = touched if kind != "no gate" else set()
    assert {edits[name][0] for name in refused ^ expected} == set()


@pytest.mark.parametrize("who", ["editor", "pipeline"])
def test_the_version_alone_is_free(request: pytest.FixtureRequest, gated: str, who: str) -> None:
    writer: Kubectl = request.getfixturevalue(who)
    writer(*_patch(gated, version="2.3.2"))
    said = writer.refusal(*_patch(gated, version="2.3.3", guards="Off"))
    assert "the plan asks for approval: to change guards of it" in said


def test_who_writes_rollouts_and_approves_may_change_the_plan_and_nobody_else(
    lead: Kubectl, approver: Kubectl, on_call: Kubectl, gated: str
) -> None:
    said = on_call.refusal(*_patch(gated, annotations={OVERRIDE_ANNOTATION: "INC-1", _PROMOTE: "INC-1"}, guards="Off"))
    assert "carol" in said
    assert "alice may change nothing" in approver.refusal(*_patch(gated, guards="Off"))
    lead(*_patch(gated, guards="Off"))


def test_the_plan_is_free_where_the_administrator_does_not_guard_it(
    admin: Kubectl, user: Kubectl, release: Release
) -> None:
    policies = admin.json("get", "validatingadmissionpolicy", f"{release.name}-approvals")
    assert "changedPlan" in json.dumps(policies)
    with installed(admin, "--set=approvals.guardPlan=false") as other:
        unguarded = admin.json("get", "validatingadmissionpolicy", f"{other.name}-approvals")
        assert "changedPlan" not in json.dumps(unguarded)


@pytest.mark.parametrize("target", ["2.2.4", "v2.2.4", "2.3.0"])
def test_an_editor_may_roll_back_to_what_served_well(editor: Kubectl, gated: str, target: str) -> None:
    editor(*_patch(gated, annotations={_ROLLBACK: "INC-1", ROLLBACK_TO_ANNOTATION: target}))


def test_a_rollback_to_another_version_needs_the_verb(editor: Kubectl, approver: Kubectl, gated: str) -> None:
    asked = {_ROLLBACK: "INC-1", ROLLBACK_TO_ANNOTATION: "9.9.9"}
    said = editor.refusal(*_patch(gated, annotations=asked))
    assert f"{ROLLBACK_TO_ANNOTATION}=9.9.9 is not the last known good version of {gated}" in said
    assert "bob needs the verb approve" in said
    assert "bob needs the verb approve" in editor.refusal(*_patch(gated, annotations={ROLLBACK_TO_ANNOTATION: "9.9.9"}))
    approver(*_patch(gated, annotations=asked))
    # What the approver asked for is done once: to ask again is to ask for it.
    assert "bob needs the verb approve" in editor.refusal(*_patch(gated, annotations={_ROLLBACK: "INC-2"}))
    editor(*_patch(gated, annotations={_ROLLBACK: "INC-2", ROLLBACK_TO_ANNOTATION: None}))


def test_a_lasting_target_is_part_of_the_plan(editor: Kubectl, lead: Kubectl, gated: str) -> None:
    assert "to change rollbackTo of it, bob needs" in editor.refusal(*_patch(gated, rollbackTo="2.2.4"))
    lead(*_patch(gated, rollbackTo="2.2.4"))


def test_without_a_gate_an_editor_rolls_back_anywhere(editor: Kubectl, release: Release) -> None:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    editor("create", "-f", "-", given=rollout({"metadata.name": name}))
    editor(*_patch(name, annotations={_ROLLBACK: "INC-1", ROLLBACK_TO_ANNOTATION: "9.9.9"}))


@pytest.mark.parametrize("command", [_PROMOTE, _ROLLBACK])
def test_an_override_stands_in_for_the_approval(user: Kubectl, on_call: Kubectl, gated: str, command: str) -> None:
    asked = {command: "INC-1", OVERRIDE_ANNOTATION: "payments are down, no approver answers"}
    on_call(*_patch(gated, annotations={**asked, ROLLBACK_TO_ANNOTATION: "2.1.0"}))
    assert user.json("get", "mro", gated)["metadata"]["annotations"][OVERRIDE_ANNOTATION] == asked[OVERRIDE_ANNOTATION]


@pytest.mark.parametrize("who", ["editor", "pipeline", "approver"])
def test_an_override_needs_a_verb_of_its_own(request: pytest.FixtureRequest, gated: str, who: str) -> None:
    writer: Kubectl = request.getfixturevalue(who)
    said = writer.refusal(*_patch(gated, annotations={_PROMOTE: "INC-1", OVERRIDE_ANNOTATION: "I am in a hurry"}))
    assert "needs the verb" in said
    if who == "approver":
        assert "alice needs the verb override on rollouts.serinus.dev" in said


def test_an_override_comes_with_its_command_and_counts_for_no_other(on_call: Kubectl, gated: str) -> None:
    assert "in the same request" in on_call.refusal(*_patch(gated, annotations={OVERRIDE_ANNOTATION: "for later"}))
    on_call(*_patch(gated, annotations={_PROMOTE: "INC-1", OVERRIDE_ANNOTATION: "INC-1, payments are down"}))
    said = on_call.refusal(*_patch(gated, annotations={_PROMOTE: "INC-2"}))
    assert "carol needs the verb approve" in said

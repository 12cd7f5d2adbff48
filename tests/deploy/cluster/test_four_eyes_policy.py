"""Without the actor stamp four eyes are refused: at the Model, and at an installation over Models that ask for them."""

import json
import uuid

import pytest

from serinus.api.names import GROUP
from support.helm import HelmError
from support.kubectl import Kubectl
from support.localcluster import eventually
from support.manifests.builders import Manifest
from support.manifests.registry import model
from support.people import person, until_allowed, until_refused
from support.release import Right, installed

_UNSTAMPED = "--set=actorStamp.enabled=false"


def _model(*, four_eyes: bool = True) -> Manifest:
    manifest = model(f"fraud-{uuid.uuid4().hex[:8]}")
    return {**manifest, "spec": {**manifest.get("spec", {}), "approvals": {"fourEyes": four_eyes}}}


def _patch(name: str, **spec: object) -> tuple[str, ...]:
    return "patch", "mdl", name, "--type=merge", "--patch", json.dumps({"spec": spec})


def test_a_model_cannot_ask_for_four_eyes_where_nobody_is_stamped(admin: Kubectl, user: Kubectl) -> None:
    _give_up_four_eyes(admin)
    older = _model()
    name = older["metadata"]["name"]
    with installed(admin, _UNSTAMPED) as release:
        bob = person(user, "bob", "edit")
        until_allowed(user, "bob", [Right(verb, "models", GROUP) for verb in ("create", "patch")])
        words = "spec.approvals.fourEyes cannot be enforced, because the API server does not stamp who acts"
        until_refused(bob, "create", "--dry-run=server", "-f", "-", given=_model(), words=words)
        bob("create", "-f", "-", given=_model(four_eyes=False))
        _create_unguarded(admin, user, release.name, older)
        until_refused(bob, "create", "--dry-run=server", "-f", "-", given=_model(), words=words)
        # One from before may be edited, and gives them up for good.
        bob(*_patch(name, owner="payments-ml"))
        bob(*_patch(name, approvals={"fourEyes": False}))
        assert words in bob.refusal(*_patch(name, approvals={"fourEyes": True}))


def _give_up_four_eyes(admin: Kubectl) -> None:
    """Let no Model that another test has left keep the chart from being installed without the stamp."""
    for left in admin.json("get", "mdl", "--all-namespaces")["items"]:
        if left["spec"].get("approvals", {}).get("fourEyes"):
            admin.within(left["metadata"]["namespace"])(
                *_patch(left["metadata"]["name"], approvals={"fourEyes": False})
            )


def _create_unguarded(admin: Kubectl, user: Kubectl, release: str, manifest: Manifest) -> None:
    """Create the Model while the policy is not bound."""
    kind, name = "validatingadmissionpolicybinding", f"{release}-four-eyes"
    binding = admin.json("get", kind, name)
    binding["metadata"] = {"name": name, "labels": binding["metadata"]["labels"]}
    admin("delete", kind, name)
    _until_created(user, manifest)
    admin("create", "-f", "-", given=binding)


def _until_created(user: Kubectl, manifest: Manifest) -> None:
    """Create the Model once a policy that is gone is not applied any more, which takes the API server a moment."""
    eventually(
        lambda: not user.run(("create", "-f", "-"), manifest).returncode, why=f"{manifest['kind']} to be created"
    )


def test_the_chart_is_not_installed_without_the_stamp_over_models_that_ask_for_four_eyes(
    admin: Kubectl, user: Kubectl
) -> None:
    _give_up_four_eyes(admin)
    older = _model()
    _until_created(user, older)
    words = f"Model {user.namespace}/{older['metadata']['name']} asks for spec.approvals.fourEyes"
    try:
        with pytest.raises(HelmError, match=words), installed(admin, _UNSTAMPED):
            pass
    finally:
        user("delete", "mdl", older["metadata"]["name"])

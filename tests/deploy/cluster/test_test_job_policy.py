"""Nobody but the operator makes a Job that counts as a test's."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from support.kubectl import Kubectl
from support.manifests.builders import Manifest
from support.people import person, until_accepted, until_allowed, until_refused
from support.release import Release, Right, installed

_LABELS: Final = {"serinus.dev/rollout": "fraud-detector", "serinus.dev/run": "1"}
_OTHER: Final = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "22222222-2222-2222-2222-222222222222"}
_RIGHTS: Final = [Right(verb, "jobs", "batch") for verb in ("create", "update", "patch", "delete")]


def _job(name: str, **metadata: Any) -> Manifest:
    container = {"name": "c", "image": "registry.example/x:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **metadata},
        "spec": {"suspend": True, "template": template},
    }


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies in effect."""
    forged = _job("probe", labels=_LABELS)
    with installed(admin) as release:
        bob = person(user, "bob", "edit")
        until_allowed(user, "bob", _RIGHTS)
        until_refused(bob, "create", "--dry-run=server", "-f", "-", given=forged, words="marks the Jobs of tests")
        yield release
    # The API server forgets a policy a moment after it is gone, and tests that follow make such Jobs.
    until_accepted(user, "create", "--dry-run=server", "-f", "-", given=forged)


@pytest.fixture
def bob(user: Kubectl, release: Release) -> Kubectl:
    """Somebody who may create Jobs."""
    return user.impersonating("bob")


@pytest.fixture
def ours(user: Kubectl, release: Release) -> Iterator[str]:
    """The name of a Job as the operator makes it."""
    # The garbage collector deletes what has an owner that does not exist.
    user("create", "configmap", "owner")
    uid = user.json("get", "configmap", "owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    annotations = {"serinus.dev/stage": "staging", "serinus.dev/test": "contract"}
    manifest = _job("ours", labels=_LABELS, annotations=annotations, ownerReferences=[owner])
    user.impersonating(release.account)("create", "-f", "-", given=manifest)
    yield "ours"
    user("delete", "job/ours", "configmap/owner")


def _patched(name: str, metadata: Manifest, **spec: Any) -> tuple[str, ...]:
    return "patch", "job", name, "--type=merge", "--patch", json.dumps({"metadata": metadata, "spec": spec})


def test_a_job_with_the_label_is_refused_and_one_without_is_not(user: Kubectl, bob: Kubectl, release: Release) -> None:
    denial = bob.refusal("create", "-f", "-", given=_job("i-made-this-myself", labels=_LABELS))
    assert f"which only {release.account} creates: bob must leave it out" in denial
    bob("create", "-f", "-", given=_job("plain"))
    assert "marks the Jobs of tests" in bob.refusal(*_patched("plain", {"labels": _LABELS}))
    bob("delete", "job", "plain")
    assert "marks the Jobs of tests" in user.refusal("create", "-f", "-", given=_job("by-an-admin", labels=_LABELS))


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"serinus.dev/run": "2"}},
        {"annotations": {"serinus.dev/test": "load"}},
        {"annotations": {"serinus.dev/stage": None}},
        {"ownerReferences": [_OTHER]},
    ],
)
def test_what_ties_a_job_to_its_test_cannot_be_changed(bob: Kubectl, ours: str, metadata: Manifest) -> None:
    assert "marks the Jobs of tests" in bob.refusal(*_patched(ours, metadata))


def test_the_rest_of_a_tests_job_may_be_changed(bob: Kubectl, ours: str) -> None:
    bob(*_patched(ours, {"annotations": {"note": "why"}}, activeDeadlineSeconds=60))
    # As the garbage collector does where the owner is deleted and its dependents stay.
    bob(*_patched(ours, {"ownerReferences": None}))

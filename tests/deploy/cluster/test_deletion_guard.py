"""Serving versions, records and models with records are protected from deletion; namespaces can be deleted."""

import json
import uuid
from collections.abc import Iterator
from typing import Final

import pytest

from serinus.api.names import GROUP
from support.kubectl import Kubectl
from support.localcluster import eventually
from support.manifests.builders import Manifest, model_version, rollout
from support.manifests.registry import audit_record, model
from support.people import person, until_allowed, until_refused
from support.release import Release, Right, installed

_LIVE: Final = ("Production", "Canary", "Staging")
_RECORDED: Final = {"generation": 1, "audit": {"sequence": 3}}


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies in effect."""
    with installed(admin) as release:
        nobody = person(user, "nobody", "admin")
        until_allowed(user, "nobody", [Right("delete", "modelversions", GROUP)])
        probe = _made(user, model_version(), {"stage": "Canary"})
        until_refused(
            nobody, "delete", "mv", probe, "--dry-run=server", given=None, words="needs the verb force-delete"
        )
        yield release


@pytest.fixture(scope="module")
def bob(user: Kubectl, release: Release) -> Kubectl:
    """The admin of the namespace, with all rights to delete that RBAC can grant."""
    bob = person(user, "bob", "admin", _deleter_of_records(user))
    rights = [Right("deletecollection", kind, GROUP) for kind in ("rollouts", "models", "modelversions")]
    until_allowed(user, "bob", [*rights, Right("delete", "auditrecords", GROUP)])
    return bob


def _deleter_of_records(admin: Kubectl) -> str:
    # The chart's roles grant delete on records only together with prune; another role may grant it alone.
    name = f"careless-{uuid.uuid4().hex[:8]}"
    admin("create", "clusterrole", name, "--verb=delete,deletecollection", f"--resource=auditrecords.{GROUP}")
    return name


@pytest.fixture(scope="module")
def archivist(user: Kubectl, release: Release) -> Kubectl:
    """alice, who has the archivist role only."""
    alice = person(user, "alice", f"{release.name}-archivist")
    until_allowed(user, "alice", [Right("prune", "auditrecords", GROUP)])
    return alice


def _made(user: Kubectl, manifest: Manifest, status: Manifest | None = None) -> str:
    user("create", "-f", "-", given=manifest)
    name: str = manifest["metadata"]["name"]
    if status is not None:
        patch = json.dumps({"status": status})
        user("patch", manifest["kind"].lower(), name, "--subresource=status", "--type=merge", "--patch", patch)
    return name


def _version(user: Kubectl, stage: str) -> str:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    return _made(user, model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name}), {"stage": stage})


def _model(user: Kubectl, status: Manifest | None = None) -> str:
    return _made(user, model(f"fraud-{uuid.uuid4().hex[:8]}"), status)


def _exists(user: Kubectl, kind: str, name: str) -> bool:
    return bool(user("get", kind, name, "--ignore-not-found", "-o", "name"))


@pytest.mark.parametrize("stage", _LIVE)
def test_a_version_that_serves_or_is_on_trial_cannot_be_deleted(
    user: Kubectl, bob: Kubectl, release: Release, stage: str
) -> None:
    name = _version(user, stage)
    denial = bob.refusal("delete", "mv", name)
    assert (
        f"{name} stands in {stage}: to delete it, bob needs the verb force-delete on modelversions.serinus.dev"
        in denial
    )
    assert f"(the ClusterRole {release.name}-archivist has it): ask an administrator of the namespace" in denial
    assert _exists(user, "mv", name)


@pytest.mark.parametrize("stage", ["", "Registered", "Superseded", "RolledBack", "Quarantined"])
def test_a_version_without_traffic_can_be_deleted(user: Kubectl, bob: Kubectl, stage: str) -> None:
    bob("delete", "mv", _version(user, stage))


def test_a_version_without_status_can_be_deleted(user: Kubectl, bob: Kubectl) -> None:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    bob("delete", "mv", _made(user, model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name})))


def test_deleting_all_versions_at_once_keeps_the_serving_one(user: Kubectl, bob: Kubectl) -> None:
    serves, old = _version(user, "Production"), _version(user, "Superseded")
    label = "batch=" + uuid.uuid4().hex[:8]
    user("label", "mv", serves, old, label)
    assert "needs the verb force-delete" in bob.refusal("delete", "mv", "-l", label)
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{user.namespace}/modelversions"
    assert "needs the verb force-delete" in bob.refusal("delete", "--raw", path)
    assert _exists(user, "mv", serves)


def test_the_rbac_right_to_delete_is_not_enough_to_delete_a_record(user: Kubectl, bob: Kubectl) -> None:
    name = _made(user, audit_record(f"fraud-{uuid.uuid4().hex[:8]}"))
    denial = bob.refusal("delete", "mar", name)
    assert f"{name} is part of the audit trail: to delete it, bob needs the verb prune on auditrecords" in denial
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{user.namespace}/auditrecords"
    assert "is part of the audit trail" in bob.refusal("delete", "--raw", path)
    assert _exists(user, "mar", name)


def test_only_a_model_without_records_can_be_deleted(user: Kubectl, bob: Kubectl) -> None:
    recorded, unrecorded, fresh = _model(user, _RECORDED), _model(user, {"generation": 0}), _model(user)
    denial = bob.refusal("delete", "mdl", recorded)
    assert f"{recorded} has an audit trail" in denial
    assert "bob needs the verb prune on models.serinus.dev" in denial
    bob("delete", "mdl", unrecorded, fresh)


def test_the_archivist_may_delete_all_of_them(user: Kubectl, archivist: Kubectl) -> None:
    archivist("delete", "mv", _version(user, "Production"))
    archivist("delete", "mar", _made(user, audit_record(f"fraud-{uuid.uuid4().hex[:8]}")))
    archivist("delete", "mdl", _model(user, _RECORDED))


def test_not_even_the_operator_may_delete_a_record(user: Kubectl, release: Release) -> None:
    name = _made(user, audit_record(f"fraud-{uuid.uuid4().hex[:8]}"))
    operator = user.impersonating(release.account, "system:serviceaccounts", "system:authenticated")
    assert "cannot delete resource" in operator.refusal("delete", "mar", name)
    assert "cannot patch resource" in operator.refusal("label", "mar", name, "seen=true")


def test_the_garbage_collector_does_not_delete_protected_objects(user: Kubectl, bob: Kubectl) -> None:
    serves, recorded, old = _version(user, "Production"), _model(user, _RECORDED), _version(user, "Superseded")
    record = _made(user, audit_record(recorded))
    _orphan(user, "mar", record)
    _orphan(bob, "mv", serves)
    _orphan(bob, "mdl", recorded)
    _orphan(bob, "mv", old)
    # The collector works in order: when the last object is gone, it has tried the others.
    _until_gone(user, "mv", old)
    assert _exists(user, "mv", serves)
    assert _exists(user, "mdl", recorded)
    assert _exists(user, "mar", record)


def _orphan(person: Kubectl, kind: str, name: str) -> None:
    """Give an object an owner that does not exist: the garbage collector then deletes it."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "missing", "uid": str(uuid.uuid4())}
    patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
    person("patch", kind, name, "--type=merge", "--patch", patch)


def _until_gone(user: Kubectl, kind: str, name: str) -> None:
    eventually(lambda: not _exists(user, kind, name), why=f"{kind} {name} to be gone")


def test_a_namespace_with_protected_objects_can_be_deleted(admin: Kubectl, release: Release) -> None:
    name = f"terminating-{uuid.uuid4().hex[:8]}"
    admin("create", "namespace", name)
    inside = admin.within(name)
    _version(inside, "Production")
    _made(inside, audit_record(_model(inside, _RECORDED)))
    _made(inside, rollout({"spec.stages[2].approval": "Required"}))
    admin("delete", "namespace", name, "--wait=false")
    _until_gone(admin, "namespace", name)


@pytest.mark.parametrize("kind", ["mutatingadmissionpolicy", "validatingadmissionpolicy"])
def test_the_api_server_has_no_warnings_about_the_policies(admin: Kubectl, release: Release, kind: str) -> None:
    policies = admin.json("get", kind)["items"]
    own = [policy for policy in policies if policy["metadata"]["name"].startswith(release.name)]
    assert own
    warnings = [policy.get("status", {}).get("typeChecking", {}).get("expressionWarnings") for policy in own]
    assert [warning for warning in warnings if warning] == []

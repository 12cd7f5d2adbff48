"""The chart in a real cluster: what Helm installs, and which rights the operator has."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from support.helm import find_helm
from support.kubectl import Kubectl
from support.localcluster import eventually
from support.manifests.builders import model_version, rollout
from support.operator_rights import ALWAYS, CREATING_JOBS, REGISTRY_IN_THE_CLUSTER, ROUTERS
from support.release import CHART, SOURCE, Release, Right, allowed, installed

_ENFORCED_SECONDS: Final = 120.0
_SPECS: Final = ("rollouts", "modelversions", "models")
_KINDS: Final = (*_SPECS, "auditrecords")
_SERINUS: Final = "serinus.dev"
_GATEWAY: Final = "gateway.networking.k8s.io"


@pytest.fixture(scope="module")
def wide(admin: Kubectl) -> Iterator[Release]:
    """A release that manages the whole cluster."""
    with installed(admin) as release:
        yield release


@pytest.fixture(scope="module")
def narrow(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """A release that manages one namespace."""
    with installed(admin, f"--set=namespaces={{{user.namespace}}}") as release:
        yield release


_NEEDED: Final = sorted(ALWAYS | CREATING_JOBS | ROUTERS["httpRoute"], key=str)
_RECORDING: Final = sorted(REGISTRY_IN_THE_CLUSTER, key=str)

_REFUSED: Final = (
    *(Right("create", kind, _SERINUS) for kind in ("rollouts", "modelversions")),
    *(Right(verb, kind, _SERINUS) for verb in ("update", "delete", "deletecollection") for kind in _KINDS),
    *(Right("patch", kind, _SERINUS) for kind in _KINDS if kind != "rollouts"),
    *(Right(verb, kind, _SERINUS) for verb in ("approve", "prune", "force-delete") for kind in _KINDS),
    Right("watch", "auditrecords", _SERINUS),
    Right("patch", "auditrecords", _SERINUS, "status"),
    *(Right("update", kind, _SERINUS, "status") for kind in _KINDS),
    *(Right("update", kind, _SERINUS, "finalizers") for kind in _KINDS),
    *(Right(verb, "httproutes", _GATEWAY) for verb in ("create", "update", "delete")),
    Right("patch", "httproutes", _GATEWAY, "status"),
    *(Right(verb, "gateways", _GATEWAY) for verb in ("get", "patch")),
    *(Right(verb, "jobs", "batch") for verb in ("update", "patch", "delete", "deletecollection")),
    *(Right(verb, "secrets") for verb in ("get", "list", "watch", "create", "patch")),
    *(Right(verb, "pods") for verb in ("get", "watch", "create", "delete")),
    Right("get", "pods", subresource="log"),
    Right("create", "pods", subresource="exec"),
    Right("get", "configmaps"),
    Right("patch", "services"),
    Right("create", "serviceaccounts", subresource="token"),
    Right("patch", "deployments", "apps"),
    Right("create", "rolebindings", "rbac.authorization.k8s.io"),
    Right("impersonate", "users"),
)


def test_the_operator_has_the_rights_that_it_needs(wide: Release) -> None:
    needed = [*_NEEDED, *_RECORDING]
    assert wide.allowed(needed, "default") == needed


def test_with_dynamodb_the_operator_has_no_rights_on_records(admin: Kubectl) -> None:
    with installed(
        admin, "--set=config.registry.kind=DynamoDB", "--set=config.registry.dynamodb.cluster=prod-1"
    ) as release:
        assert release.allowed([*_NEEDED, *_RECORDING], "default") == _NEEDED


def test_the_operator_has_no_other_rights(wide: Release) -> None:
    assert wide.allowed(_REFUSED, "default") == []


def test_of_cluster_scoped_objects_the_operator_may_list_namespaces_only(wide: Release) -> None:
    reads = [Right(verb, "namespaces") for verb in ("list", "watch")]
    crds = Right("list", "customresourcedefinitions", "apiextensions.k8s.io")
    others = [Right("get", "namespaces"), Right("patch", "namespaces"), Right("list", "nodes"), crds]
    assert wide.allowed([*reads, *others], "") == reads


def test_the_operator_may_write_its_own_lease_and_no_other(wide: Release) -> None:
    def lease(verb: str, name: str = "") -> Right:
        return Right(verb, "leases", "coordination.k8s.io", name=name)

    own = [lease("create"), lease("get", wide.name), lease("update", wide.name)]
    others = [lease("get", "somebody-else"), lease("update", "somebody-else"), lease("delete", wide.name)]
    assert wide.allowed([*own, *others], wide.name) == own
    assert wide.allowed([*own, *others], "kube-system") == []


def test_with_named_namespaces_the_operator_has_no_rights_elsewhere(narrow: Release, user: Kubectl) -> None:
    needed = [*_NEEDED, *_RECORDING]
    assert narrow.allowed(needed, user.namespace) == needed
    assert narrow.allowed(needed, "default") == []


def test_with_named_namespaces_the_operator_may_read_each_by_its_name_and_no_other(
    narrow: Release, user: Kubectl
) -> None:
    reads = [Right(verb, "namespaces") for verb in ("get", "list", "watch")]
    assert narrow.allowed(reads, "") == []
    own = Right("get", "namespaces", name=user.namespace)
    other = Right("get", "namespaces", name="default")
    assert narrow.allowed([own, other, *reads], user.namespace) == [own]


def _until_refused(release: Release, path: str, operation: Mapping[str, object]) -> tuple[int, str]:
    """Try without effect until the API server enforces a new policy, which takes it a few seconds."""
    deadline = time.monotonic() + _ENFORCED_SECONDS
    while True:
        status, message = release.patch(f"{path}?dryRun=All", operation)
        if status != 200 or time.monotonic() > deadline:
            return status, message
        time.sleep(0.2)


def test_the_operators_token_can_write_a_status_but_not_a_spec(wide: Release, user: Kubectl) -> None:
    user("apply", "-f", "-", given=[rollout(), model_version()])
    kinds = f"/apis/serinus.dev/v1alpha1/namespaces/{user.namespace}"
    path = f"{kinds}/rollouts/fraud-detector"
    written, _ = wide.patch(f"{path}/status", {"op": "add", "path": "/status", "value": {"phase": "Progressing"}})
    assert written == 200
    spec = {"op": "replace", "path": "/spec/version", "value": "9.9.9"}
    # RBAC lets it patch a Rollout, because its finalizer is in metadata: the admission policy says what else it may.
    command = {"op": "add", "path": "/metadata/annotations", "value": {"serinus.dev/promote": "by itself"}}
    status, message = _until_refused(wide, path, command)
    assert (status, "may change nothing of a Rollout but its finalizers" in message) == (403, True), message
    # Two policies refuse this one: the operator has no verb update either.
    status, message = _until_refused(wide, path, spec)
    assert (status, "may change nothing" in message) == (403, True), message
    finalizer = {"op": "add", "path": "/metadata/finalizers", "value": ["serinus.dev/outbox"]}
    assert wide.patch(path, finalizer)[0] == 200
    assert wide.patch(path, {"op": "remove", "path": "/metadata/finalizers"})[0] == 200
    refused, message = wide.patch(f"{kinds}/modelversions/fraud-detector-v2.3.1", spec)
    assert refused == 403
    assert f'User "{wide.account}" cannot patch resource "modelversions" in API group "serinus.dev"' in message
    wide.patch(f"{path}/status", spec)
    stored = user.json("get", "mro", "fraud-detector")
    assert (stored["spec"]["version"], stored["status"]["phase"]) == ("2.3.1", "Progressing")


def test_the_pod_passes_the_restricted_standard(wide: Release, admin: Kubectl) -> None:
    admin("label", "namespace", wide.name, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    here = admin.within(wide.name)
    deployment = here.json("get", "deployment", wide.name)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "as-the-deployment-makes-it"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    created = here.json("create", "--dry-run=server", "-f", "-", given=pod)
    assert created["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert 'violates PodSecurity "restricted' in here.refusal("create", "--dry-run=server", "-f", "-", given=pod)


_EVERY_VERB: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@pytest.mark.parametrize(
    ("role", "verbs"), [("view", _EVERY_VERB[:3]), ("edit", _EVERY_VERB[:7]), ("admin", _EVERY_VERB)]
)
def test_the_clusters_own_roles_include_the_kinds_but_not_their_status(
    wide: Release, user: Kubectl, role: str, verbs: tuple[str, ...]
) -> None:
    user("create", "rolebinding", f"{role}-er", f"--clusterrole={role}", f"--user={role}-er")
    rights = [Right(verb, kind, _SERINUS) for kind in _SPECS for verb in _EVERY_VERB]
    records = [Right(verb, "auditrecords", _SERINUS) for verb in _EVERY_VERB]
    beyond = [Right(verb, kind, _SERINUS) for kind in _KINDS for verb in ("approve", "prune", "force-delete")]
    statuses = [Right(verb, kind, _SERINUS, "status") for kind in _KINDS for verb in ("update", "patch")]
    expected = [right for right in rights if right.verb in verbs] + records[:3]
    checked = [*rights, *records, *beyond, *statuses]
    # The cluster's controller aggregates the rules shortly after the release is installed.
    eventually(
        lambda: allowed(user, f"{role}-er", (), checked, user.namespace) == expected, why=f"{role} to have its rights"
    )


def test_an_approver_may_read_all_kinds_and_write_rollouts_only(wide: Release, user: Kubectl) -> None:
    user("create", "rolebinding", "approves", f"--clusterrole={wide.name}-approver", "--user=approves")
    may = [Right(verb, kind, _SERINUS) for kind in _KINDS for verb in _EVERY_VERB[:3]]
    may += [Right("patch", "rollouts", _SERINUS), Right("approve", "rollouts", _SERINUS)]
    may_not = [Right(verb, kind, _SERINUS) for kind in _KINDS for verb in ("create", "update", "delete", "prune")]
    may_not += [Right("patch", kind, _SERINUS, "status") for kind in _KINDS]
    assert allowed(user, "approves", (), [*may, *may_not], user.namespace) == may


def test_the_crds_and_the_users_objects_outlive_the_release(admin: Kubectl, user: Kubectl) -> None:
    lasting = rollout({"metadata.name": "lasting"})
    # The CRDs are installed already, for all tests: this release takes ownership of them.
    with installed(admin, "--set=crds.install=true", "--take-ownership", "--force-conflicts") as release:
        user("apply", "-f", "-", given=lasting)
        owner = admin.json("get", "crd", "rollouts.serinus.dev")["metadata"]["annotations"]
        assert owner["meta.helm.sh/release-name"] == release.name
    assert user.json("get", "mro", "lasting")["spec"] == lasting["spec"]


def test_the_notes_explain_the_next_steps(admin: Kubectl, user: Kubectl) -> None:
    where = (f"--namespace={user.namespace}", SOURCE, "--set=crds.install=false", "--dry-run=server")
    notes = find_helm().run("install", "notes", str(CHART), *where, kubeconfig=admin.kubeconfig).partition("NOTES:")[2]
    assert "manages all namespaces" in notes
    assert "actor stamp is not installed" not in notes
    assert "This must print your own name" in notes
    assert "kubectl create rolebinding approvers -n NAMESPACE --clusterrole=notes-serinus-approver" in notes
    assert "No checkpoints are stored" in notes
    assert "kubectl annotate mro NAME serinus.dev/abort=" in notes

"""Each right of the roles of people is needed for an act that is named, and the roles give nothing else."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import pytest

from demo.observe import wait_for
from localcluster.api import Api, ApiError
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed, model_version, rollout
from support.manifests.registry import audit_record, model
from support.people import person
from support.release import Release, Right, installed
from support.rights import EVERYBODY, OWN_VERBS, allowed_rights, every_right, rules_without

_SERINUS: Final = "serinus.dev"
_SPECS: Final = ("rollouts", "modelversions", "models")
_KINDS: Final = (*_SPECS, "auditrecords")
_READING: Final = ("get", "list", "watch")


def _on(kind: str, *verbs: str) -> frozenset[Right]:
    return frozenset(Right(verb, kind, _SERINUS) for verb in verbs)


_VIEW: Final = frozenset().union(*(_on(kind, *_READING) for kind in _KINDS))
_EDIT: Final = frozenset().union(*(_on(kind, "create", "update", "patch", "delete") for kind in _SPECS))


@dataclass(frozen=True, slots=True)
class Role:
    """The rights of a role, and the roles that a person always has beside it."""

    rights: frozenset[Right]
    beside: tuple[str, ...] = ()


ROLES: Final[Mapping[str, Role]] = {
    "view": Role(_VIEW),
    # Kubernetes' own edit has what view has, and admin what edit has.
    "edit": Role(_EDIT, ("view",)),
    "admin": Role(frozenset().union(*(_on(kind, "deletecollection") for kind in _SPECS)), ("view", "edit")),
    "approver": Role(_VIEW | _on("rollouts", "approve", "patch")),
    "override": Role(_VIEW | _on("rollouts", "override", "patch")),
    "archivist": Role(
        frozenset().union(
            _on("auditrecords", "get", "list", "create", "delete", "prune"),
            _on("models", "get", "list", "create", "delete", "prune"),
            _on("modelversions", "get", "list", "delete", "force-delete"),
            [Right("patch", "models", _SERINUS, "status")],
        )
    ),
}

_GATED: Final = "gated"
_PLAIN: Final = "plain"
_SERVING: Final = "serving"
_RECORDED: Final = "recorded"


def _objects() -> dict[tuple[str, str], Manifest]:
    """Return the objects, by kind and name: those that anybody with the verb may delete, and those that are guarded."""
    plain = {"metadata.labels": {"plain": "yes"}}
    return {
        ("rollouts", _PLAIN): rollout({"metadata.name": _PLAIN, **plain}),
        ("rollouts", _GATED): rollout({"metadata.name": _GATED, "spec.stages[2].approval": "Required"}),
        ("modelversions", _PLAIN): model_version({"metadata.name": f"{_PLAIN}-v2.3.1", "spec.model": _PLAIN, **plain}),
        ("modelversions", _SERVING): model_version({"metadata.name": f"{_SERVING}-v2.3.1", "spec.model": _SERVING}),
        ("models", _PLAIN): changed(model(_PLAIN), plain),
        ("models", _RECORDED): model(_RECORDED),
        ("auditrecords", _RECORDED): audit_record(_RECORDED),
    }


def _another(kind: str) -> Manifest:
    """Return an object that is not there yet."""
    match kind:
        case "rollouts":
            return rollout({"metadata.name": "another"})
        case "modelversions":
            return model_version({"metadata.name": "another-v2.3.1", "spec.model": "another"})
        case "models":
            return model("another")
        case _:
            return audit_record("another")


_GUARDED: Final = {"modelversions": _SERVING, "models": _RECORDED, "auditrecords": _RECORDED}


_MERGE: Final = "application/merge-patch+json"
_PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Act:
    """A request that changes nothing, as kubectl sends it for a person, and how it is refused to one who may not.

    Attributes:
        said: what the person types, or an object of what is typed.
        refusal: the words of the refusal.
        method: of the request, ``WATCH`` for a watch.
        path: of the request.
        change: the body.
        query: of the request.
    """

    said: str
    refusal: str
    method: str
    path: str
    change: Manifest | None = None
    query: Mapping[str, str] = field(default_factory=lambda: {"dryRun": "All"})

    async def by(self, api: Api) -> None:
        """Carry it out; ApiError where it is refused."""
        if self.method == "WATCH":
            # Those that exist come first.
            async for _ in api.watch(self.path, "0"):
                return
        # What replaces an object has its resource version.
        body = await api.request("GET", self.path) if self.method == "PUT" else self.change
        kind = _MERGE if self.method == "PATCH" else "application/json"
        await api.request(self.method, self.path, body, content_type=kind, **self.query)


def _annotated(**annotations: str) -> Manifest:
    return {"metadata": {"annotations": {f"{_SERINUS}/{name}": value for name, value in annotations.items()}}}


def act_with(right: Right, role: str, namespace: str) -> Act:
    """Return what needs this right of a role."""
    archived = role == "archivist" or right.resource == "auditrecords"
    found = _GUARDED[right.resource] if archived else _PLAIN
    name: str = _objects()[right.resource, found]["metadata"]["name"]
    all_of_them = f"/apis/{_SERINUS}/v1alpha1/namespaces/{namespace}/{right.resource}"
    one = f"{all_of_them}/{name}"
    kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    refused = f"needs the verb {right.verb}" if right.verb in OWN_VERBS else f'cannot {right.verb} resource "{kind}"'
    acts = {
        "get": Act("kubectl get NAME", refused, "GET", one, query={}),
        "list": Act("kubectl get", refused, "GET", all_of_them, query={}),
        "watch": Act("kubectl get --watch", refused, "WATCH", all_of_them),
        "create": Act("kubectl create", refused, "POST", all_of_them, _another(right.resource)),
        "update": Act("kubectl replace", refused, "PUT", one),
        "patch": Act("kubectl serinus pause", refused, "PATCH", one, _annotated(pause="CHG-1")),
        "patch status": Act("serinus audit prune", refused, "PATCH", f"{one}/status", {"status": {"generation": 2}}),
        "delete": Act("kubectl delete NAME", refused, "DELETE", one),
        "prune": Act("kubectl delete NAME", refused, "DELETE", one),
        "force-delete": Act("kubectl delete NAME", refused, "DELETE", one),
        "deletecollection": Act(
            "kubectl delete --raw",
            refused,
            "DELETE",
            all_of_them,
            query={"dryRun": "All", "labelSelector": "plain=yes"},
        ),
        "approve": Act(
            "kubectl serinus promote", refused, "PATCH", f"{all_of_them}/{_GATED}", _annotated(promote="CHG-1")
        ),
        "override": Act(
            "kubectl serinus promote --override", refused, "PATCH", one, _annotated(promote="CHG-1", override="INC-1")
        ),
    }
    return acts[f"{right.verb} {right.subresource}".strip()]


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, and the objects that people deal with."""
    with installed(admin) as release:
        user("create", "-f", "-", given=list(_objects().values()))
        for kind, name, status in (
            ("mv", f"{_SERVING}-v2.3.1", {"stage": "Production"}),
            ("mdl", _RECORDED, {"generation": 1, "audit": {"sequence": 3}}),
        ):
            user("patch", kind, name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))
        yield release


@pytest.fixture(scope="module")
def people(user: Kubectl, release: Release) -> dict[str, str]:
    """One person for each role, who has it and those beside it."""
    people = {role: f"{release.name}-has-{role}" for role in ROLES}
    objects = [
        _binding(user.namespace, people[role], f"{release.name}-{name}")
        for role, about in ROLES.items()
        for name in (role, *about.beside)
    ]
    user("create", "-f", "-", given=objects)
    return people


@pytest.fixture(scope="module")
def lacking(admin: Kubectl, user: Kubectl, release: Release) -> Iterator[dict[tuple[str, Right], str]]:
    """One person for each right of each role, who has everything of the role but this right."""
    objects: list[Manifest] = []
    found = {}
    for role, about in ROLES.items():
        rules = admin.json("get", "clusterrole", f"{release.name}-{role}")["rules"]
        for number, right in enumerate(sorted(about.rights, key=str)):
            name = f"{release.name}-lacks-{role}-{number}"
            objects.append(_cluster_role(name, rules_without(rules, right)))
            beside = (name, *(f"{release.name}-{other}" for other in about.beside))
            objects += [_binding(user.namespace, name, one) for one in beside]
            found[role, right] = name
    user("create", "-f", "-", given=objects)
    yield found
    admin("delete", "clusterrole", "-l", f"lacks={release.name}")


_RBAC: Final = "rbac.authorization.k8s.io"


def _cluster_role(name: str, rules: list[Manifest]) -> Manifest:
    labels = {"lacks": name.rpartition("-lacks-")[0]}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def _binding(namespace: str, user: str, role: str) -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user}-{role}"[-60:].strip("-"), "namespace": namespace},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }


@pytest.mark.parametrize(
    ("role", "right"),
    [(role, right) for role, about in ROLES.items() for right in sorted(about.rights, key=str)],
    ids=str,
)
async def test_without_a_right_of_a_role_an_act_is_refused(  # noqa: PLR0913, PLR0917 - fixtures
    admin: Kubectl,
    user: Kubectl,
    people: dict[str, str],
    lacking: dict[tuple[str, Right], str],
    role: str,
    right: Right,
) -> None:
    act = act_with(right, role, user.namespace)
    # What has just been bound counts a moment later.
    await _until(admin, people[role], act, "")
    await _until(admin, lacking[role, right], act, act.refusal)


async def _until(admin: Kubectl, person: str, act: Act, refusal: str) -> None:
    """Carry an act out again and again until it is accepted, or refused with these words."""
    async with Api(admin.kubeconfig, acting_as=person) as api:

        async def probe() -> str:
            try:
                await act.by(api)
            except ApiError as problem:
                if problem.status != HTTPStatus.FORBIDDEN:
                    raise
                return str(problem)
            return ""

        def fits(answer: str) -> bool:
            return refusal in answer if refusal else not answer

        await wait_for(probe, fits, within=_PATIENCE, what=f"{act.said} by {person}: {refusal or 'accepted'}")


@pytest.fixture
async def api(admin: Kubectl, gateway_api: None) -> AsyncIterator[Api]:
    async with Api(admin.kubeconfig) as api:
        yield api


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_gives_nothing_else(user: Kubectl, release: Release, api: Api, role: str) -> None:
    asked = await every_right(api)
    assert len(asked) > 500
    person(user, f"only-{role}", f"{release.name}-{role}")
    found = await allowed_rights(api, f"only-{role}", EVERYBODY, asked, user.namespace)
    everybody = await allowed_rights(api, "nobody", EVERYBODY, found, user.namespace)
    assert found - everybody == ROLES[role].rights

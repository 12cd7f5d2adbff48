"""What an account may do in a cluster: asked of the API server for every verb on every kind that it serves."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from demo.observe import wait_for
from localcluster.api import Api, Manifest
from support.release import Right

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
OWN_VERBS: Final = ("approve", "override", "prune", "force-delete")
"""Verbs that the chart's policies ask for."""

EVERYBODY: Final = ("system:authenticated",)
"""The group that has what Kubernetes gives everybody."""

EVERY_ACCOUNT: Final = ("system:serviceaccounts", *EVERYBODY)
"""The groups of a service account that has no role: Kubernetes lets it read ClusterTrustBundles, too."""

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"

_DANGEROUS: Final = (
    *(Right("impersonate", kind) for kind in ("users", "groups", "serviceaccounts")),
    *(
        Right(verb, kind, "rbac.authorization.k8s.io")
        for verb in ("bind", "escalate")
        for kind in ("roles", "clusterroles")
    ),
)
_AT_A_TIME: Final = 32
_PATIENCE: Final = 120.0


async def every_right(api: Api) -> list[Right]:
    """Return every verb on every kind and subresource that the API server serves, and those that lead to more."""
    rights = list(_DANGEROUS)
    groups = (await api.request("GET", "/apis"))["groups"]
    served = {
        ("", "/api/v1"),
        *((one["name"], f"/apis/{v['groupVersion']}") for one in groups for v in one["versions"]),
    }
    kinds: set[tuple[str, str, str]] = set()
    for group, path in sorted(served):
        for resource in (await api.request("GET", path))["resources"]:
            name, _, subresource = resource["name"].partition("/")
            kinds.add((group, name, subresource))
    for group, name, subresource in sorted(kinds):
        ours = OWN_VERBS if group == "serinus.dev" and not subresource else ()
        rights += [Right(verb, name, group, subresource) for verb in (*VERBS, *ours)]
    return rights


def with_every_verb(rights: Iterable[Right]) -> set[Right]:
    """Return every verb on the objects that these rights name."""
    return {replace(right, verb=verb) for right in rights if right.name for verb in VERBS}


async def allowed_rights(
    api: Api, user: str, groups: Sequence[str], rights: Iterable[Right], namespace: str
) -> set[Right]:
    """Return those of the rights that the API server gives a user in a namespace."""
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def ask(right: Right) -> Right | None:
        attributes = {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
            "name": right.name,
        }
        spec = {"user": user, "groups": list(groups), "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        async with slots:
            answer = await api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return right if answer["status"]["allowed"] else None

    return {right for right in await asyncio.gather(*map(ask, rights)) if right is not None}


def rules_without(rules: Iterable[Manifest], right: Right) -> list[Manifest]:
    """Return a role's rules without one right."""
    return [part for rule in rules for part in _reduced(rule, right)]


def _reduced(rule: Manifest, right: Right) -> list[Manifest]:
    kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    names: list[str] = rule.get("resourceNames", [""])
    given = right.name in names and right.group in rule["apiGroups"] and kind in rule["resources"]
    if not given or right.verb not in rule["verbs"]:
        return [rule]
    verbs = [one for one in rule["verbs"] if one != right.verb]
    other_kinds = [one for one in rule["resources"] if one != kind]
    other_names = [one for one in names if one != right.name]
    parts = [rule | {"resources": other_kinds}, rule | {"resources": [kind], "verbs": verbs}]
    if other_names:
        parts.append(rule | {"resources": [kind], "resourceNames": other_names})
    return [part for part in parts if part["resources"] and part["verbs"]]


@asynccontextmanager
async def taken_away(api: Api, role: str, account: str, right: Right, namespace: str) -> AsyncIterator[None]:
    """Take a right away from an account for a while, and wait each time until the API server says so.

    Args:
        api: the administrator.
        role: the path of the role that gives it.
        account: who has the role.
        right: what is taken away.
        namespace: where the account has it.
    """
    rules = (await api.request("GET", role))["rules"]
    reduced = rules_without(rules, right)
    assert reduced != rules, f"{role} does not give {right}"

    async def has() -> bool:
        return bool(await allowed_rights(api, account, (), [right], namespace))

    async def write(wanted: list[Manifest], *, given: bool) -> None:
        await api.merge(role, {"rules": wanted})
        await wait_for(has, lambda found: found is given, within=_PATIENCE, what=f"{right} to be {given}")

    await write(reduced, given=False)
    try:
        yield
    finally:
        await write(rules, given=True)

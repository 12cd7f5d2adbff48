"""What an account may do in a cluster: asked of the API server for every verb on every kind that it serves."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from localcluster.api import Api
from support.release import Right

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_OF_OURS: Final = ("approve", "override", "prune", "force-delete")
"""Verbs that the chart's policies ask for."""

_DANGEROUS: Final = (
    *(Right("impersonate", kind) for kind in ("users", "groups", "serviceaccounts")),
    *(
        Right(verb, kind, "rbac.authorization.k8s.io")
        for verb in ("bind", "escalate")
        for kind in ("roles", "clusterroles")
    ),
)
_AT_A_TIME: Final = 32


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
        ours = _OF_OURS if group == "serinus.dev" and not subresource else ()
        rights += [Right(verb, name, group, subresource) for verb in (*VERBS, *ours)]
    return rights


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


def used_rights(log: Path, user: str) -> set[Right]:
    """Return what a user did, by the API server's audit log, and was not refused."""
    used: set[Right] = set()
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        reference = event.get("objectRef")
        if event["user"]["username"] != user or not reference or "resource" not in reference:
            continue
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow":
            used.add(
                Right(
                    event["verb"],
                    reference["resource"],
                    reference.get("apiGroup", ""),
                    reference.get("subresource", ""),
                )
            )
    return used

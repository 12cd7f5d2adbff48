"""The operator has the rights that are listed, and no verb on any other kind, whatever the values say."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

from localcluster.api import Api
from support.installed_operator import groups_of
from support.kubectl import Kubectl
from support.operator_rights import (
    ALWAYS,
    API_SERVER_SERVICE,
    API_SERVER_SLICE,
    BY_DEFAULT,
    CREATING_JOBS,
    IDENTITY,
    MANAGED_ROUTES,
    REGISTRY_IN_THE_CLUSTER,
    ROUTERS,
    on_leases,
)
from support.release import Release, Right, installed
from support.rights import EVERY_ACCOUNT, allowed_rights, every_right, with_every_verb

_DYNAMODB: Final = ("--set=config.registry.kind=DynamoDB", "--set=config.registry.dynamodb.cluster=prod-1")
_NARROW: Final = ALWAYS | CREATING_JOBS | ROUTERS["httpRoute"]
_API_SERVER: Final = frozenset({API_SERVER_SERVICE, API_SERVER_SLICE})


@dataclass(frozen=True, slots=True)
class Case:
    """Values of the chart, and what the operator then may do where it manages models."""

    rights: frozenset[Right]
    options: tuple[str, ...] = ()
    shards: int = 1

    def leases(self, name: str) -> frozenset[Right]:
        """Return its rights on the Leases of a release of this name."""
        shards = range(self.shards) if self.shards > 1 else ()
        return on_leases(name, *(f"{name}-shard-{number}" for number in shards))


_WIDE: Final = {
    "default": Case(BY_DEFAULT),
    "shards": Case(BY_DEFAULT, ("--set=shards=3",), shards=3),
    "no Jobs": Case(BY_DEFAULT - CREATING_JOBS, ("--set=rbac.jobs=false",)),
    "managed routes": Case(BY_DEFAULT | MANAGED_ROUTES, ("--set=rbac.managedRoutes=true",)),
    "every router": Case(BY_DEFAULT.union(*ROUTERS.values()), (f"--set=config.routers={{{','.join(ROUTERS)}}}",)),
    "DynamoDB": Case(BY_DEFAULT - REGISTRY_IN_THE_CLUSTER | {IDENTITY}, _DYNAMODB),
}
_IN_ONE_NAMESPACE: Final = {
    "in the cluster": Case(_NARROW | REGISTRY_IN_THE_CLUSTER),
    "DynamoDB": Case(_NARROW, _DYNAMODB),
}


@pytest.fixture
async def api(admin: Kubectl, gateway_api: None) -> AsyncIterator[Api]:
    async with Api(admin.kubeconfig) as api:
        yield api


async def _differences(api: Api, release: Release, namespace: str, expected: set[Right]) -> list[str]:
    """Return in what the operator's rights in a namespace differ, asked for every verb on every kind."""
    asked = {*await every_right(api), *expected, *with_every_verb(expected)}
    assert len(asked) > 500
    found = await allowed_rights(api, release.account, groups_of(release), asked, namespace)
    beyond = found - expected
    everybody = await allowed_rights(api, "nobody", EVERY_ACCOUNT, beyond, namespace)
    missing = [f"missing: {right}" for right in sorted(map(str, expected - found))]
    return missing + [f"not listed: {right}" for right in sorted(map(str, beyond - everybody))]


def _with_names(rights: frozenset[Right]) -> set[Right]:
    """Return the rights; one on all objects of a kind is one on those that are named, too."""
    return {*rights, *(right for right in with_every_verb(rights) if replace(right, name="") in rights)}


@pytest.mark.parametrize("case", _WIDE)
async def test_in_the_whole_cluster(admin: Kubectl, api: Api, case: str) -> None:
    given = _WIDE[case]
    with installed(admin, *given.options) as release:
        expected = _with_names(given.rights | given.leases(release.name))
        assert await _differences(api, release, release.name, expected) == []


@pytest.mark.parametrize("case", _IN_ONE_NAMESPACE)
async def test_in_one_namespace(admin: Kubectl, user: Kubectl, api: Api, case: str) -> None:
    given = _IN_ONE_NAMESPACE[case]
    own = Right("get", "namespaces", name=user.namespace)
    with installed(admin, f"--set=namespaces={{{user.namespace}}}", *given.options) as release:
        where = {
            user.namespace: given.rights | {own},
            "kube-system": frozenset({IDENTITY} if given.options else ()),
        }
        if not given.options:
            where |= {"default": _API_SERVER, release.name: given.leases(release.name)}
        for namespace, rights in where.items():
            assert await _differences(api, release, namespace, _with_names(rights)) == [], namespace

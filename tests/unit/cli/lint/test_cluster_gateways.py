"""``serinus lint --cluster``: what a route of the files needs of Gateways and ReferenceGrants."""

from typing import Final

import pytest

from support.cluster_world import Change, World, drop, put, unserved
from support.linted import Linted
from support.manifests.builders import Manifest, changed
from support.manifests.stored import PLAN, gateway, grant, route


def _file_route(changes: Manifest) -> Manifest:
    return changed({**route(), "metadata": {"name": "fraud-detector"}, "status": {}}, changes)


SHARED: Final = {"spec.rules[0].backendRefs[1]": {"name": "x", "namespace": "shared", "port": 80}}
GATEWAYS: Final[list[tuple[Change, Manifest, str]]] = [
    (drop("Gateway", "gate"), {}, "spec.parentRefs[0].name: Gateway infra/gate is neither in the files nor in the c"),
    (
        put(),
        {"spec.parentRefs[0].sectionName": "https"},
        "spec.parentRefs[0].sectionName: Gateway infra/gate has no listener https; its listeners are http: name one",
    ),
    (put(), {"spec.parentRefs": []}, "spec.parentRefs: The route has no parentRefs: no Gateway carries it"),
    (
        put(),
        SHARED,
        (
            "spec.rules[0].backendRefs[1].namespace: no ReferenceGrant in namespace shared lets HTTPRoutes of "
            "namespace ml refer to Service shared/x, so that the gateway refuses the route: create one in shared"
        ),
    ),
    (put(grant(name="y")), SHARED, "spec.rules[0].backendRefs[1].namespace: no ReferenceGrant in namespace shared"),
    (unserved("Gateway"), {}, "spec.parentRefs[0]: this cluster has no kind gateways.v1.gateway.networking.k8s.io"),
    (unserved("ReferenceGrant"), SHARED, "spec.rules[0].backendRefs[1].namespace: no ReferenceGrant in namespace sh"),
]


@pytest.mark.parametrize(("change", "changes", "words"), GATEWAYS, ids=[words[:60] for *_, words in GATEWAYS])
def test_what_a_route_of_the_files_needs_must_be_there(
    world: World, lint: Linted, change: Change, changes: Manifest, words: str
) -> None:
    change(world)
    found = lint.of(PLAN, _file_route(changes))
    (line,) = found
    assert f"HTTPRoute fraud-detector: {words}" in line
    assert lint.status == 1


def test_a_gateway_that_is_not_programmed_is_a_warning(world: World, lint: Linted) -> None:
    put(gateway("False"))(world)
    (line,) = lint.of(PLAN, _file_route({}))
    assert ": warning: HTTPRoute fraud-detector: spec.parentRefs[0].name: Gateway infra/gate is not programmed" in line
    assert lint.status == 0


@pytest.mark.parametrize("place", ["cluster", "files"])
def test_a_reference_grant_lets_a_route_refer_to_another_namespace(world: World, lint: Linted, place: str) -> None:
    if place == "cluster":
        world.add(grant(name="x"))
    else:
        lint.write({**grant(), "metadata": {"name": "routes", "namespace": "shared"}}, name="grant.yaml")
    assert lint.of(PLAN, _file_route(SHARED)) == []


def test_rights_on_gateways_and_grants_may_be_missing(world: World, lint: Linted) -> None:
    world.refused |= {"Gateway", "ReferenceGrant"}
    first, second = lint.of(PLAN, _file_route(SHARED))
    assert "note: HTTPRoute fraud-detector: spec.parentRefs[0].name: not checked whether Gateway infra/gate" in first
    assert "not checked whether a ReferenceGrant lets HTTPRoutes of namespace ml refer to Service shared/x" in second
    assert lint.status == 0

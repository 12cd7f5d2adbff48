"""The port ``ManagedRoutes`` on a real API server: what is made, what is put right, and what is never written."""

from typing import Any, Final

import pytest

from localcluster.parts import gateway
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.api.route import RouteKind, RuleId
from serinus.api.route_template import HttpRouteTemplate
from serinus.engine.rollout.actions import BackendShare, CreateRoute, SetMirror, ShapeRoute
from serinus.engine.rollout.traffic.facts import Mirror, backend_key
from serinus.engine.rollout.traffic.managed import differences, shape_of
from serinus.errors import ConflictError, OvertakenError, RefusedError
from serinus.kube.client import JSON_PATCH, KubernetesClient
from serinus.kube.routes import http_route_record
from serinus.ports.cluster_state import Meta
from serinus.routers.managed_http_route import ManagedHttpRoutes
from support.e2e.manifests import canary, production, rollout, staging
from support.kube.client import create
from support.routers.edits import EditedInBetween

Raw = dict[str, Any]

NAME: Final = "fraud"
RULE: Final = RuleId(RouteKind.HTTP_ROUTE, NAME)
OLD, NEW = BackendRef(name="fraud-v1", port=80), BackendRef(name="fraud-v2", port=80)
SHARES: Final = (BackendShare(OLD, 9_500), BackendShare(NEW, 500))
EVERYTHING: Final[Raw] = {
    "parentRefs": [
        {"name": gateway.NAME, "namespace": gateway.NAMESPACE, "sectionName": "http"},
        {"name": gateway.NAME, "namespace": gateway.NAMESPACE, "sectionName": "other"},
    ],
    "hostnames": ["managed.local", "*.managed.local"],
    "matches": [
        {"path": {"value": "/v2/models/fraud"}, "method": "POST"},
        {"headers": [{"name": "X-Team", "value": "p.*", "type": "RegularExpression"}]},
        {"path": {"type": "Exact", "value": "/x"}, "queryParams": [{"name": "dry", "value": "1"}]},
        {},
    ],
    "labels": {"example.com/team": "payments"},
    "annotations": {"example.com/contact": "payments"},
}
PLAIN: Final[Raw] = {"parentRefs": [{"name": gateway.NAME, "namespace": gateway.NAMESPACE}]}


def a_template(raw: Raw = EVERYTHING) -> HttpRouteTemplate:
    return decode(HttpRouteTemplate, raw, "template")


class Recording:
    """A client that notes the methods of its requests."""

    def __init__(self, api: KubernetesClient) -> None:
        self._api, self.methods = api, list[str]()

    async def request(self, method: str, path: str, **options: Any) -> Raw:
        self.methods.append(method)
        return await self._api.request(method, path, **options)


class World:
    """One namespace with a Rollout that no operator sees to."""

    def __init__(self, api: KubernetesClient, owner: Meta) -> None:
        self.api, self.owner = api, owner
        self.namespace = owner.key.namespace
        self.routes = ManagedHttpRoutes(api)
        self.path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{self.namespace}/httproutes"

    async def make(self, raw: Raw = EVERYTHING) -> Raw:
        await self.routes.create(self.owner, CreateRoute(route=RULE, template=a_template(raw), shares=SHARES))
        return await self.raw()

    async def put_right(self, raw: Raw = EVERYTHING, owner: Meta | None = None) -> Raw:
        ours = frozenset({backend_key(OLD), backend_key(NEW)})
        action = ShapeRoute(route=RULE, template=a_template(raw), ours=ours, on_trial=backend_key(NEW))
        await self.routes.shape(owner or self.owner, action)
        return await self.raw()

    async def mirror(self, parts: int | None, owner: Meta | None = None) -> Raw:
        """Have the rule copy so many ten-thousandths of the requests to the new version; none where None."""
        mirror = Mirror(backend_key(NEW), parts) if parts is not None else None
        action = SetMirror(route=RULE, mirror=mirror, ours=frozenset({backend_key(OLD), backend_key(NEW)}))
        await self.routes.mirror(owner or self.owner, action)
        return await self.raw()

    async def raw(self) -> Raw:
        return await self.api.request("GET", f"{self.path}/{NAME}")

    async def patch(self, *operations: Raw) -> Raw:
        query = {"fieldManager": "somebody"}
        return await self.api.request(
            "PATCH", f"{self.path}/{NAME}", body=list(operations), content_type=JSON_PATCH, query=query
        )


@pytest.fixture
async def world(api: KubernetesClient, namespace: str) -> World:
    manifest = rollout(namespace, "1.0.0", (staging(), canary(), production()), model=NAME)
    # The controller manager deletes what belongs to nothing.
    stored = await create(api, manifest, "rollouts", namespace)
    return World(api, Meta(key=ObjectKey(namespace, NAME), uid=stored["metadata"]["uid"], version=1))


def weights(raw: Raw) -> list[tuple[str, int]]:
    return [(ref["name"], ref["weight"]) for ref in raw["spec"]["rules"][0]["backendRefs"]]


@pytest.mark.parametrize("template", [EVERYTHING, PLAIN], ids=["everything", "plain"])
async def test_a_route_is_made_with_its_owner_and_is_then_as_its_template_says(world: World, template: Raw) -> None:
    raw = await world.make(template)
    assert raw["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "serinus.dev/v1alpha1",
            "kind": "Rollout",
            "name": NAME,
            "uid": world.owner.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert raw["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "serinus"
    assert weights(raw) == [("fraud-v1", 9_500), ("fraud-v2", 500)]
    found = http_route_record(raw)
    assert found.made_for == world.owner.uid
    assert found.written_by == "serinus"
    assert found.shape is not None
    assert differences(shape_of(a_template(template), world.namespace), found.shape) == ()
    recording = Recording(world.api)
    action = ShapeRoute(route=RULE, template=a_template(template), ours=frozenset())
    await ManagedHttpRoutes(recording).shape(world.owner, action)
    assert recording.methods == ["GET"]


async def test_a_route_of_the_name_is_returned_as_it_is_and_never_written(world: World) -> None:
    spec = {"parentRefs": [{"name": "x"}], "hostnames": ["theirs.local"]}
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": NAME},
        "spec": spec,
    }
    before = await create(world.api, theirs, "httproutes", world.namespace)

    record = await world.routes.create(world.owner, CreateRoute(route=RULE, template=a_template(), shares=SHARES))
    assert (record.made_for, record.shape) == ("", None)
    with pytest.raises(ConflictError, match="not this Rollout's"):
        await world.put_right()
    after = await world.raw()
    assert after["spec"] == before["spec"]
    assert (after["metadata"]["generation"], after["metadata"].get("labels")) == (1, None)


async def test_the_route_of_another_rollout_is_not_put_right(world: World) -> None:
    await world.make()
    other = Meta(key=world.owner.key, uid="another", version=1)
    with pytest.raises(ConflictError, match="not this Rollout's"):
        await world.put_right(PLAIN, other)
    assert (await world.raw())["metadata"]["generation"] == 1


@pytest.mark.parametrize(("made", "wanted"), [(EVERYTHING, PLAIN), (PLAIN, EVERYTHING)], ids=["less", "more"])
async def test_an_edit_of_the_template_moves_no_weight(world: World, made: Raw, wanted: Raw) -> None:
    before = await world.make(made)
    after = await world.put_right(wanted)
    shape = http_route_record(after).shape
    assert shape is not None
    assert differences(shape_of(a_template(wanted), world.namespace), shape) == ()
    assert after["spec"]["rules"][0]["backendRefs"] == before["spec"]["rules"][0]["backendRefs"]
    assert after["metadata"]["generation"] == 2


async def test_what_others_add_stays_and_what_they_change_is_put_right_in_one_write(world: World) -> None:
    await world.make()
    timeouts = {"request": "5s"}
    await world.patch(
        {"op": "add", "path": "/metadata/labels/theirs", "value": "x"},
        {"op": "add", "path": "/metadata/labels/example.com~1team", "value": "others"},
        {"op": "add", "path": "/metadata/annotations/theirs", "value": "x"},
        {"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"},
        {"op": "remove", "path": "/spec/hostnames"},
        {"op": "add", "path": "/spec/rules/0/timeouts", "value": timeouts},
        {"op": "add", "path": "/spec/rules/0/matches/0/method", "value": "GET"},
        {"op": "add", "path": "/spec/rules/0", "value": {"backendRefs": [{"name": "fraud-v1", "port": 80}]}},
        {"op": "add", "path": "/spec/rules/-", "value": {"backendRefs": [{"name": "theirs", "port": 80}]}},
    )
    raw = await world.put_right()
    assert raw["metadata"]["labels"] == {
        "theirs": "x",
        "example.com/team": "payments",
        "app.kubernetes.io/managed-by": "serinus",
    }
    assert raw["metadata"]["annotations"]["theirs"] == "x"
    (rule,) = raw["spec"]["rules"]
    assert rule["timeouts"] == timeouts
    assert weights(raw) == [("fraud-v1", 9_500), ("fraud-v2", 500)]
    shape = http_route_record(raw).shape
    assert shape is not None
    assert differences(shape_of(a_template(), world.namespace), shape) == ()
    assert raw["metadata"]["generation"] == 3


async def test_the_parts_that_somebody_wrote_name_who_it_was(world: World) -> None:
    await world.make()
    raw = await world.patch({"op": "add", "path": "/spec/hostnames", "value": ["theirs.local"]})
    shape = http_route_record(raw).shape
    assert shape is not None
    differs = differences(shape_of(a_template(), world.namespace), shape)
    assert shape.writer_of(differs) == "somebody"
    assert http_route_record(raw).written_by == "serinus"


async def test_what_the_api_server_does_not_take_is_refused(world: World) -> None:
    action = CreateRoute(route=RuleId(RouteKind.HTTP_ROUTE, "Fraud"), template=a_template(), shares=SHARES)
    with pytest.raises(RefusedError, match="Invalid value"):
        await world.routes.create(world.owner, action)


async def test_a_route_that_others_write_at_the_same_time_is_put_right_all_the_same(world: World) -> None:
    await world.make()
    busy = ManagedHttpRoutes(EditedInBetween(world.api, 3))
    action = ShapeRoute(route=RULE, template=a_template(PLAIN), ours=frozenset())
    shape = (await busy.shape(world.owner, action)).shape
    assert shape is not None
    assert differences(shape_of(a_template(PLAIN), world.namespace), shape) == ()
    busy = ManagedHttpRoutes(EditedInBetween(world.api, 100))
    with pytest.raises(ConflictError, match="changed by others 5 times"):
        await busy.shape(world.owner, ShapeRoute(route=RULE, template=a_template(), ours=frozenset()))


async def test_nothing_is_sent_once_the_guard_refuses(world: World) -> None:
    def overtaken() -> None:
        raise OvertakenError("later")

    action = CreateRoute(route=RULE, template=a_template(), shares=SHARES)
    with pytest.raises(OvertakenError):
        await world.routes.create(world.owner, action, guard=overtaken)
    assert (await world.api.request("GET", world.path))["items"] == []
    await world.make()
    with pytest.raises(OvertakenError):
        await world.routes.shape(
            world.owner, ShapeRoute(route=RULE, template=a_template(PLAIN), ours=frozenset()), guard=overtaken
        )
    assert (await world.raw())["metadata"]["generation"] == 1


COPY: Final[Raw] = {"group": "", "kind": "Service", "name": "fraud-v2", "port": 80}
HEADER: Final[Raw] = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": "x-team", "value": "payments"}]},
}


def filters(raw: Raw) -> list[Raw]:
    (only,) = raw["spec"]["rules"]
    return list(only.get("filters", []))


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        (10_000, {}),
        (1_000, {"percent": 10}),
        (1_250, {"fraction": {"numerator": 1_250, "denominator": 10_000}}),
    ],
)
async def test_a_rule_gets_one_mirror_and_loses_it_again(world: World, parts: int, part: Raw) -> None:
    before = await world.make(PLAIN)
    mirrored = await world.mirror(parts)
    assert filters(mirrored) == [{"type": "RequestMirror", "requestMirror": {"backendRef": COPY, **part}}]
    assert weights(mirrored) == weights(before)
    (rule,) = http_route_record(mirrored).rules
    assert rule.mirrors == (Mirror(backend_key(NEW), parts),)

    assert (await world.mirror(parts))["metadata"]["generation"] == mirrored["metadata"]["generation"]

    plain = await world.mirror(None)
    assert plain["spec"] == before["spec"]
    recording = Recording(world.api)
    await ManagedHttpRoutes(recording).mirror(world.owner, SetMirror(route=RULE, mirror=None, ours=frozenset()))
    assert recording.methods == ["GET"]


async def test_mirrors_of_others_go_and_other_filters_stay(world: World) -> None:
    await world.make(PLAIN)
    theirs = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "elsewhere", "port": 80}, "percent": 5}}
    await world.patch({"op": "add", "path": "/spec/rules/0/filters", "value": [theirs, HEADER]})
    mirrored = filters(await world.mirror(1_000))
    assert [one["type"] for one in mirrored] == ["RequestHeaderModifier", "RequestMirror"]
    assert mirrored[1]["requestMirror"]["backendRef"]["name"] == "fraud-v2"
    assert filters(await world.mirror(None)) == [HEADER]


async def test_a_mirror_is_not_written_into_a_route_of_another_rollout(world: World) -> None:
    before = await world.make(PLAIN)
    stranger = Meta(key=world.owner.key, uid="another", version=1)
    with pytest.raises(ConflictError, match="not this Rollout's any more"):
        await world.mirror(1_000, owner=stranger)
    assert (await world.raw())["spec"] == before["spec"]


async def test_a_mirror_is_written_although_somebody_edits_the_route_in_between(world: World) -> None:
    await world.make(PLAIN)
    world.routes = ManagedHttpRoutes(EditedInBetween(world.api, 1))
    assert len(filters(await world.mirror(1_000))) == 1


class WithoutPercent:
    """A client whose API server has the CRDs of Gateway API 1.2: it drops the percentage of a mirror."""

    def __init__(self, api: KubernetesClient) -> None:
        self._api = api

    async def request(self, method: str, path: str, **options: Any) -> Raw:
        for operation in options.get("body") or ():
            for one in operation.get("value", ()) if operation["path"].endswith("/filters") else ():
                one.get("requestMirror", {}).pop("percent", None)
        return await self._api.request(method, path, **options)


async def test_a_percentage_that_the_api_server_would_drop_is_never_stored(world: World) -> None:
    """Without it the gateway would copy all requests."""
    before = await world.make(PLAIN)
    world.routes = ManagedHttpRoutes(WithoutPercent(world.api))
    with pytest.raises(RefusedError, match="does not store a mirror of 10%: write mirror: 100%"):
        await world.mirror(1_000)
    assert (await world.raw())["spec"] == before["spec"]
    assert len(filters(await world.mirror(10_000))) == 1

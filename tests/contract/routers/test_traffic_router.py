"""What the shell relies on in every TrafficRouter: the real adapter and the fake of the tests are held to it alike."""

from collections.abc import Mapping
from typing import Protocol

import pytest

from serinus.api.names import ObjectKey
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import BackendKey, RouteEntry
from serinus.errors import RefusedError
from serinus.ports.cluster_state import RouteRule
from serinus.ports.services import TrafficRouter
from serinus.routers import Routers
from serinus.routers.gateway_api import GatewayApiRouter
from support import records
from support.fakes import FakeCluster, FakeRouter
from support.kube.memory import MemoryApi
from support.kube.objects import ROUTES, backend_ref, http_route, metadata

OLD, NEW = records.backend("fraud", "1.0.0"), records.backend("fraud", "2.0.0")


class Plane(Protocol):
    """A router, and the route that it writes."""

    router: TrafficRouter

    def put(self, weights: Mapping[str, int], owner: str = "") -> None: ...

    def weights(self) -> Mapping[str, int]: ...

    def writes(self) -> int: ...


class RealPlane:
    """The adapter for HTTPRoutes over an API server in memory."""

    def __init__(self) -> None:
        self._api = MemoryApi()
        self.router: TrafficRouter = Routers(self._api, [GatewayApiRouter])
        self._path = f"{ROUTES}/ml/httproutes/fraud"

    def put(self, weights: Mapping[str, int], owner: str = "") -> None:
        refs = [backend_ref(name, weight) for name, weight in weights.items()]
        owners = [{"apiVersion": "v1", "kind": "X", "name": owner, "uid": "u", "controller": True}] if owner else []
        raw = http_route({"name": "predict", "backendRefs": refs}, name="fraud")
        self._api.put(self._path, {**raw, "metadata": metadata("fraud", ownerReferences=owners)})

    def weights(self) -> Mapping[str, int]:
        refs = self._api.objects[self._path]["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}

    def writes(self) -> int:
        return len(self._api.writes())


class FakePlane:
    """The fake over its fake cluster."""

    def __init__(self) -> None:
        self._cluster = FakeCluster()
        self.router: TrafficRouter = FakeRouter(self._cluster)

    def put(self, weights: Mapping[str, int], owner: str = "") -> None:
        entries = tuple(RouteEntry(BackendKey("", "Service", name, 80), weight) for name, weight in weights.items())
        self._cluster.put(records.route(rules=(RouteRule("predict", entries),), owner=owner and f"X/{owner}"))

    def weights(self) -> Mapping[str, int]:
        entries = self._cluster.route(ObjectKey("ml", "fraud")).rules[0].entries
        return {entry.key.name: entry.weight for entry in entries}

    def writes(self) -> int:
        return len(self._cluster.journal)


@pytest.fixture(params=[RealPlane, FakePlane], ids=["gateway-api", "fake"])
def plane(request: pytest.FixtureRequest) -> Plane:
    made: Plane = request.param()
    return made


def shares(old: int, new: int, *, rule: str = "predict") -> SetWeights:
    ours = frozenset(BackendKey("", "Service", one.name) for one in (OLD, NEW))
    route = RuleId(RouteKind.HTTP_ROUTE, "fraud", rule)
    return SetWeights(route=route, shares=(BackendShare(OLD, old), BackendShare(NEW, new)), ours=ours)


async def test_the_rule_gets_the_shares_and_the_answer_is_the_route_as_it_is_now(plane: Plane) -> None:
    plane.put({OLD.name: 1})
    answer = await plane.router.set_weights("ml", shares(9500, 500))
    written = plane.weights()
    assert written[NEW.name] / sum(written.values()) == 0.05
    assert {entry.key.name: entry.weight for entry in answer.rules[0].entries} == written


async def test_nothing_is_written_where_the_shares_hold_already(plane: Plane) -> None:
    plane.put({OLD.name: 1})
    await plane.router.set_weights("ml", shares(9500, 500))
    once = plane.writes()
    again = await plane.router.set_weights("ml", shares(9500, 500))
    assert plane.writes() == once == 1
    assert {entry.key.name: entry.weight for entry in again.rules[0].entries} == plane.weights()


async def test_the_backends_of_others_keep_their_weight(plane: Plane) -> None:
    plane.put({"somebody-elses": 100, OLD.name: 900})
    await plane.router.set_weights("ml", shares(8000, 1000))
    assert plane.weights()["somebody-elses"] == 100


async def test_a_route_that_is_not_there_is_refused(plane: Plane) -> None:
    with pytest.raises(RefusedError, match="fraud"):
        await plane.router.set_weights("ml", shares(9500, 500))
    assert plane.writes() == 0


async def test_a_rule_that_is_not_there_is_refused_by_its_name(plane: Plane) -> None:
    plane.put({OLD.name: 1})
    with pytest.raises(RefusedError, match="explain"):
        await plane.router.set_weights("ml", shares(9500, 500, rule="explain"))
    assert plane.writes() == 0


async def test_a_route_of_another_controller_is_refused_by_that_ones_name(plane: Plane) -> None:
    plane.put({OLD.name: 1}, owner="somebody")
    with pytest.raises(RefusedError, match="somebody"):
        await plane.router.set_weights("ml", shares(9500, 500))
    assert plane.writes() == 0


async def test_shares_that_whole_weights_cannot_express_are_refused(plane: Plane) -> None:
    plane.put({"somebody-elses": 1, OLD.name: 1})
    with pytest.raises(RefusedError, match="multiply"):
        await plane.router.set_weights("ml", shares(4995, 5))
    assert plane.writes() == 0

"""A raise and a decision towards safety that meet, in every order of their requests and answers.

The router is the real one, over an API server in memory in which each request takes effect some seconds after it was
sent and is answered some seconds after that. The raise's four pauses and the moment of the decision are enumerated.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.actions import SetWeights
from serinus.kube.routes import http_route_record
from serinus.ports.cluster_state import HttpRouteRecord, ModelVersionRecord, Record
from serinus.routers.gateway_api import GatewayApiRouter
from support.examples import examples
from support.fakes import FakeCluster
from support.kube.memory import MemoryApi
from support.kube.objects import ROUTES, backend_ref, http_route, metadata
from support.records import key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

CANDIDATE = "fraud-v2-0-0"
PATH = f"{ROUTES}/ml/httproutes/fraud"
SHORT, LONG = 1.0, 3.0
LANE = 1.0
"""Seconds of each pause: of the raise, and of the safety lane's requests."""


@dataclass
class SteppedApi:
    """The part of an API server that has the route; ``urgent`` requests are the safety lane's.

    Attributes:
        pauses: of the raise's requests: before GET, after GET, before PATCH, after PATCH; later ones are short.
        sent: for each write, when it was sent and which weight it gives the candidate.
        landed: for each write, when it took effect and which weight the candidate had then.
    """

    cluster: FakeCluster
    pauses: Iterator[float]
    api: MemoryApi = field(default_factory=MemoryApi)
    sent: list[tuple[float, int]] = field(default_factory=list)
    landed: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        weights = [(entry.key.name, entry.weight) for entry in self.cluster.route(key()).rules[0].entries]
        refs = [backend_ref(name, weight) for name, weight in weights]
        raw = http_route({"name": "predict", "backendRefs": refs}, name="fraud")
        self.api.put(PATH, {**raw, "metadata": metadata("fraud")})

    async def request(self, method: str, path: str, *, urgent: bool = False, **rest: Any) -> dict[str, Any]:
        if (guard := rest.get("guard")) is not None:
            guard()
        now = asyncio.get_running_loop().time
        wanted = self._weight(rest["body"]) if method == "PATCH" else None
        if wanted is not None:
            self.sent.append((now(), wanted))
        await asyncio.sleep(LANE if urgent else next(self.pauses, SHORT))
        answer = await self.api.request(method, path, **{**rest, "guard": None})
        if method == "PATCH":
            self._show(answer)
            self.landed.append((now(), self.cluster.weight(key(), CANDIDATE) or 0))
        await asyncio.sleep(LANE if urgent else next(self.pauses, SHORT))
        return answer

    def _weight(self, patch: list[dict[str, Any]]) -> int:
        """What a patch gives the candidate, whose entry is the second of the rule."""
        return next((step["value"] for step in patch if step["path"].endswith("/backendRefs/1/weight")), 0)

    def _show(self, raw: dict[str, Any]) -> None:
        old = self.cluster.route(key())
        rules = http_route_record(raw).rules
        parents = tuple(replace(parent, observed_generation=old.generation + 1) for parent in old.parents)
        self.cluster.put(replace(old, rules=rules, parents=parents, generation=old.generation + 1))


def before_the_raise() -> dict[tuple[type[Record], ObjectKey], Record]:
    """The objects of a run whose next decision is to give the candidate its first traffic."""
    found: dict[tuple[type[Record], ObjectKey], Record] = {}

    @in_virtual_time
    async def story() -> None:
        rig = Rig()
        rig.model()
        write = rig.router.set_weights

        async def without_raises(namespace: str, action: SetWeights, **rest: Any) -> HttpRouteRecord:
            if any(share.backend.name == CANDIDATE and share.parts for share in action.shares):
                await asyncio.Event().wait()
            return await write(namespace, action, **rest)

        rig.router.set_weights = without_raises  # type: ignore[method-assign]
        async with rig.running():
            await until(lambda: rig.status().run == 1 and rig.weight("2.0.0") == 0, why="the run to have begun")
        found.update(rig.cluster.objects)

    story()
    return found


OBJECTS = before_the_raise()


def aborted(cluster: FakeCluster) -> None:
    cluster.put(replace(cluster.rollout(key()), commands={"abort": "now"}))


def yanked(cluster: FakeCluster) -> None:
    version = cluster.objects[ModelVersionRecord, key("fraud-v2.0.0")]
    assert isinstance(version, ModelVersionRecord)
    cluster.put(replace(version, yanked="it leaks"))


def rig_with(pauses: tuple[float, ...]) -> tuple[Rig, SteppedApi]:
    """An operator before the raise, whose requests to the route take these pauses."""
    cluster = FakeCluster()
    cluster.objects.update(OBJECTS)
    cluster._versions = itertools.count(1000)
    rig, api = Rig(cluster), SteppedApi(cluster, iter(pauses))
    router = GatewayApiRouter(api)

    async def set_weights(namespace: str, action: SetWeights, **rest: Any) -> HttpRouteRecord:
        await router.set_weights(namespace, action, **rest)
        return cluster.route(key())

    rig.router.set_weights = set_weights  # type: ignore[method-assign]
    return rig, api


async def meet(cause: Callable[[FakeCluster], None], pauses: tuple[float, ...], moment: float) -> None:
    rig, api = rig_with(pauses)
    async with rig.running():
        await asyncio.sleep(moment)
        decided = rig.clock.monotonic()
        cause(rig.cluster)
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert rig.weight("2.0.0") == 0
        assert rig.status().quarantined == ("2.0.0",)
        lowered = next((at for at, weight in api.landed if at > decided and weight == 0), decided)
        took = rig.clock.monotonic() - decided
        await asyncio.sleep(60)
        assert rig.weight("2.0.0") == 0
    raised_later = [(at, weight) for at, weight in api.sent if weight and at > decided]
    assert raised_later == [], "a raise was sent although a decision towards safety came first"
    landed_later = [(at, weight) for at, weight in api.landed if weight and at > lowered and lowered > decided]
    assert landed_later == [], "a raise landed after the candidate's weight was taken"
    # Whatever was under way is over, then the lane's two requests and the status: no order makes it wait for more.
    assert took <= max(pauses) * 4 + 4 * LANE + 1


@pytest.mark.parametrize("cause", [aborted, yanked])
def test_a_raise_that_a_decision_towards_safety_has_overtaken_never_lands(
    cause: Callable[[FakeCluster], None],
) -> None:
    # All of them in CI; in the developer's loop each pause is long in some and short in others.
    orders = list(itertools.product((SHORT, LONG), repeat=4))
    for pauses in orders[:: len(orders) // examples(len(orders), developer=4)]:
        for moment in range(int(sum(pauses)) + 2):
            in_virtual_time(meet)(cause, pauses, moment + 0.5)


def test_without_a_decision_towards_safety_the_raise_lands() -> None:
    @in_virtual_time
    async def story() -> None:
        rig, api = rig_with((SHORT, LONG, LONG, SHORT))
        async with rig.running():
            await rig.reaches_canary()
        assert [weight for _, weight in api.sent] == [500]

    story()

"""Three operators share the models by shards: one is killed, one stands still, and no weight is written by two."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from pathlib import Path

import aiohttp
from aiohttp import web

from demo.errors import CouldNotAskError
from demo.observe import wait_for
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from serinus.engine.sharding import shard_of
from support.e2e.apiproxy import ApiProxy, Disturbance, api_proxy
from support.e2e.fixtures import GOOD, program_environment
from support.e2e.load import traffic_to
from support.e2e.manifests import backend_of, canary, production, staging, weights_in
from support.e2e.many import NEW, Model, statuses_of, until_all
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, SOON, Place
from support.e2e.route_patches import conflict, patched_weight
from support.e2e.watch import Seen

SHARDS = 6
LOST = 3
"""The exit status of an operator that has lost a Lease."""

FEW = {"minRequests": 5}
# So long that the replica is killed in the midst of it: at its end the route may have the next share already, and the
# status not yet, so that the next replica gives the stage's share again first.
EARLY_PLAN = (staging(), canary("30s", traffic="50%", **FEW), production("1s", **FEW))
LATE_PLAN = (staging(), canary("3s", traffic="50%", **FEW), production("1s", **FEW))
RATE = 4.0


@dataclass(slots=True)
class Replica:
    """One operator, which calls the API server through a proxy of its own."""

    control: OperatorControl
    proxy: ApiProxy

    @property
    def pid(self) -> int:
        assert self.control.process is not None
        return self.control.process.process.pid

    async def held(self) -> frozenset[int]:
        """The shards that it says it holds."""
        address = f"http://{self.control.setup.address}/metrics"
        try:
            async with aiohttp.ClientSession() as session, session.get(address) as response:
                text = await response.text()
        except aiohttp.ClientError as problem:
            raise CouldNotAskError(f"{address} does not answer: {problem!r}") from problem
        return frozenset(map(int, re.findall(r'^serinus_shard_held\{shard="(\d+)"\} 1\.0$', text, re.MULTILINE)))

    async def ended(self) -> int:
        assert self.control.process is not None
        async with asyncio.timeout(SOON):
            return await self.control.process.process.wait()


@dataclass(slots=True)
class Three:
    """The operators, and who wrote which route, in order."""

    replicas: list[Replica] = field(default_factory=list)
    writes: list[tuple[str, int]] = field(default_factory=list)

    async def until_shared_by(self, *numbers: int, within: float) -> list[frozenset[int]]:
        """Wait until each shard is held by one of these operators and each of them holds its part."""

        async def look() -> list[frozenset[int]]:
            return [await self.replicas[number].held() for number in numbers]

        def is_even(held: Sequence[frozenset[int]]) -> bool:
            together = sorted(shard for one in held for shard in one)
            return together == list(range(SHARDS)) and {len(one) for one in held} == {SHARDS // len(numbers)}

        return await wait_for(look, is_even, within=within, what=f"an even spread over {numbers}")

    def writers(self) -> dict[str, list[int]]:
        """By route, who wrote it; each as often as somebody else has written it since."""
        routes = sorted({route for route, _ in self.writes})
        return {
            route: [writer for writer, _ in groupby(number for one, number in self.writes if one == route)]
            for route in routes
        }


@asynccontextmanager
async def three_operators(place: Place, folder: Path) -> AsyncIterator[Three]:
    environment = program_environment(place.cluster)
    setup = replace(setup_in(place.cluster), leader_election=True, settings={"shards": SHARDS})
    host = setup.address.rpartition(":")[0]
    three = Three()
    async with AsyncExitStack() as stack:
        for number in range(3):
            own = folder / f"replica-{number}"
            own.mkdir()
            proxy = await stack.enter_async_context(api_proxy(place.cluster, environment, own))
            proxy.disturb = noting(three, number)
            mine = replace(setup, identity=f"replica-{number}", address=f"{host}:{9411 + number}")
            control = OperatorControl(environment | {"KUBECONFIG": str(proxy.kubeconfig)}, mine, own)
            three.replicas.append(Replica(control, proxy))
            stack.push_async_callback(end, three.replicas[-1])
        await asyncio.gather(*(replica.control.start() for replica in three.replicas))
        yield three


async def end(replica: Replica) -> None:
    # A stopped process could not be ended.
    if replica.control.process is not None and replica.control.process.process.returncode is None:
        os.kill(replica.pid, signal.SIGCONT)
    await replica.control.stop()


def noting(three: Three, number: int) -> Disturbance:
    """Note each write of a route that one operator sends."""

    async def note(request: web.Request, _body: bytes) -> None:
        route = route_in(request)
        if route:
            three.writes.append((route, number))

    return note


def route_in(request: web.Request) -> str:
    """The name of the route that a request writes; empty where it writes none."""
    return request.path.rpartition("/")[2] if request.method == "PATCH" and "/httproutes/" in request.path else ""


def two_models_of_each_shard(place: Place) -> tuple[list[Model], list[Model]]:
    """One model of every shard that begins early, and one that begins late."""
    early: dict[int, Model] = {}
    late: dict[int, Model] = {}
    for number in count():
        model = Model(f"model-{number:02}", GOOD)
        shard = shard_of(ObjectKey(place.namespace, model.name), SHARDS)
        (late if shard in early else early).setdefault(shard, model)
        if len(late) == SHARDS:
            return list(early.values()), list(late.values())
    raise AssertionError


def names_in(place: Place, models: Sequence[Model], held: frozenset[int]) -> set[str]:
    return {one.name for one in models if shard_of(ObjectKey(place.namespace, one.name), SHARDS) in held}


def in_canary(status: RolloutStatus) -> bool:
    return status.stage is not None and (status.stage.name, status.stage.state) == ("canary", StageState.ANALYZING)


def in_production(status: RolloutStatus) -> bool:
    return status.phase is Phase.HEALTHY and status.stable is not None and status.stable.version == NEW


def shares_of_the_new_version(routes: Seen, name: str) -> list[int]:
    """What the route of a model has given to the new version, in order."""
    own = (weights_in(raw) for _, raw in routes.states if raw["metadata"]["name"] == name)
    return [100 * weights.get(backend_of(NEW, name), 0) // sum(weights.values()) for weights in own]


async def test_the_canaries_of_a_killed_and_of_a_stopped_replica_go_on_and_no_weight_is_written_by_two(
    place: Place, lease_namespace: None, tmp_path: Path
) -> None:
    early, late = two_models_of_each_shard(place)
    models = [*early, *late]
    async with three_operators(place, tmp_path) as three:
        shared = await three.until_shared_by(0, 1, 2, within=SOON)
        plans = [*((model, EARLY_PLAN) for model in early), *((model, LATE_PLAN) for model in late)]
        await asyncio.gather(*(model.stand(place, plan) for model, plan in plans))
        await until_all(place, models, lambda status: status.phase is Phase.HEALTHY, within=LONG, what="adopted")
        hosts = [model.hostname(place.namespace) for model in models]
        async with (
            traffic_to(place.cluster.gateway_url, hosts, RATE * len(hosts)),
            place.watching("HTTPRoute") as routes,
        ):
            await asyncio.gather(*(model.want_the_new_version(place) for model in early))
            await until_canaries(place, {model.name for model in early})
            orphans = names_in(place, early, shared[0])
            assert {route for route, number in three.writes if number == 0} >= orphans
            await three.replicas[0].control.kill()
            orphaned = await statuses_of(place)
            assert all(in_canary(orphaned[name]) or in_production(orphaned[name]) for name in orphans)
            assert any(in_canary(orphaned[name]) for name in orphans)
            two = await three.until_shared_by(1, 2, within=LONG)

            # The next one is stopped in the midst of raising a weight.
            mine = names_in(place, late, two[0])
            stopped = asyncio.Event()
            note = three.replicas[1].proxy.disturb

            async def stop_in_the_midst(request: web.Request, body: bytes) -> web.StreamResponse | None:
                name = route_in(request)
                if name not in mine or stopped.is_set():
                    return await note(request, body)
                if not patched_weight(body, backend_of(NEW, name), await place.get("HTTPRoute", name)):
                    return await note(request, body)
                os.kill(three.replicas[1].pid, signal.SIGSTOP)
                stopped.set()
                return conflict()

            three.replicas[1].proxy.disturb = stop_in_the_midst
            await asyncio.gather(*(model.want_the_new_version(place) for model in late))
            async with asyncio.timeout(LONG):
                await stopped.wait()
            await three.until_shared_by(2, within=LONG)
            await until_canaries(place, mine)
            asked = len(three.replicas[1].proxy.asked)
            os.kill(three.replicas[1].pid, signal.SIGCONT)
            assert await three.replicas[1].ended() == LOST
            await until_all(place, models, in_production, within=LONG, what=f"{NEW} in production")

    assert three.replicas[1].proxy.writes(asked) == []
    writers = three.writers()
    assert set(writers) == {model.name for model in models}
    for name, numbers in writers.items():
        assert len(numbers) == len(set(numbers)), f"{name} was written by {numbers}, in this order"
        shares = shares_of_the_new_version(routes, name)
        assert shares == sorted(shares), f"the share of {name} did not only rise: {shares}"


async def until_canaries(place: Place, names: set[str]) -> None:
    """Wait until these Rollouts are in the canary, or beyond it."""
    await wait_for(
        lambda: statuses_of(place),
        lambda seen: all(in_canary(seen[name]) or in_production(seen[name]) for name in names),
        within=LONG,
        what=f"the canaries of {sorted(names)}",
        describe=lambda seen: "; ".join(f"{name} {seen[name].phase} {seen[name].reason}" for name in sorted(names)),
        every=0.5,
    )

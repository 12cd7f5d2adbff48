"""Two operators, of which the leader stands still or is cut off at the worst moment: only the leader writes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from demo.behaviour import Behaviour
from demo.observe import wait_for
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from support.e2e.apiproxy import ApiProxy, api_proxy
from support.e2e.fixtures import BAD, GOOD, STABLE, program_environment
from support.e2e.manifests import backend_of, canary, production, staging, weights_in
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, SOON, Place
from support.e2e.route_patches import conflict, patched_weight
from support.e2e.watch import Seen

LOST = 3
"""The exit status of an operator that has lost the leadership."""


@dataclass(slots=True)
class Pair:
    """Two operators; the first one leads, and goes through the proxy."""

    first: OperatorControl
    second: OperatorControl
    proxy: ApiProxy

    def stop_first(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume_first(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.first.process is not None
        os.kill(self.first.process.process.pid, number)

    async def first_has_ended(self, within: float) -> int:
        assert self.first.process is not None
        async with asyncio.timeout(within):
            return await self.first.process.process.wait()


@asynccontextmanager
async def two_operators(place: Place, folder: Path) -> AsyncIterator[Pair]:
    environment = program_environment(place.cluster)
    setup = replace(setup_in(place.cluster), leader_election=True, identity="first")
    async with api_proxy(place.cluster, environment, folder) as proxy:
        first = OperatorControl(environment | {"KUBECONFIG": str(proxy.kubeconfig)}, setup, folder)
        second = replace(first.beside("second", 9412), environment=environment)
        pair = Pair(first, second, proxy)
        try:
            await first.start()
            await first.until_leading(within=LONG)
            await second.start()
            assert await second.counter("serinus_leader") == 0
            yield pair
        finally:
            # A stopped process could not be ended.
            if first.process is not None and first.process.process.returncode is None:
                pair.resume_first()
            await first.stop()
            await second.stop()


def states_with_weight(routes: Seen, backend: str, after: int) -> list[dict[str, int]]:
    weights = (weights_in(raw) for _, raw in routes.states[after:])
    return [each for each in weights if each.get(backend)]


def epochs(rollouts: Seen) -> list[int]:
    return [raw["status"]["epoch"] for _, raw in rollouts.states if "epoch" in raw.get("status", {})]


async def rolled_back(place: Place) -> RolloutStatus:
    return await place.until(lambda seen: seen.status.phase is Phase.ROLLED_BACK, within=LONG, what="RolledBack")


async def test_a_leader_that_is_stopped_in_the_midst_of_raising_a_weight_does_not_raise_it_when_it_goes_on(
    place: Place, lease_namespace: None, tmp_path: Path
) -> None:
    candidate = backend_of(GOOD)
    async with two_operators(place, tmp_path) as pair:
        await place.stand((staging(), canary("10m"), production()), STABLE, GOOD)
        stopped = asyncio.Event()

        async def stop_in_the_midst(request: web.Request, body: bytes) -> web.StreamResponse | None:
            """Answer the raise with a conflict, so that it is tried again, and stop the operator before that."""
            if request.method != "PATCH" or "/httproutes/" not in request.path or stopped.is_set():
                return None
            if not patched_weight(body, candidate, await place.get("HTTPRoute")):
                return None
            pair.stop_first()
            stopped.set()
            return conflict()

        pair.proxy.disturb = stop_in_the_midst
        async with place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
            await place.want(GOOD)
            async with asyncio.timeout(LONG):
                await stopped.wait()
            assert states_with_weight(routes, candidate, 0) == []
            await pair.second.until_leading(within=LONG)
            # The successor goes on where the run is, and then a person wants the version gone.
            await place.until_stage("canary", StageState.ANALYZING)
            await place.annotate(Command.ABORT, "it is wrong")
            status = await rolled_back(place)
            seen, asked = len(routes.states), len(pair.proxy.asked)
            pair.resume_first()
            assert await pair.first_has_ended(within=SOON) == LOST
            after = await place.status()

    assert pair.proxy.writes(asked) == []
    assert states_with_weight(routes, candidate, seen) == []
    assert (after.phase, after.run, after.rollback) == (Phase.ROLLED_BACK, status.run, status.rollback)
    assert "no longer leads: it stops writing" in pair.first.log()
    assert epochs(rollouts) == sorted(epochs(rollouts))
    assert epochs(rollouts)[-1] > epochs(rollouts)[0]


async def test_a_leader_that_is_cut_off_ends_and_its_successor_takes_the_traffic_from_the_bad_version(
    place: Place, lease_namespace: None, tmp_path: Path
) -> None:
    async with two_operators(place, tmp_path) as pair:
        await place.stand((staging(), canary("10m"), production()), STABLE, BAD)
        async with place.traffic(), place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
            await place.want(BAD)
            await place.until_stage("canary", StageState.ANALYZING)
            # It goes on asking Prometheus, so it finds the breach too, and cannot act on it.
            pair.proxy.cut = True
            await place.servers[BAD].behave(Behaviour(failing_share=1.0))
            assert await pair.first_has_ended(within=LONG) == LOST
            await pair.second.until_leading(within=LONG)
            status = await rolled_back(place)
            seen, asked = len(routes.states), len(pair.proxy.asked)
            pair.proxy.cut = False
            after = await place.status()

    assert status.rollback is not None
    assert status.rollback.condition == "error_rate > 0.5%"
    assert states_with_weight(routes, backend_of(BAD), seen) == []
    assert pair.proxy.writes(asked) == []
    assert (after.phase, after.rollback) == (Phase.ROLLED_BACK, status.rollback)
    assert epochs(rollouts) == sorted(epochs(rollouts))


@pytest.mark.parametrize("kind", ["httproutes", "rollouts"])
async def test_a_leader_that_is_stopped_in_the_midst_of_a_rollback_leaves_the_rest_to_its_successor(
    place: Place, lease_namespace: None, tmp_path: Path, kind: str
) -> None:
    candidate = backend_of(BAD)
    async with two_operators(place, tmp_path) as pair:
        await place.stand((staging(), canary("10m"), production()), STABLE, BAD)
        stopped = asyncio.Event()

        async def stop_in_the_midst(request: web.Request, _body: bytes) -> web.StreamResponse | None:
            if request.method != "PATCH" or f"/{kind}/" not in request.path or stopped.is_set():
                return None
            pair.stop_first()
            stopped.set()
            return conflict()

        async with place.traffic(), place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
            await place.want(BAD)
            await place.until_stage("canary", StageState.ANALYZING)
            pair.proxy.disturb = stop_in_the_midst
            await place.servers[BAD].behave(Behaviour(failing_share=1.0))
            async with asyncio.timeout(LONG):
                await stopped.wait()
            status = await rolled_back(place)
            seen, asked = len(routes.states), len(pair.proxy.asked)
            pair.resume_first()
            assert await pair.first_has_ended(within=SOON) == LOST
            await wait_for(place.weights, lambda weights: not weights.get(candidate), within=SOON, what="weight 0")

    assert status.rollback is not None
    assert pair.proxy.writes(asked) == []
    assert states_with_weight(routes, candidate, seen) == []
    assert epochs(rollouts) == sorted(epochs(rollouts))

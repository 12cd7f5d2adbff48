"""Versions that leave users without a complete answer, or refuse them: the guards find them, whatever the plan says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from demo.behaviour import Behaviour
from serinus.api.rollout_status import Phase, RollbackReason, RolloutStatus, StageState
from support.e2e.fixtures import BAD, GOOD, STABLE
from support.e2e.load import ManyHosts, traffic_to
from support.e2e.manifests import ERRORS, LATENCY, PORT, backend_of, backend_ref, canary, production, rule, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import Place, shares_seen
from support.servers.faulty_model import Fault, faulty_model
from support.servers.grpc_model import grpc_model

UNANSWERED: Final = "unanswered_rate > stable + 1%"
REFUSED: Final = "client_error_rate > stable + 2%"
RATE: Final = 40.0
PATIENCE: Final = 1.0
"""Seconds: shorter than any time-out of the route, so that the gateway never answers for the version."""

FAULTY: Final = "198.18.250.71"
GRPC: Final = {STABLE: "198.18.250.72", BAD: "198.18.250.73"}
GRPC_PATH: Final = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, slots=True)
class Broken:
    """A version that a release of 24 November promoted or held at 30 % (findings-live.md)."""

    fault: Fault
    every: int
    conditions: tuple[str, ...]
    guard: str
    sentence: str


VERSIONS: Final = {
    "hangs on every request": Broken(Fault.HANG, 1, (LATENCY, ERRORS), UNANSWERED, "got no complete answer"),
    "hangs on every third request": Broken(Fault.HANG, 3, (LATENCY, ERRORS), UNANSWERED, "got no complete answer"),
    "breaks every answer off": Broken(Fault.RESET_IN_BODY, 1, (ERRORS,), UNANSWERED, "got no complete answer"),
    "breaks every answer off, with both limits": Broken(
        Fault.RESET_IN_BODY, 1, (LATENCY, ERRORS), UNANSWERED, "got no complete answer"
    ),
    "breaks every third answer off": Broken(
        Fault.RESET_IN_BODY, 3, (LATENCY, ERRORS), UNANSWERED, "got no complete answer"
    ),
    "refuses everybody": Broken(Fault.REFUSE, 1, (ERRORS,), REFUSED, "were refused as the client's mistake (4xx)"),
}


def a_third(*conditions: str, duration: str = "10s") -> dict[str, object]:
    return canary(duration, traffic="30%", abortOn=list(conditions))


@asynccontextmanager
async def users(place: Place, **fields: Any) -> AsyncIterator[ManyHosts]:
    """Clients that go away after a second."""
    async with traffic_to(place.cluster.gateway_url, [place.hostname], RATE, patience=PATIENCE, **fields) as load:
        yield load


@pytest.mark.parametrize("broken", VERSIONS.values(), ids=VERSIONS)
async def test_a_version_that_leaves_users_without_an_answer_is_rolled_back(
    operator: OperatorControl, place: Place, broken: Broken
) -> None:
    there = replace(place, servers={**place.servers, BAD: replace(place.servers[BAD], address=FAULTY)})
    async with faulty_model(FAULTY, PORT, broken.fault, broken.every):
        await there.stand((staging(), a_third(*broken.conditions), production("3s")), STABLE, BAD)
        async with users(there), there.watching("HTTPRoute") as routes:
            await there.want(BAD)
            status = await there.until_ended(BAD)

    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.condition) == (RollbackReason.METRIC_BREACHED, broken.guard)
    assert broken.sentence in said(status, broken.guard)
    assert shares_seen(routes, backend_of(BAD)) == [0, 30, 0]


async def test_a_version_that_begins_to_hang_at_100_percent_is_rolled_back(
    operator: OperatorControl, place: Place
) -> None:
    there = replace(place, servers={**place.servers, BAD: replace(place.servers[BAD], address=FAULTY)})
    async with faulty_model(FAULTY, PORT, Fault.HANG, every=3) as model:
        model.after = 10**9
        await there.stand((staging(), a_third(ERRORS), production("60s", abortOn=[ERRORS])), STABLE, BAD)
        async with users(there), there.watching("HTTPRoute") as routes:
            await there.want(BAD)
            await there.until_stage("production", StageState.ANALYZING)
            model.after = 0
            status = await there.until_ended(BAD)

    assert status.rollback is not None
    assert status.rollback.reason is RollbackReason.METRIC_BREACHED
    assert status.rollback.condition.startswith("unanswered_rate > ")
    assert shares_seen(routes, backend_of(BAD)) == [0, 30, 100, 0]


def said(status: RolloutStatus, line: str) -> str:
    """The message of a condition's evidence."""
    return next(one.message for one in status.evidence if one.condition == line)


async def test_clients_that_leave_a_healthy_version_are_no_fault_of_it(operator: OperatorControl, place: Place) -> None:
    slow = Behaviour(slow_share=0.3, latency_seconds=2 * PATIENCE)
    for version in (STABLE, GOOD):
        await place.servers[version].behave(slow)
    await place.stand((staging(), a_third(ERRORS), production("3s", abortOn=[ERRORS])), STABLE, GOOD)
    async with users(place) as load, place.watching("HTTPRoute") as routes:
        await place.want(GOOD)
        status = await place.until_ended(GOOD)

    assert load.statuses[0] > 0, "some clients left"
    assert (status.phase, status.rollback) == (Phase.HEALTHY, None)
    assert shares_seen(routes, backend_of(GOOD)) == [0, 30, 100]


async def test_a_version_whose_grpc_status_is_an_error_is_rolled_back_although_each_response_is_200(
    operator: OperatorControl, place: Place
) -> None:
    moved = {version: replace(place.servers[version], address=address) for version, address in GRPC.items()}
    there = replace(place, servers={**place.servers, **moved})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(grpc_model(GRPC[STABLE], PORT))
        await stack.enter_async_context(grpc_model(GRPC[BAD], PORT, status=13))
        calls = rule("predict", backend_ref(backend_of(STABLE), 1), path="/inference.GRPCInferenceService")
        await there.stand((a_third(ERRORS), production("3s", abortOn=[ERRORS])), STABLE, BAD, rules=[calls])
        for version in (STABLE, BAD):
            port = {"name": "grpc", "port": PORT, "targetPort": PORT, "appProtocol": "kubernetes.io/h2c"}
            await there.api.merge(f"{there.path('Service')}/{backend_of(version)}", {"spec": {"ports": [port]}})
        grpc = {"Content-Type": "application/grpc", "TE": "trailers"}
        await stack.enter_async_context(users(there, path=GRPC_PATH, headers=grpc))
        routes = await stack.enter_async_context(there.watching("HTTPRoute"))
        await there.want(BAD)
        status = await there.until_ended(BAD)

    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.condition) == (RollbackReason.METRIC_BREACHED, ERRORS)
    assert shares_seen(routes, backend_of(BAD)) == [0, 30, 0]

"""Two processes and one Lease on the real API server: never two leaders, and never none for long."""

import asyncio
from typing import Any

import pytest

from serinus.api.names import ObjectKey
from serinus.errors import RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.lease import LeaseElection, LeaseTimes
from support.kube.client import SystemClock, eventually

QUICK = LeaseTimes(duration=3.0, renew_every=0.3, call=0.5, give_up=2.0, retry_every=0.1)
LONG = LeaseTimes(duration=120.0, renew_every=0.3, call=10.0, give_up=100.0, retry_every=0.1)
"""So long that what happens within the patience of a test did not wait for the Lease to end."""

PATIENCE = 60.0


class Cuttable:
    """A client whose wire can be cut: from then on every call hangs."""

    def __init__(self, api: KubernetesClient) -> None:
        self._api = api
        self.cut = False

    async def request(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        if self.cut:
            await asyncio.Event().wait()
        return await self._api.request(method, path, **rest)


def candidate(client: Any, namespace: str, name: str, times: LeaseTimes = QUICK) -> LeaseElection:
    return LeaseElection(client, SystemClock(), ObjectKey(namespace, "serinus"), name, times=times)


def lease_path(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/serinus"


async def test_of_two_candidates_one_leads_and_the_other_takes_over_when_it_goes(
    api: KubernetesClient, namespace: str
) -> None:
    first, second = candidate(api, namespace, "a", LONG), candidate(api, namespace, "b", LONG)
    leading = asyncio.create_task(first.run())
    await asyncio.wait_for(first.elected(), PATIENCE)
    waiting = asyncio.create_task(second.run())
    before = (first.epoch, second.epoch)

    leading.cancel()
    await asyncio.wait_for(second.elected(), PATIENCE)  # the Lease lasts longer: it was given back

    after = (first.epoch, second.epoch)
    assert before[0] is not None
    assert after[1] is not None
    assert (before[1], after[0]) == (None, None)
    assert after[1] > before[0]
    waiting.cancel()


async def test_a_leader_that_is_cut_off_stops_before_another_begins(api: KubernetesClient, namespace: str) -> None:
    wire = Cuttable(api)
    first, second = candidate(wire, namespace, "a"), candidate(api, namespace, "b")
    leading = asyncio.create_task(first.run())
    await asyncio.wait_for(first.elected(), PATIENCE)
    waiting = asyncio.create_task(second.run())
    overlaps: list[tuple[int | None, int | None]] = []

    wire.cut = True

    async def taken_over() -> bool:
        if first.epoch is not None and second.epoch is not None:
            overlaps.append((first.epoch, second.epoch))
        return second.epoch is not None

    await eventually(taken_over, why="the second candidate to take over")
    assert overlaps == []
    await asyncio.wait_for(leading, PATIENCE)  # it returned by itself, so that its process can exit
    waiting.cancel()


async def test_a_lease_that_somebody_takes_away_is_noticed_at_the_next_renewal(
    api: KubernetesClient, namespace: str
) -> None:
    leader = candidate(api, namespace, "a", LONG)
    leading = asyncio.create_task(leader.run())
    await asyncio.wait_for(leader.elected(), PATIENCE)
    usurped = {"spec": {"holderIdentity": "somebody-else", "leaseTransitions": 2_000_000_000}}
    await api.request("PATCH", lease_path(namespace), body=usurped, content_type=MERGE_PATCH)
    await asyncio.wait_for(leading, PATIENCE)
    assert leader.epoch is None


async def test_a_lease_made_anew_begins_with_a_term_above_all_before_it(api: KubernetesClient, namespace: str) -> None:
    first = candidate(api, namespace, "a")
    leading = asyncio.create_task(first.run())
    await asyncio.wait_for(first.elected(), PATIENCE)
    term = first.epoch
    await api.request("DELETE", lease_path(namespace))
    await asyncio.wait_for(leading, PATIENCE)

    second = candidate(api, namespace, "b")
    waiting = asyncio.create_task(second.run())
    await asyncio.wait_for(second.elected(), PATIENCE)
    assert term is not None
    assert second.epoch is not None
    assert second.epoch >= term
    waiting.cancel()


async def test_the_lease_never_gets_a_shape_that_the_api_server_refuses(api: KubernetesClient, namespace: str) -> None:
    leader = candidate(api, namespace, "a")
    leading = asyncio.create_task(leader.run())
    await asyncio.wait_for(leader.elected(), PATIENCE)
    leading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leading
    spec = (await api.request("GET", lease_path(namespace)))["spec"]
    assert (spec.get("holderIdentity"), spec["leaseDurationSeconds"]) in {("", 1), (None, 1)}
    with pytest.raises(RefusedError):
        await api.request(
            "PATCH", lease_path(namespace), body={"spec": {"leaseDurationSeconds": 0}}, content_type=MERGE_PATCH
        )

"""A start with thousands of objects leaves the event loop its turns, for the probes and the Lease."""

from typing import Any, Final

import msgspec

from serinus.kube.cluster import ApiCluster
from serinus.ports.cluster_state import ModelVersionRecord
from support.kube.scripted import client_of, respond_raw, scripted
from support.loop_watch import callbacks_of_this_thread
from support.manifests.builders import model_version
from support.records import key
from support.renamed import renamed
from support.rig import Rig
from support.virtual_loop import in_virtual_time

MANY: Final = 2000
SHARE: Final = 0.25
"""Of all CPU time that the work takes, the longest turn has less: seconds would depend on the machine."""


def stored(number: int) -> dict[str, Any]:
    raw = model_version()
    name = f"{raw['metadata']['name']}-{number}"
    identity = {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return raw | {"metadata": raw["metadata"] | identity}


async def test_a_page_of_a_list_is_read_in_turns() -> None:
    page = msgspec.json.encode(
        {"items": [stored(number) for number in range(1000)], "metadata": {"resourceVersion": "1"}}
    )
    async with scripted(respond_raw(page)) as server, client_of(server.url) as client:
        with callbacks_of_this_thread() as callbacks:
            listed = await ApiCluster(client).list_all(ModelVersionRecord)
    assert len(listed.records) == 1000
    assert callbacks.longest < SHARE * callbacks.total


@in_virtual_time
async def test_the_first_list_of_many_rollouts_is_taken_in_in_turns() -> None:
    rig = Rig()
    rig.model()
    mine = rig.cluster.rollout(key())
    for number in range(MANY):
        rig.cluster.put(renamed(mine, "fraud", f"m{number:04}"))
    with callbacks_of_this_thread() as callbacks:
        async with rig.running():
            assert len(rig.cache.rollouts()) == MANY + 1
    assert callbacks.longest < SHARE * callbacks.total

"""What one whole run costs the API server: the writes that it carries out, by kind.

Those that it refuses because another writer was first are left out: how many there are is up to the machine.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from demo.observe import wait_for
from support.e2e.fixtures import GOOD, STABLE, operator_behind_proxy
from support.e2e.manifests import canary, production, staging
from support.e2e.place import SOON, Place

MOST = {
    # The beginning, two new weights and that each is accepted, the promotion, and that its records are delivered; on a
    # busy machine also what is shown of a stage that lasts longer.
    "rollouts/status": 10,
    # On with the first record, off while nothing has weight or waits, and the same once more.
    "rollouts": 4,
    "httproutes": 3,
    "events": 8,
    "auditrecords": 9,
    # One for each record: no more than one may be beyond the head, or ``serinus audit verify`` tells of it. Where the
    # records of the version and of the Rollout come together, each of the two writers may bring the head up to date.
    "models/status": 14,
    "modelversions/status": 9,
}
"""Writes of one run at most, the registration of its version included."""

_KIND = re.compile(r"/namespaces/[^/]+/(?P<kind>[a-z]+)(?:/[^/]+(?P<part>/[a-z]+)?)?$")


def kinds(writes: Iterable[str]) -> Counter[str]:
    found = (_KIND.search(one.split(" ", 1)[1]) for one in writes)
    return Counter(f"{match['kind']}{match['part'] or ''}" if match else "other" for match in found)


async def test_a_whole_run_writes_each_thing_once(place: Place, tmp_path: Path) -> None:
    async with operator_behind_proxy(place.cluster, tmp_path) as (operator, proxy):
        await operator.start()
        await place.stand((staging(), canary(), production()), STABLE, GOOD)
        await until_settled(place)
        before = len(proxy.granted)
        async with place.traffic():
            await place.want(GOOD)
            await place.until_ended(GOOD)
        await until_settled(place)
    writes = kinds(proxy.granted_writes(before))
    assert {kind for kind in writes if writes[kind] > MOST.get(kind, 0)} == set(), writes


async def until_settled(place: Place) -> None:
    """Wait until every record of the Rollout is delivered."""
    await wait_for(
        lambda: place.get("Rollout"),
        lambda raw: not raw["status"].get("records") and not raw["metadata"].get("finalizers"),
        within=SOON,
        what="the delivery of the records",
    )

"""Who answers the clients once a version must have no traffic, and whether the status says the same."""

import time
from collections import Counter
from collections.abc import Sequence

from demo.observe import wait_for
from demo.traffic.requestlog import RequestLog, RequestRecord
from serinus.api.rollout_status import RolloutStatus
from support.e2e.manifests import backend_of, weights_in
from support.e2e.place import SOON, Place
from support.e2e.watch import Seen

GRACE = 1.0
"""Seconds from the write of the route until Envoy has it and has ended the requests that it had taken in before."""

ENOUGH = 200


async def after_the_last_exposure(place: Place, log: RequestLog, routes: Seen, version: str) -> Sequence[RequestRecord]:
    """Wait until the route gives a version nothing any more; return what clients sent from a second later on."""
    exposed = [number for number, (_, raw) in enumerate(routes.states) if weights_in(raw).get(backend_of(version))]
    assert exposed, f"the route never gave {version} any weight"
    written, _ = await routes.until(
        lambda raw: not weights_in(raw).get(backend_of(version)),
        within=SOON,
        what=f"weight 0 of {version}",
        after=exposed[-1],
    )
    return await sent_after(log, written + GRACE)


async def sent_after(log: RequestLog, moment: float) -> Sequence[RequestRecord]:
    """Return at least 200 requests that were sent after a moment, in seconds since 1970."""

    async def look() -> Sequence[RequestRecord]:
        return [record for record in log.read() if record.started >= moment]

    return await wait_for(
        look,
        lambda sent: len(sent) >= ENOUGH,
        within=SOON,
        what=f"{ENOUGH} requests",
        describe=lambda sent: str(len(sent)),
    )


async def now_sent(log: RequestLog) -> Sequence[RequestRecord]:
    """Return at least 200 requests that are sent from now on."""
    return await sent_after(log, time.time())


def reached(records: Sequence[RequestRecord], version: str) -> list[RequestRecord]:
    """Return the requests that a version answered."""
    return [record for record in records if record.version == version]


def agrees(status: RolloutStatus, records: Sequence[RequestRecord]) -> None:
    """Assert that the weights of the status are the shares of the requests that clients saw.

    The tolerance is four standard deviations of 200 requests at 5 %, and more than that for a share between.
    """
    answered = Counter(record.version for record in records)
    told = {one.version: one.weight for one in (status.stable, status.candidate) if one is not None}
    seen = {version: 100 * answered[version] / len(records) for version in told}
    for version, weight in told.items():
        tolerance = 0.0 if weight in {0.0, 100.0} else 6.5
        assert abs(seen[version] - weight) <= tolerance, (told, dict(answered))

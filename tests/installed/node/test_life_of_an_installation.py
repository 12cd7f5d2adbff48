"""What administrators do with an installation while a version is in canary moves no weight and loses nothing."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from demo.observe import wait_for
from serinus.api.rollout_status import StageState
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import backend_of, canary, production, staging
from support.e2e.place import LONG, SOON, Place, shares_seen
from support.image.result import NEXT, note
from support.kubectl import Kubectl
from support.realnode.installation import Installation

_CANARY: Final = "6m"
_TO_ITS_END: Final = 600.0


def _upgrade(serinus: Installation, admin: Kubectl) -> None:
    serinus.upgrade(f"--set=image.tag={NEXT.rpartition(':')[2]}", "--set=resources.limits.memory=640Mi")
    serinus.until_ready()
    assert {pod["spec"]["containers"][0]["image"] for pod in serinus.pods()} == {NEXT}


def _helm_rollback(serinus: Installation, admin: Kubectl) -> None:
    serinus.helm("rollback", serinus.release.name)
    serinus.until_ready()
    assert NEXT not in {pod["spec"]["containers"][0]["image"] for pod in serinus.pods()}


def _drain_the_leaders_node(serinus: Installation, admin: Kubectl) -> None:
    leader = serinus.leader()
    (node,) = {pod["spec"]["nodeName"] for pod in serinus.pods() if pod["metadata"]["name"] == leader}
    admin("drain", node, "--delete-emptydir-data", "--timeout=50s")
    serinus.until_ready()
    admin("uncordon", node)
    assert serinus.leader() != leader


def _install_anew(serinus: Installation, admin: Kubectl) -> None:
    serinus.helm("uninstall", serinus.release.name, "--wait")
    assert serinus.pods() == []
    serinus.install_again()
    serinus.until_ready()


_ACTS: Final[tuple[Callable[[Installation, Kubectl], None], ...]] = (
    _upgrade,
    _helm_rollback,
    _drain_the_leaders_node,
    _install_anew,
)


async def test_a_canary_survives_upgrade_rollback_drain_and_a_new_installation(
    serinus: Installation, admin: Kubectl, place: Place
) -> None:
    await place.stand((staging(), canary(_CANARY), production()), STABLE, GOOD)
    async with place.traffic(most=900), place.watching("HTTPRoute") as routes:
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        for act in _ACTS:
            begun = time.monotonic()
            await asyncio.to_thread(act, serinus, admin)
            note(**{f"seconds{act.__name__}": round(time.monotonic() - begun, 1)})
            await _judged_after(place, datetime.now(UTC))
            assert (await place.status()).stage is not None, f"the run has ended during {act.__name__}"
            assert shares_seen(routes, backend_of(GOOD)) == [0, 5]
        await place.until_ended(GOOD, within=_TO_ITS_END)

    assert shares_seen(routes, backend_of(GOOD)) == [0, 5, 100]
    reasons = [reason for reason, _ in await place.events()]
    assert reasons.count("RolloutStarted") == reasons.count("RolloutPromoted") == 1
    assert "RollbackStarted" not in reasons
    records = await wait_for(
        lambda: _recorded(place), lambda found: "Promoted" in found, within=SOON, what="a record of the promotion"
    )
    assert records.count("RolloutStarted") == records.count("Promoted") == 1


async def _recorded(place: Place) -> list[str]:
    return [record["spec"]["event"] for record in await place.all("AuditRecord")]


async def _judged_after(place: Place, moment: datetime) -> None:
    """Wait until figures are stored that were judged after this moment: some process judges again."""
    await place.until(
        lambda seen: any(one.at > moment for one in seen.status.evidence), within=LONG, what=f"figures after {moment}"
    )

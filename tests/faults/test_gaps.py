"""What happens between the operator's own list and its watch is not lost."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from demo.observe import wait_for
from support.e2e.fixtures import GOOD, STABLE, operator_behind_proxy
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import setup_in
from support.e2e.place import SOON, Place

KINDS = {
    "modelversions": ("ModelVersion", f"{MODEL}-v{GOOD}"),
    "rollouts": ("Rollout", MODEL),
    "httproutes": ("HttpRoute", MODEL),
    "models": ("Model", MODEL),
}


async def recorded(place: Place) -> set[str]:
    return {raw["spec"]["event"] for raw in await place.all("AuditRecord")}


@pytest.mark.parametrize("plural", KINDS)
async def test_an_object_that_is_deleted_between_the_operators_list_and_its_watch_is_gone_for_it_within_seconds(
    place: Place, tmp_path: Path, plural: str
) -> None:
    kind, name = KINDS[plural]
    # Only this namespace: what earlier tests left to be deleted in theirs must not be counted.
    setup = replace(setup_in(place.cluster), settings={"namespaces": [place.namespace]})
    async with operator_behind_proxy(place.cluster, tmp_path, setup) as (operator, proxy):
        asked, deleted = asyncio.Event(), asyncio.Event()

        async def hold_kopfs_list(request: web.Request, _: bytes) -> None:
            """Let kopf's first list of the kind wait until the object is gone."""
            by_kopf = request.headers.get("User-Agent", "").startswith("kopf")
            if by_kopf and request.path.endswith(f"/{plural}") and "watch" not in request.query:
                asked.set()
                await deleted.wait()

        async def known() -> float:
            return await operator.counter(rf'serinus_objects\{{kind="{kind}"\}}')

        await operator.start()
        await place.stand((staging(), canary(), production()), STABLE, GOOD)
        await wait_for(
            lambda: place.get("Rollout"),
            lambda raw: not raw["metadata"].get("finalizers"),
            within=SOON,
            what="the delivery of the records, before which no Rollout goes",
        )
        there = len(await place.all("HTTPRoute" if kind == "HttpRoute" else kind))
        await operator.stop()

        proxy.disturb = hold_kopfs_list
        # It is not ready before kopf watches.
        await operator.start(ready=False)
        async with asyncio.timeout(SOON):
            await asked.wait()
        # kopf's list may come before the operator's own, which must know the object first.
        await wait_for(known, lambda now: now == there, within=SOON, what=f"the operator's list of {plural}")
        await place.kubectl.run(["delete", plural, name, "-n", place.namespace])
        deleted.set()
        if kind == "Model":
            # The record of the deletion needs a Model, which is made anew.
            await wait_for(lambda: recorded(place), lambda events: "ModelDeleted" in events, within=SOON, what="it")
        else:
            await wait_for(known, lambda now: now == there - 1, within=SOON, what=f"the deletion of the {kind}")

"""How long a bad version keeps its traffic once Prometheus shows that it is bad; prints, judges nothing.

    export PYTHONPATH=deploy/local
    python -m localcluster run --scrape-interval 1s -- python tests/benchmarks/rollback_latency.py

Each rollback: a canary runs at 5 %, its server begins to fail every request, and two clocks are read. *Visible* is when
the first question was sent to Prometheus whose answer shows three failed requests and more than the tolerated share, by
other expressions than the operator's. *Safe* is when the watch of the route brings a candidate weight of 0 that every
parent has accepted. This process asks Prometheus every 50 ms, so a figure may be that much too small. The operator is
started anew before each, 50 ms later in the second, so that its ticks fall everywhere between two scrapes.
"""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "deploy/local", "tests")]

import aiohttp  # noqa: E402 - the paths above come first

from benchmarks.scale.prometheus import quantile  # noqa: E402
from demo.behaviour import Behaviour  # noqa: E402
from demo.metrics.prometheus import Counts, Probe, is_visible  # noqa: E402
from demo.observe import wait_for  # noqa: E402
from localcluster.api import Api  # noqa: E402
from localcluster.client import Cluster  # noqa: E402
from serinus.api.abort_condition import parse_abort_condition  # noqa: E402
from serinus.api.names import Command  # noqa: E402
from serinus.api.rollout_status import Phase, StageState  # noqa: E402
from support.e2e.fixtures import BAD, STABLE, program_environment  # noqa: E402
from support.e2e.manifests import ERRORS, backend_of, canary, envoy_cluster_of, production, staging  # noqa: E402
from support.e2e.operator import OperatorControl, setup_in  # noqa: E402
from support.e2e.place import SOON, Place, accepted_without  # noqa: E402
from support.e2e.servers import serving  # noqa: E402

CONDITION: Final = parse_abort_condition(ERRORS)
GLANCE: Final = 0.05
PHASES: Final = 20
LEAST_BEFORE: Final = 20
"""So many good requests the canary has had before it fails: it is in the midst of its stage."""


async def measure(rollbacks: int, rate: float, folder: Path) -> list[float]:
    """Roll back so often and return how long each took, in seconds."""
    cluster = Cluster.current()
    environment = program_environment(cluster)
    operator = OperatorControl(environment, setup_in(cluster), folder)
    async with (
        Api(cluster.kubeconfig) as api,
        serving(environment, (STABLE, BAD), folder) as servers,
        aiohttp.ClientSession() as session,
    ):
        namespace = f"rollback-latency-{os.getpid()}"
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        place = Place(
            cluster=cluster, environment=environment, api=api, namespace=namespace, servers=servers, folder=folder
        )
        try:
            await operator.start()
            await place.stand((staging(), canary("10m"), production()), STABLE, BAD)
            async with place.traffic(rate):
                await place.want(BAD)
                probe = Probe(session, cluster.prometheus_url)
                took = []
                for number in range(rollbacks):
                    await shift_ticks(operator, number)
                    took.append(await once(place, probe, number))
                return took
        finally:
            await api.request("DELETE", place.path("Rollout"))
            await api.request("DELETE", f"/api/v1/namespaces/{namespace}")
            await operator.stop()


async def shift_ticks(operator: OperatorControl, number: int) -> None:
    """Start the operator anew at another part of a second: its ticks and the scrapes would else keep their distance."""
    await operator.stop()
    await asyncio.sleep(1 + number % PHASES * GLANCE - time.time() % 1)
    await operator.start()


async def once(place: Place, probe: Probe, number: int) -> float:
    """Let the canary fail in the midst of its stage, and be tried again afterwards."""
    await place.until_stage("canary", StageState.ANALYZING)
    await until_served(place, probe)
    async with place.watching("HTTPRoute") as routes:
        seen = asyncio.create_task(until_visible(place, probe))
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        safe_at, _ = await routes.until(accepted_without(backend_of(BAD)), within=SOON, what="candidate weight 0")
        visible_at = await seen
    took = safe_at - visible_at
    print(f"rollback {number + 1}: {took:.3f} s", flush=True)
    await place.servers[BAD].behave(Behaviour())
    await place.until(lambda view: view.status.phase is Phase.ROLLED_BACK, within=SOON, what="RolledBack")
    await place.annotate(Command.RETRY, f"measurement {number + 1}")
    return took


async def until_served(place: Place, probe: Probe) -> None:
    """Wait until the canary has had some good requests in this stage."""
    first = await counts(place, probe)
    await wait_for(
        lambda: counts(place, probe),
        lambda now: now.since(first).requests >= LEAST_BEFORE,
        within=SOON,
        what=f"{LEAST_BEFORE} requests to the canary",
    )


async def until_visible(place: Place, probe: Probe) -> float:
    """Return when the question was sent whose answer shows the breach, in seconds since 1970."""
    before = await counts(place, probe)

    async def look() -> tuple[float, Counts]:
        asked = time.time()
        return asked, await counts(place, probe)

    found = await wait_for(
        look,
        lambda seen: is_visible(CONDITION, seen[1].since(before)),
        within=SOON,
        what="a visible breach",
        every=GLANCE,
    )
    return found[0]


async def counts(place: Place, probe: Probe) -> Counts:
    return await probe.counts(CONDITION, f'envoy_cluster_name="{envoy_cluster_of(place.namespace, BAD)}"')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure rollbacks on the local cluster around this process.")
    parser.add_argument("--rollbacks", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second; 5 %% go to the canary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rollback-latency-") as folder:
        took = asyncio.run(measure(options.rollbacks, options.rate, Path(folder)))
    interval = Cluster.current().settings.scrape_interval
    figures = ", ".join(f"{name} {quantile(took, share):.2f} s" for name, share in (("p50", 0.5), ("p99", 0.99)))
    print(
        f"breach visible in Prometheus -> candidate weight 0 accepted: {figures}, max {max(took):.2f} s"
        f" ({len(took)} rollbacks, scrape interval {interval}, {options.rate:g} requests/s, {os.cpu_count()} cores)"
    )
    print(f"command: python -m localcluster run --scrape-interval {interval} -- python {shlex.join(sys.argv)}")


if __name__ == "__main__":
    main()

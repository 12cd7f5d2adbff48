"""``make test-faults``: every point, on a real API server; writes ``result.json`` and ``details.json`` to ``.faults``.

Run it under ``python -m localcluster run --without gateway,prometheus,node``.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from math import inf
from pathlib import Path
from typing import Any, Final

from localcluster.client import Cluster
from support.e2e.fixtures import program_environment
from support.faultpoints.campaign import Campaign, all_undisturbed
from support.faultpoints.plans import chosen, points_of, sampled
from support.faultpoints.run import world_in

_PARALLEL: Final = 4
_MOST: Final = 40
_TOGETHER: Final = 8


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a person waits for it


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="support.faultpoints", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".faults"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=_PARALLEL)
    parser.add_argument("--together", type=int, default=_TOGETHER, help="points in one run")
    parser.add_argument("--most", type=int, default=_MOST, help="points of a class, beside the kills")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no other run after so many")
    parser.add_argument("--sample", type=int, default=0, help="only so many points, of all classes alike")
    parser.add_argument("--only", default="", help="only points whose name contains this")
    return parser.parse_args()


async def _main(arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    arguments.output.mkdir(parents=True, exist_ok=True)
    cluster = Cluster.current()
    with tempfile.TemporaryDirectory(prefix="faultpoints-") as folder:
        async with world_in(cluster, program_environment(cluster), Path(folder)) as world:
            expected = await all_undisturbed(world)
            every = [point for story, outcome in expected.items() for point in points_of(story, outcome.calls)]
            points = [point for point in every if arguments.only in str(point)]
            points = points if arguments.only else chosen(points, arguments.most, arguments.seed)
            points = sampled(points, arguments.sample, arguments.seed) if arguments.sample else points
            _tell(
                f"{len(points)} of {len(every)} points, seed {arguments.seed}, after {time.monotonic() - begun:.0f} s"
            )

            def save(campaign: Campaign) -> None:
                details = campaign.details() | {"seed": arguments.seed, "possible": len(every)}
                details["seconds"] = round(time.monotonic() - begun)
                _write(arguments.output / "result.json", campaign.result())
                _write(arguments.output / "details.json", details)

            campaign = Campaign(world, expected, arguments.parallel, _tell, save)
            await campaign.run(points, arguments.together, arguments.seed, seconds=60 * arguments.minutes)
            save(campaign)
    failures = sum(one["failures"] for one in campaign.result().values())
    details = campaign.details()
    _tell(f"{details['points']} points, {failures} failures, {details['unreached']} points were not reached")
    return 1 if failures else 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_arguments())))

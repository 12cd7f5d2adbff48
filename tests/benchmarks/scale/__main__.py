"""Measure one scenario: ``python -m benchmarks.scale canary --rollouts 1000``, in a local cluster.

    python -m localcluster run --without gateway,node -- python -m benchmarks.scale canary --rollouts 1000

``canary``: all in canary; then some fail one by one, then all others at once. ``rest``: all settled. ``start``: a start
beside settled ones, of which some are in canary. ``run``: the writes of one whole run. ``decide``: what one decision
costs, without a cluster. The figures are merged into ``.bench/result.json``.
"""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import argparse
import asyncio

from benchmarks.decide_cost import decisions
from benchmarks.scale import breach, profile, results, scenarios
from benchmarks.scale.objects import ERRORS, stages
from benchmarks.scale.process import measured_checkout
from benchmarks.scale.prometheus import received
from benchmarks.scale.scenarios import Figures
from benchmarks.scale.world import Size, World, world
from support.e2e.manifests import LATENCY


async def measure(options: argparse.Namespace) -> Figures:
    """Make the world that the scenario needs, and measure."""
    conditions = (LATENCY, ERRORS) if options.conditions == "both" else (ERRORS,)
    long = options.scenario != "run"
    plan = stages("6h" if long else "30s", "1h" if long else "30s", conditions, options.burst)
    canaries = {"canary": options.rollouts, "start": options.sample}.get(options.scenario, 0)
    size = Size(options.rollouts, canaries)
    async with world(size, plan, rate=options.rate, quiet=options.quiet) as made:
        match options.scenario:
            case "start":
                return await start(made, options)
            case "rest":
                async with made.operator() as operator:
                    return await scenarios.rest(made, operator, options.seconds)
            case "run":
                async with made.operator():
                    return await scenarios.one_run(made)
            case _:
                return await canary(made, options)


async def start(made: World, options: argparse.Namespace) -> Figures:
    asked = await received(made.session, made.cluster.prometheus_url)
    async with made.operator() as operator, profile.recording(operator, options.profile):
        return await scenarios.start(made, operator, asked)


async def canary(made: World, options: argparse.Namespace) -> Figures:
    async with made.operator() as operator:
        await scenarios.until_judging(made, operator)
        async with profile.recording(operator, options.profile):
            figures = await scenarios.canary(made, operator, options.seconds)
        say("in canary", figures)
        if options.sample:
            one = await breach.one_by_one(made, made.names[: options.sample], options.apart, options.seed)
            say("failing one by one", one)
            figures |= {f"one_by_one_{name}": value for name, value in one.items()}
        async with profile.recording(operator, options.profile and f"{options.profile}-breach"):
            once = await breach.at_once(made, made.names[options.sample :])
        return figures | {f"at_once_{name}": value for name, value in once.items()}


def say(what: str, figures: Figures) -> None:
    text = "\n".join(f"  {name}: {value:.4g}" for name, value in figures.items())
    print(f"{what}:\n{text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("scenario", choices=("start", "rest", "canary", "run", "decide"))
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second of each model")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measuring window")
    parser.add_argument("--sample", type=int, default=40, help="canaries that fail one by one; canaries of a start")
    parser.add_argument("--apart", type=float, default=2.0, help="seconds between two that fail one by one")
    parser.add_argument("--seed", type=int, default=20261129)
    parser.add_argument("--quiet", action="store_true", help="models without a run have no series")
    parser.add_argument("--conditions", choices=("both", "errors"), default="both")
    parser.add_argument("--burst", type=int, help="as in the stages of the Rollouts; by default not set")
    parser.add_argument(
        "--profile", help="record a profile by py-spy ($BENCH_PY_SPY) into this file; of a breach beside it"
    )
    options = parser.parse_args()
    print(f"operator of {measured_checkout()}", flush=True)
    figures = decisions() if options.scenario == "decide" else asyncio.run(measure(options))
    say(f"{options.scenario} with {options.rollouts}", figures)
    print(f"written to {results.merge(options.scenario, options.rollouts, figures)}")


if __name__ == "__main__":
    main()

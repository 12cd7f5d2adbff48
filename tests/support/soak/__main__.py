"""The soak: ``python -m support.soak``; ``make soak`` runs it with the figures of the issue."""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

from msgspec import json

from support.soak.facts import Fact, Recorded, StatusWritten, Trouble, Troubled
from support.soak.oracle.oracle import Oracle
from support.soak.simulation import Settings, Simulation
from support.virtual_loop import VirtualLoop

LONGEST = 400
"""Characters that are printed of a fact."""


def soak(settings: Settings, *, verbose: bool = False, follow: str = "") -> tuple[Simulation, Oracle]:
    """Simulate and judge; ``follow`` is a model whose facts are printed."""
    oracle = Oracle()
    began = time.monotonic()

    def progress(text: str) -> None:
        counts = oracle.counts
        sys.stdout.write(
            f"{text}: {counts['runs']} runs, {counts['Promoted']} promoted, {counts['RolledBack']} rolled back, "
            f"{len(oracle.findings)} wrong outcomes ({time.monotonic() - began:.0f} s)\n"
        )
        sys.stdout.flush()

    def take(fact: Fact) -> None:
        if follow and (fact.model == follow or isinstance(fact, Troubled)):
            sys.stdout.write(f"{fact.at / 3600:.4f} h {_brief(fact)[:LONGEST]}\n")
        oracle.take(fact)

    async def simulate() -> Simulation:
        simulation = Simulation(settings, take, progress if verbose else lambda _: None)
        await simulation.run()
        return simulation

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        simulation = runner.run(simulate())
    oracle.finish()
    return simulation, oracle


def _brief(fact: Fact) -> str:
    match fact:
        case StatusWritten(status=status):
            roles = [
                f"{role.version} {role.weight:g} %" for role in (status.stable, status.candidate) if role is not None
            ]
            stage = f"{status.stage.name}: {status.stage.state.value}" if status.stage is not None else "no stage"
            return f"status {status.phase.value}/{status.reason}, run {status.run}, {stage}, {roles}"
        case Recorded(record=record):
            run = record.rollout.run if record.rollout is not None else "-"
            what = f"{record.event.value} {record.version} {record.traffic}"
            return f"record {record.sequence} {what} run {run}: {record.message}"
        case _:
            return repr(fact)


def result_of(simulation: Simulation, oracle: Oracle, seconds: float) -> dict[str, object]:
    """Return what ``.soak/result.json`` holds."""
    settings, weather, counts = simulation.settings, simulation.weather, oracle.counts
    slope = simulation.gauges.slope()
    return {
        "seed": settings.seed,
        "rollouts": settings.rollouts,
        "simulated_hours": round(settings.days * 24, 1),
        "seconds": round(seconds),
        "versions_tried": counts["versions"],
        "runs": counts["runs"],
        "promotions": counts["Promoted"],
        "rollbacks": counts["RolledBack"],
        "superseded": counts["Superseded"],
        "cancelled": counts["Cancelled"],
        "good_versions_judged": counts["good versions judged"],
        "false_aborts": counts["false aborts"],
        "acts_of_people": dict(sorted(simulation.acts.items())),
        "faults": {kind.value: weather.begun[kind] for kind in Trouble},
        "failed_calls": dict(sorted(weather.failed_calls.items())),
        "wrong_outcomes": [str(finding) for finding in oracle.findings],
        "memory_kib_per_day": None
        if slope is None
        else {
            "slope": round(slope.value, 1),
            "low": round(slope.low, 1),
            "high": round(slope.high, 1),
            "samples": slope.samples,
            "resident_mib": round(simulation.gauges.memory[-1][1] / 1024, 1),
        },
        "queues": {
            name: {"median": sorted(lengths)[len(lengths) // 2], "most": max(lengths), "last": lengths[-1]}
            for name, lengths in simulation.gauges.queues.items()
        },
    }


def main() -> int:
    """Return 0 where no outcome was wrong."""
    parser = argparse.ArgumentParser(prog="python -m support.soak", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=1.0, help="how many times as often people act and faults come")
    parser.add_argument("--follow", default="", help="a model, such as m007, whose facts are printed")
    parser.add_argument("--folder", type=Path, default=Path(".soak"))
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        sys.stderr.write("PYTHONHASHSEED is not 0: the same seed may take another course\n")
    logging.basicConfig(level=logging.CRITICAL)
    began = time.monotonic()
    settings = Settings(arguments.rollouts, arguments.days, arguments.seed, pace=arguments.pace)
    simulation, oracle = soak(settings, verbose=True, follow=arguments.follow)
    result = result_of(simulation, oracle, time.monotonic() - began)
    arguments.folder.mkdir(exist_ok=True)
    text = json.format(json.encode(result), indent=2).decode() + "\n"
    (arguments.folder / "result.json").write_text(text, encoding="utf-8")
    rules = Counter(finding.rule for finding in oracle.findings)
    sys.stdout.write(f"{len(oracle.findings)} wrong outcomes {dict(rules)}\n")
    for finding in oracle.findings[:50]:
        sys.stdout.write(f"  {finding}\n")
    return 1 if oracle.findings else 0


if __name__ == "__main__":
    sys.exit(main())

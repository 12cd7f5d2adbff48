"""``make explore``: every state of every small world, on as many processes as there are cores.

``python -m support.exploration [--states N] [--seconds S] [--processes P] [world ...]``; ends with 1 on a violation.
"""

import argparse
import sys
from multiprocessing import Pool

from support.exploration.search import Report, Search
from support.exploration.worlds import WORLDS, SmallWorld

_BY_NAME = {world.name: world for world in WORLDS}


def main() -> int:
    """Explore, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="explore", description=__doc__)
    parser.add_argument("worlds", nargs="*", help=f"of {', '.join(_BY_NAME)}; all of them where none is named")
    parser.add_argument("--states", type=int, default=400_000, help="at most so many of each world")
    parser.add_argument("--seconds", type=float, default=3600, help="at most so long for each world")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    jobs = [(name, wanted.states, wanted.seconds) for name in wanted.worlds or _BY_NAME]
    reports = []
    with Pool(wanted.processes, maxtasksperchild=1) as pool:
        for report in pool.imap_unordered(_explore, jobs, chunksize=1):
            reports.append(report)
            print(told(report), flush=True)  # noqa: T201 - a program's output
    total, found = sum(one.states for one in reports), sum(len(one.violations) for one in reports)
    print(f"{total:,} states in {len(reports)} worlds, {found} kinds of violation")  # noqa: T201 - likewise
    return 1 if found else 0


def _explore(job: tuple[str, int, float]) -> Report:
    name, states, seconds = job
    return Search(_BY_NAME[name]).run(states, seconds)


def told(report: Report) -> str:
    """Return a line on the world, and each violation as a test that can be pasted."""
    scope = "all of them" if report.complete else "not all of them"
    lines = [
        (
            f"{report.world}: {report.states:,} states ({scope}), {report.transitions:,} transitions, "
            f"depth {report.depth}, {report.statuses:,} statuses, {len(report.violations)} violations, "
            f"{report.seconds:.0f} s"
        )
    ]
    lines += [pasteable(report.world, *found) for found in report.violations]
    return "\n".join(lines)


def pasteable(world: str, violation: object, history: tuple[str, ...]) -> str:
    """Return the shortest history of a violation as a parameter of test_decide_found.py."""
    steps = "".join(f"        {name!r},\n" for name in history)
    return f"    # {violation}\n    ({world!r}, (\n{steps}    )),"


def world_of(name: str) -> SmallWorld:
    """Return a world by name."""
    return _BY_NAME[name]


if __name__ == "__main__":
    sys.exit(main())

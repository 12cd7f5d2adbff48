"""``make explore``: every state of every small world, on as many processes as there are cores.

``python -m support.exploration [--states N] [--seconds S] [--processes P] [world ...]``; ends with 1 on a violation.
"""

import argparse
import sys
from collections import Counter
from multiprocessing import Pool

from support.exploration.search import Report, Search
from support.exploration.worlds import WORLDS, SmallWorld
from support.histories import Coverage, played
from support.history_laws import HISTORY_LAWS
from support.laws import LAWS
from support.rest_laws import REST_LAWS, nothing_left_behind

_BY_NAME = {world.name: world for world in WORLDS}

CHECKS = (*(law.__name__ for law in (*LAWS, *HISTORY_LAWS)),)
"""Checked at every decision."""
AT_REST = (*(law.__name__ for law in REST_LAWS),)
"""Checked where nothing changes by itself any more."""


def main() -> int:
    """Explore, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="explore", description=__doc__)
    parser.add_argument("worlds", nargs="*", help=f"of {', '.join(_BY_NAME)}; all of them where none is named")
    parser.add_argument("--states", type=int, default=50_000, help="at most so many of each world")
    parser.add_argument("--seconds", type=float, default=3600, help="at most so long for each world")
    parser.add_argument("--histories", type=int, default=4_000, help="random histories that are played beside")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    jobs = [(name, wanted.states, wanted.seconds) for name in wanted.worlds or _BY_NAME]
    reports = []
    with Pool(wanted.processes, maxtasksperchild=1) as pool:
        for report in pool.imap_unordered(_explore, jobs, chunksize=1):
            reports.append(report)
            print(told(report), flush=True)  # noqa: T201 - a program's output
    print(in_total(reports, played(wanted.histories)))  # noqa: T201 - likewise
    return 1 if any(report.violations for report in reports) else 0


def _explore(job: tuple[str, int, float]) -> Report:
    name, states, seconds = job
    return Search(_BY_NAME[name]).run(states, seconds)


def told(report: Report) -> str:
    """Return a line on the world, and each violation as a test that can be pasted."""
    scope = "complete" if report.complete else "not complete"
    lines = [
        (
            f"{report.world}: {report.states:,} states ({scope}), {report.transitions:,} transitions, "
            f"depth {report.depth}, {report.sights:,} different decisions, {len(report.violations)} violations, "
            f"CPU {report.cpu:.0f} s"
        )
    ]
    lines += [pasteable(report.world, *found) for found in report.violations]
    return "\n".join(lines)


def in_total(reports: list[Report], coverage: Coverage | None = None) -> str:
    """Return the sum over all worlds, and the table of the laws: where each was checked, and where it applied.

    ``coverage`` is that of the random histories; those of the laws of a world at rest are not among them.
    """
    states, looked = sum(one.states for one in reports), sum(one.looked for one in reports)
    applied = sum((one.applied for one in reports), Counter[str]())
    rests = sum(one.rests for one in reports)
    lines = [
        (
            f"{states:,} states in {len(reports)} worlds, {sum(one.complete for one in reports)} of them complete; "
            f"{sum(one.transitions for one in reports):,} transitions; "
            f"depth up to {max(one.depth for one in reports)}; CPU {sum(one.cpu for one in reports):.0f} s; "
            f"{sum(len(one.violations) for one in reports)} kinds of violation"
        ),
        f"{'law':32} {'checked in':>12} {'applied in':>12} states; applied in histories",
    ]
    histories = coverage.laws if coverage is not None else Counter[str]()
    checked = dict.fromkeys(CHECKS, looked) | dict.fromkeys(AT_REST, rests)
    checked |= {"comes_to_rest": looked, nothing_left_behind.__name__: looked}
    lines += [f"{law:32} {count:12,} {applied[law]:12,} {histories[law]:12,}" for law, count in checked.items()]
    lines += [coverage.told()] if coverage is not None else []
    return "\n".join(lines)


def pasteable(world: str, violation: object, history: tuple[str, ...]) -> str:
    """Return the shortest history of a violation as a parameter of test_decide_found.py."""
    return f'    # {violation}\n    "": ({world!r}, {"; ".join(history)!r}),'


def world_of(name: str) -> SmallWorld:
    """Return a world by name."""
    return _BY_NAME[name]


if __name__ == "__main__":
    sys.exit(main())

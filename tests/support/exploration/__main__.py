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
    print(HEADER)  # noqa: T201 - a program's output
    with Pool(wanted.processes, maxtasksperchild=1) as pool:
        for report in pool.imap_unordered(_explore, jobs, chunksize=1):
            reports.append(report)
            print(told(report), flush=True)  # noqa: T201 - likewise
    print(in_total(reports, played(wanted.histories) if wanted.histories else None))  # noqa: T201 - likewise
    return 1 if any(report.violations for report in reports) else 0


def _explore(job: tuple[str, int, float]) -> Report:
    name, states, seconds = job
    return Search(_BY_NAME[name]).run(states, seconds)


HEADER = (
    "| World | States | Complete | Transitions | Depth | Decisions | Violations | CPU, s |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|"
)
"""Of the worlds' table, in Markdown: the figures of docs/explanation/safety.md are pasted from here."""


def told(report: Report) -> str:
    """Return the world's row of the table, and each violation as a test that can be pasted."""
    lines = [
        _row(
            report.world,
            report.states,
            "yes" if report.complete else "no",
            report.transitions,
            report.depth,
            report.sights,
            len(report.violations),
            round(report.cpu),
        )
    ]
    lines += [pasteable(report.world, *found) for found in report.violations]
    return "\n".join(lines)


def in_total(reports: list[Report], coverage: Coverage | None = None) -> str:
    """Return the sum over all worlds, and the table of the laws: where each was checked, and where it applied.

    ``coverage`` is that of the random histories; those of the laws of a world at rest are not among them.
    """
    total = _row(
        f"all {len(reports)}",
        sum(one.states for one in reports),
        sum(one.complete for one in reports),
        sum(one.transitions for one in reports),
        max(one.depth for one in reports),
        sum(one.sights for one in reports),
        sum(len(one.violations) for one in reports),
        round(sum(one.cpu for one in reports)),
    )
    looked, rests = sum(one.looked for one in reports), sum(one.rests for one in reports)
    applied = sum((one.applied for one in reports), Counter[str]())
    histories = coverage.laws if coverage is not None else Counter[str]()
    checked = dict.fromkeys(CHECKS, looked) | dict.fromkeys(AT_REST, rests)
    checked |= {"comes_to_rest": looked, nothing_left_behind.__name__: looked}
    lines = [total, "", "| Check | Checked in states | Applied in states | In histories |\n|---|---:|---:|---:|"]
    for law, count in checked.items():
        lines.append(_row(f"`{law}`", count, applied[law], histories[law] if law in CHECKS else "-"))
    lines += ["", coverage.told()] if coverage is not None else []
    return "\n".join(lines)


def _row(*cells: str | int) -> str:
    return f"| {' | '.join(cell if isinstance(cell, str) else f'{cell:,}' for cell in cells)} |"


def pasteable(world: str, violation: object, history: tuple[str, ...]) -> str:
    """Return the shortest history of a violation as a parameter of test_decide_found.py."""
    return f'    # {violation}\n    "": ({world!r}, {"; ".join(history)!r}),'


def world_of(name: str) -> SmallWorld:
    """Return a world by name."""
    return _BY_NAME[name]


if __name__ == "__main__":
    sys.exit(main())

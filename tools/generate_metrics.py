# ruff: noqa: INP001 - a script, in no package
"""Prints docs/reference/metrics.md from the metrics that the code registers: ``python tools/generate_metrics.py``."""

import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from serinus.telemetry.catalogue import Exported, exported

_HEAD = """# The operator's metrics

Generated from `operator/serinus/telemetry/` by `tools/generate_metrics.py`: change the code, not this page. `make
check` compares the two. How to collect them, and what the alerts and the dashboard show, is in
[Monitor the operator](../how-to/monitor.md).

Units are seconds and ratios from 0 to 1. A counter has no value before the process has started; after a change of the
leader it begins at 0 in another process, so take `rate` or `increase` before you add series up.

## Of the process

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""

_ROLLOUTS = """
## Of each Rollout

Gauges, read off the statuses at the time of the scrape: nothing is kept between two scrapes, and the series of a
Rollout end with it. Only the process that leads for a Rollout shows them. A Rollout with three
conditions has about 20 series.
`telemetry.rolloutSeries: Active` leaves out the Rollouts that are `Healthy`, `None` all of them (then the alerts about
single Rollouts never fire). Every label is bounded: a Rollout has one stage, two versions and at most ten conditions.

| Metric | Labels | Meaning |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    metrics = exported()
    process = _rows((one.name, one.kind, _labels(one), one.help) for one in metrics if not one.per_rollout)
    rollouts = _rows((one.name, _labels(one), one.help) for one in metrics if one.per_rollout)
    return f"{_HEAD}{process}{_ROLLOUTS}{rollouts}"


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| `{name}` | {' | '.join(cells)} |\n" for name, *cells in rows)


def _labels(metric: Exported) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels)


if __name__ == "__main__":
    sys.stdout.write(page())

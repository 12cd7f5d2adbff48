"""Renders a view for a terminal: plain characters, 80 columns."""

import math
import textwrap
from collections.abc import Sequence
from typing import Final

from serinus.cli.simulate.view import Chart, View

WIDTH: Final = 80
_LABELS: Final = 9
_HEIGHT: Final = 10
_SIGNS: Final = "*o+x#@"
_NARROWEST: Final = 12


def render_text(view: View) -> str:
    """Return the view as text of at most 80 columns."""
    parts = [_wrapped(view.title), *map(_wrapped, view.lead), "", *_table(view)]
    for chart in view.charts:
        parts += ["", *_chart(chart)]
    parts += ["", *map(_wrapped, view.remarks)] if view.remarks else []
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False) if text else ""


def _table(view: View) -> list[str]:
    """Return the table; where its columns are too narrow for their heads, these are numbered below it."""
    first = max(len(name) for name, _ in view.rows)
    width = (WIDTH - first) // len(view.columns) - 2
    if width < _NARROWEST:
        return [line for column in range(len(view.columns)) for line in _alone(view, column)]
    lines = _row("", view.columns, first, width)
    lines.append(f"{'-' * first}  {'  '.join(['-' * width] * len(view.columns))}")
    for name, cells in view.rows:
        lines += _row(name, cells, first, width)
    return lines


def _row(name: str, cells: Sequence[str], first: int, width: int) -> list[str]:
    wrapped = [textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell in cells]
    height = max(len(cell) for cell in wrapped)
    return [
        f"{name if line == 0 else '':<{first}}  "
        + "  ".join(f"{cell[line] if line < len(cell) else '':<{width}}" for cell in wrapped).rstrip()
        for line in range(height)
    ]


def _alone(view: View, column: int) -> list[str]:
    """Return the table of one column, where all of them have no room side by side."""
    rows = tuple((name, (cells[column],)) for name, cells in view.rows)
    one = View(title="", lead=(), columns=(view.columns[column],), rows=rows)
    return [*_table(one), ""]


def _chart(chart: Chart) -> list[str]:
    columns = WIDTH - _LABELS - 1
    grid = [[" "] * columns for _ in range(_HEIGHT)]
    if chart.limit is not None:
        grid[_line(chart, chart.limit[0])] = ["."] * columns
    for mark in chart.marks:
        for row in grid:
            row[_column(chart, mark.x, columns)] = "|"
    for number, series in enumerate(chart.series):
        for x, y in series.points:
            grid[_line(chart, y)][_column(chart, x, columns)] = _SIGNS[number % len(_SIGNS)]
    labels = {0: chart.bounds[1], _HEIGHT - 1: chart.bounds[0]}
    lines = [f"{chart.title} ({chart.unit})"]
    lines += [f"{_figure(labels.get(row)):>{_LABELS - 1}} |{''.join(cells).rstrip()}" for row, cells in enumerate(grid)]
    lines.append(f"{' ' * _LABELS}+{'-' * (columns - 1)}")
    end = f"{chart.minutes:.3g} min"
    lines.append(f"{' ' * _LABELS}0{end:>{columns - 1}}")
    lines += [f"  {_SIGNS[number % len(_SIGNS)]} {series.name}" for number, series in enumerate(chart.series)]
    lines += [f"  . {chart.limit[1]}"] if chart.limit is not None else []
    lines += [f"  | {mark.x:.3g} min: {mark.label}" for mark in chart.marks]
    return [line for long in lines for line in textwrap.wrap(long, WIDTH, drop_whitespace=False) or [""]]


def _column(chart: Chart, x: float, columns: int) -> int:
    return min(columns - 1, max(0, round(x / chart.minutes * (columns - 1))))


def _line(chart: Chart, y: float) -> int:
    return min(_HEIGHT - 1, max(0, round((1 - height_of(chart, y)) * (_HEIGHT - 1))))


def height_of(chart: Chart, y: float) -> float:
    """Return the height of a value, from 0 at the lower end of the axis to 1 at the upper one."""
    low, high = chart.bounds
    if chart.logarithmic:
        low, high, y = math.log10(low), math.log10(high), math.log10(max(y, low))
    return min(1.0, max(0.0, (y - low) / (high - low)))


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from there without decimals

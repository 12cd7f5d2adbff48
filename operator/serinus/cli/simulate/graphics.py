"""Renders a view as SVG, or as one HTML page that loads nothing from elsewhere; light and dark."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from serinus.cli.output import printable
from serinus.cli.simulate.terminal import height_of
from serinus.cli.simulate.view import Chart, View

_WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _PLOT = 70, 700, 40, 200
_NAME: Final = 20
_STEPS: Final = 4
_PART: Final = "serinus.cli.simulate"


@dataclass(frozen=True, slots=True)
class Label:
    """A text beside an axis."""

    x: float
    y: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the chart, and where its name stands below."""

    name: str
    points: str
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """A chart in pixels.

    Attributes:
        offset: of its upper edge, where several stand below each other.
        limit: the height of the limit; None without one.
    """

    offset: int
    height: int
    ticks: tuple[Label, ...]
    lines: tuple[Line, ...]
    marks: tuple[Label, ...]
    limit: float | None
    width: int = _WIDTH
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _TOP + _PLOT


def render_svg(view: View) -> str:
    """Return the view's charts as one SVG image."""
    charts = _shaped(view)
    height = sum(shape.height for _, shape in charts)
    return _template("charts.svg.j2").render(charts=charts, width=_WIDTH, height=height, style=_text("style.css"))


def render_html(view: View) -> str:
    """Return the view as a page."""
    style, page_style = _text("style.css"), _text("page.css")
    return _template("page.html.j2").render(view=view, charts=_shaped(view), style=style, page_style=page_style)


@lru_cache
def _environment() -> Environment:
    loader = PackageLoader(_PART, "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    # Control characters are not allowed in XML, and could control a terminal to which the page is printed.
    environment.finalize = lambda value: value if isinstance(value, Markup) else printable(str(value))
    return environment


def _template(name: str) -> Template:
    return _environment().get_template(name)


def _text(name: str) -> Markup:
    return Markup(files(_PART).joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours


def _shaped(view: View) -> list[tuple[Chart, Shapes]]:
    shaped, offset = [], 0
    for chart in view.charts:
        shape = _shapes(chart, offset)
        shaped.append((chart, shape))
        offset += shape.height
    return shaped


def _shapes(chart: Chart, offset: int) -> Shapes:
    names = _TOP + _PLOT + 44
    lines = tuple(
        Line(one.name, " ".join(f"{_x(chart, x):.1f},{_y(chart, y):.1f}" for x, y in one.points), names + _NAME * row)
        for row, one in enumerate(chart.series)
    )
    marks = tuple(
        Label(_x(chart, one.x), 0, one.label, "end" if _x(chart, one.x) > _WIDTH / 2 else "start")
        for one in chart.marks
    )
    return Shapes(
        offset=offset,
        height=names + _NAME * len(chart.series) + 12,
        ticks=_ticks(chart),
        lines=lines,
        marks=marks,
        limit=None if chart.limit is None else _y(chart, chart.limit[0]),
    )


def _x(chart: Chart, minutes: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, minutes / chart.minutes))


def _y(chart: Chart, value: float) -> float:
    return _TOP + _PLOT * (1 - height_of(chart, value))


def _ticks(chart: Chart) -> tuple[Label, ...]:
    low, high = chart.bounds
    steps = [step / _STEPS for step in range(_STEPS + 1)]
    values = [low * (high / low) ** step if chart.logarithmic else low + (high - low) * step for step in steps]
    sides = [Label(_LEFT - 8, _y(chart, value) + 4, _figure(value), "end") for value in values]
    feet = [Label(_x(chart, step * chart.minutes), _TOP + _PLOT + 18, f"{step * chart.minutes:.3g}", "middle")
            for step in steps]  # fmt: skip
    return (*sides, *feet[:-1], Label(_RIGHT, _TOP + _PLOT + 18, f"{chart.minutes:.3g} min", "end"))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from there without decimals

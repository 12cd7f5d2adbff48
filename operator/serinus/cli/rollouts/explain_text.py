"""The screen of `serinus explain`: a pure function from values to lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from serinus.cli.rollouts.status_text import ago, labelled
from serinus.cli.screen import Line, Look, Span, Style, as_width, mark_span, sparkline
from serinus.cli.table import Column, table
from serinus.engine.analysis.text import clock, evidence, number
from serinus.engine.view.checks import CheckView, GrowthPoint
from serinus.engine.view.explanation import Explanation


class Query(Struct, frozen=True):
    """A query to paste, or where it is to be found; ``of`` is whose figures it has."""

    of: str
    promql: str


def explain_lines(
    explained: Explanation, queries: Mapping[str, Sequence[Query]], now: datetime, look: Look
) -> list[Line]:
    """Return the screen; ``queries`` are those of each condition, by its line.

    A query is never cut nor wrapped, so that it can be copied; it may be wider than the terminal.
    """
    lines = labelled("What", explained.headline, look, Style.BOLD)
    for place, reason in enumerate(explained.waits):
        lines += labelled("" if place else "Waits", reason, look)
    if not explained.checks:
        lines += labelled("Conditions", "None has been judged in this stage.", look)
    shown = as_width(lines, look.width)
    for check, words in explained.checks:
        shown += [(), *as_width(_check(check, words, explained, now, look), look.width)]
        for query in queries.get(check.condition, ()):
            shown += [(Span(f"  PromQL, {query.of}:", Style.DIM),), (Span(query.promql),)]
    return shown


def _check(check: CheckView, words: str, explained: Explanation, now: datetime, look: Look) -> list[Line]:
    sign = mark_span(check.mark, look)
    guard = "  (a guard that nobody wrote)" if check.guard else ""
    of = f"  {explained.version}, judged {ago(check.at, now)}"
    head: list[Line] = [(sign, Span(" "), Span(check.condition, Style.BOLD), Span(guard, Style.DIM))]
    if sum(span.cells for span in head[0]) + len(of) <= look.width:
        head = [(*head[0], Span(of, Style.DIM))]
    else:
        head.append((Span(of, Style.DIM),))
    value = f"{check.value or 'unknown'}, limit {check.limit}, {number(check.requests)} requests"
    cause = f" ({check.cause})" if check.cause else ""
    verdict = f"{check.verdict.value}{cause}" + (f": {check.message}" if check.message else "")
    lines = [
        *head,
        *labelled("Value", value, look),
        *labelled("Verdict", verdict, look, sign.style),
        *labelled("Why", words, look),
    ]
    return lines + (_growth(check, look) if check.points else [])


def _growth(check: CheckView, look: Look) -> list[Line]:
    label = f"E of {number(check.needed)}" if check.needed is not None else "VALUE"
    columns = (
        Column(head="TIME"),
        Column(head="REQUESTS", keep=5, right=True),
        Column(head="BAD", keep=5, right=True),
        Column(head=label, right=True),
        Column(head="", keep=4),
    )
    rows = [_point(point, check, look) for point in check.points]
    caption = labelled("Growth", "Counted since the stage began:", look)
    return [*caption, *((Span("  "), *line) for line in table(columns, rows, look.width - 2))]


def _point(point: GrowthPoint, check: CheckView, look: Look) -> list[Span]:
    figure = "" if point.figure is None else number(point.figure)
    if check.needed is not None and point.figure is not None:
        figure = evidence(point.figure)
    bars = "" if point.level is None else sparkline([1.0], look, 1) * round(20 * point.level)
    return [
        Span(clock(point.at)),
        Span(number(point.requests)),
        Span(number(point.bad)),
        Span(figure),
        Span(bars, Style.BAD if point.level == 1 else Style.ACTIVE),
    ]

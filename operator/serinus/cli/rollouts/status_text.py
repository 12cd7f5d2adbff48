"""The screen of `serinus status`: a pure function from the view of a Rollout to lines."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from serinus.cli.screen import (
    WIDEST_TEXT,
    Line,
    Look,
    Span,
    Style,
    as_width,
    cells,
    mark_span,
    sparkline,
    wrapped,
)
from serinus.cli.table import Column, table
from serinus.engine.analysis.text import evidence, number, span
from serinus.engine.view.checks import CheckView, Mark
from serinus.engine.view.rollout import CommandView, RolloutView, RunView, VersionView, shown_history

_LABEL: Final = 11
_BARS: Final = 12
_INDENT: Final = 2


def status_lines(
    view: RolloutView, now: datetime, look: Look, *, wide: bool = False, rows: int | None = None
) -> list[Line]:
    """Return the screen of one Rollout.

    Args:
        view: what it shows.
        now: for ages.
        look: width and signs.
        wide: whether it has the operator's sentence about each condition.
        rows: where it has more lines, the history goes first and then the blank lines: the commands stand last.
    """
    above = [
        *_header(view, now, look),
        *_first_answers(view, look),
        (),
        *_stages(view, look),
        *_traffic(view, look),
        *_tests(view, look),
        *_checks(view, now, look, wide=wide),
    ]
    history = _history(view.history if wide else shown_history(view), now, look)
    commands = _commands(view.commands, look)
    lines = as_width(_spaced([*above, *history, *commands]), look.width)
    if rows is None or len(lines) <= rows:
        return lines
    lines = as_width(_spaced([*above, *commands]), look.width)
    return lines if len(lines) <= rows else [line for line in lines if line]


def _spaced(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with one blank one where blocks that are not there leave several."""
    return [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]


def _header(view: RolloutView, now: datetime, look: Look) -> list[Line]:
    since = f" {ago(view.phase_since, now)}" if view.phase_since is not None else ""
    sign = mark_span(view.mark, look)
    reason = f" · {view.reason}" if view.reason not in {"", view.phase} else ""
    left: Line = (
        sign,
        Span(" "),
        Span(view.name, Style.BOLD),
        Span(f"  {view.phase}{since}", sign.style),
        Span(reason),
    )
    judged = f" · judged {ago(view.judged_at, now)}" if view.judged_at is not None else ""
    seen = "" if view.observed else " not seen yet"
    right = f"{view.namespace} · gen {view.generation}{seen}{judged}"
    blank = look.width - sum(span.cells for span in left) - cells(right)
    if blank < 2:  # noqa: PLR2004 - two blanks keep the halves apart
        return [left, (Span("  "), Span(right, Style.DIM))]
    return [(*left, Span(" " * blank), Span(right, Style.DIM))]


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago that was, in one unit: ``2m ago``."""
    return f"{age(at, now)} ago"


def age(at: datetime, now: datetime) -> str:
    """Return how long ago that was in its largest unit, as kubectl has it: ``21d``."""
    return span(now - at).partition(" ")[0]


def labelled(label: str, text: str, look: Look, style: Style = Style.PLAIN) -> list[Line]:
    """Return a text beside its label, over as many lines as it needs."""
    width = min(look.width, WIDEST_TEXT) - _LABEL - _INDENT
    first = f"{label:<{_LABEL}}"
    return [
        (Span("  "), Span(first if place == 0 else " " * _LABEL, Style.DIM), Span(line, style))
        for place, line in enumerate(wrapped(text, width))
    ]


def _first_answers(view: RolloutView, look: Look) -> list[Line]:
    size = max((cells(one.version) for one in view.versions), default=0)
    lines = [line for one in view.versions for line in _version(one, size, look)]
    why = Style.BAD if view.mark is Mark.BAD else Style.PLAIN
    for place, reason in enumerate(view.why):
        lines += labelled("" if place else "Why", reason, look, why if place == 0 else Style.PLAIN)
    return lines + (labelled("Next", view.next_action, look, Style.BOLD) if view.next_action else [])


def _version(one: VersionView, size: int, look: Look) -> list[Line]:
    share = f"{f'{one.weight:g}%':>6}" if one.weight is not None else ""
    name = f"{one.version:<{min(size, 32)}}" if one.version else ""
    begin: Line = (Span("  "), Span(f"{one.role:<{_LABEL}}", Style.DIM), Span(f"{name}{share}", Style.BOLD))
    facts = (" · " if look.wide_charset else ", ").join(one.facts)
    gap = "   " if one.version else ""
    used = sum(span.cells for span in begin) + len(gap)
    first, *others = wrapped(facts, max(_LABEL, min(look.width, WIDEST_TEXT) - used))
    if not first:
        return [begin]
    return [(*begin, Span(f"{gap}{first}")), *((Span(" " * used + rest),) for rest in others)]


def _stages(view: RolloutView, look: Look) -> list[Line]:
    items = []
    for stage in view.stages:
        sign = mark_span(stage.mark, look)
        words = " ".join(word for word in (stage.name, stage.traffic, stage.state, stage.length) if word)
        items.append((sign, Span(f" {words}", sign.style if stage.mark is not Mark.GOOD else Style.PLAIN)))
    return _flowing("Stages", items, look)


def _flowing(label: str, items: Sequence[Line], look: Look) -> list[Line]:
    """Return the items side by side, as many on a line as there is room for."""
    lines: list[Line] = []
    left = look.width - _LABEL - _INDENT
    line: list[Span] = []
    used = 0
    for item in items:
        size = sum(span.cells for span in item)
        if line and used + 3 + size > left:
            lines.append(tuple(line))
            line, used = [], 0
        line += [Span("   "), *item] if line else item
        used += size + (3 if used else 0)
    lines += [tuple(line)] if line else []
    return [
        (Span("  "), Span(f"{label if place == 0 else '':<{_LABEL}}", Style.DIM), *one)
        for place, one in enumerate(lines)
    ]


def _traffic(view: RolloutView, look: Look) -> list[Line]:
    traffic = view.traffic
    if not traffic.route and not traffic.message:
        return []
    sign = mark_span(traffic.mark, look)
    desired = f"desired {traffic.desired:g}%   " if traffic.desired is not None else ""
    route: Line = (Span(traffic.route or "no route yet"),)
    parts: list[Line] = [route, (Span(desired), sign, Span(f" {traffic.confirmed}", sign.style))]
    if traffic.observed is not None:
        parts.append((Span(f"observed {traffic.observed:g}% of {number(traffic.requests)} requests"),))
    lines = _flowing("Traffic", parts, look)
    return lines + (labelled("", traffic.message, look, Style.DIM) if traffic.message else [])


def _tests(view: RolloutView, look: Look) -> list[Line]:
    lines: list[Line] = []
    for place, test in enumerate(view.tests):
        sign = mark_span(test.mark, look)
        message = f": {test.message}" if test.message else ""
        first, *rest = labelled("" if place else "Tests", f"{test.name} {test.result}{message}", look)
        lines += [(*first[:2], sign, Span(" "), *first[2:]), *rest]
    return lines


def _checks(view: RolloutView, now: datetime, look: Look, *, wide: bool) -> list[Line]:
    if not view.checks:
        return []
    columns = (
        Column(head="  CHECK", least=16),
        Column(head="VALUE", keep=8, least=10),
        Column(head="LIMIT", keep=7),
        Column(head="REQUESTS", keep=4, right=True),
        Column(head="EVIDENCE", keep=5, right=True),
        Column(head="GROWTH", keep=3),
        Column(head="AGE", keep=2, right=True),
    )
    rows = [_check_row(check, now, look) for check in view.checks]
    lines = [(Span("  "), *line) for line in table(columns, rows, look.width - _INDENT, gaps=(2, 1))]
    lines = [lines[0], *(_marked(line, check, look) for line, check in zip(lines[1:], view.checks, strict=True))]
    if wide:
        lines += [line for check in view.checks if check.message for line in _sentence(check, look)]
    return [(), *lines, ()]


def _check_row(check: CheckView, now: datetime, look: Look) -> list[Span]:
    has = check.evidence
    figure = f"{evidence(has)}/{number(check.needed)}" if has is not None and check.needed is not None else ""
    bars = sparkline([point.level for point in check.points], look, _BARS)
    style = {Mark.BAD: Style.BAD, Mark.WARNING: Style.WARNING}.get(check.mark, Style.PLAIN)
    return [
        Span(f"  {check.metric}", style),
        Span(check.value or check.cause or check.verdict.value, style),
        Span(check.limit),
        Span(number(check.requests)),
        Span(figure),
        Span(bars, style if style is not Style.PLAIN else Style.ACTIVE),
        Span(age(check.at, now)),
    ]


def _marked(line: Line, check: CheckView, look: Look) -> Line:
    """Return the line of a check with its sign in the two columns that are left free for it."""
    indent, first, *rest = line
    return indent, mark_span(check.mark, look), Span(" "), Span(first.text[2:], first.style), *rest


def _sentence(check: CheckView, look: Look) -> list[Line]:
    sign = mark_span(check.mark, look)
    width = min(look.width, WIDEST_TEXT) - 4
    texts = wrapped(f"{check.metric}: {check.message}", width)
    return [
        (Span("  "), sign, Span(f" {text}")) if place == 0 else (Span(f"    {text}"),)
        for place, text in enumerate(texts)
    ]


def _history(runs: Iterable[RunView], now: datetime, look: Look) -> list[Line]:
    items = []
    for run in runs:
        day = f"{run.ended_at:%H:%MZ}" if run.ended_at.date() == now.date() else f"{run.ended_at:%Y-%m-%d}"
        items.append((Span(f"#{run.run} {run.version} "), mark_span(run.mark, look), Span(f" {day}")))
    return [(), *_flowing("History", items, look)]


def _commands(commands: Sequence[CommandView], look: Look) -> list[Line]:
    size = max((cells(command.line) for command in commands), default=0)
    room = look.width - _LABEL - _INDENT
    if size > room:
        # A command that is cut cannot be copied.
        return [(), (Span("  "), Span("Do", Style.DIM)), *((Span(f"  {command.line}"),) for command in commands)]
    lines: list[Line] = []
    for place, command in enumerate(commands):
        label = Span(f"{'' if place else 'Do':<{_LABEL}}", Style.DIM)
        effect = f"   {command.effect}"
        beside = size + cells(effect) <= room
        line = f"{command.line:<{size}}" if beside else command.line
        lines.append((Span("  "), label, Span(line), *((Span(effect, Style.DIM),) if beside else ())))
    return [(), *lines] if lines else []

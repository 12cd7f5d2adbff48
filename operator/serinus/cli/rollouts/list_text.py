"""The tables of `serinus list` and `serinus history`: pure functions from values to lines."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from serinus.cli.rollouts.status_text import age, ago
from serinus.cli.screen import Line, Look, Span, Style, as_width, mark_span
from serinus.cli.table import Column, table
from serinus.engine.view.checks import Mark
from serinus.engine.view.rollout import RolloutView, RunView

_STYLES: Final = {
    Mark.GOOD: Style.GOOD,
    Mark.BAD: Style.BAD,
    Mark.ACTIVE: Style.ACTIVE,
    Mark.HELD: Style.WARNING,
    Mark.WARNING: Style.WARNING,
    Mark.NONE: Style.PLAIN,
}


_COLUMNS: Final = (
    Column(head="NAMESPACE", short="NS"),
    Column(head="  NAME"),
    Column(head="PHASE", usual=len("Progressing")),
    Column(head="STABLE"),
    Column(head="CANDIDATE"),
    Column(head="WEIGHT", right=True),
    Column(head="STAGE", word=True),
    Column(head="REASON", usual=len("RollbackRequested")),
    Column(head="AGE", right=True),
)
_WIDE_COLUMNS: Final = (
    Column(head="SINCE", right=True),
    Column(head="JUDGED", right=True),
    Column(head="TRAFFIC"),
    Column(head="NEXT"),
)
_GIVES_WAY: Final = (
    ("STAGE", 16),
    ("AGE", 0),
    ("STABLE", 0),
    ("STAGE", 5),
    ("CANDIDATE", 9),
    ("NAME", 26),
    ("NAMESPACE", 16),
    ("STAGE", 0),
    ("NAMESPACE", 8),
    ("CANDIDATE", 0),
    ("NAME", 12),
    ("NAMESPACE", 4),
    ("WEIGHT", 0),
    ("PHASE", 0),
    ("NAME", 8),
)
"""What the list can do without on call, the first first: columns are shortened, then left out (0), the reason never.

Of a stage its place is left, such as ``2/3``. The mark before the name tells the phase too."""


def list_lines(
    rollouts: Sequence[tuple[RolloutView, datetime]], now: datetime, look: Look, *, everywhere: bool, wide: bool
) -> list[Line]:
    """Return a row for each Rollout, given with the time at which it was made, in the order in which they come.

    With ``wide`` the rows have more columns, and are as wide as what they say, whatever the terminal's width.
    """
    first = 0 if everywhere else 1
    longest = max((len(_place(view, index)) for view, _ in rollouts for index in range(len(view.stages))), default=0)
    columns = [replace(one, usual=longest) if one.head == "STAGE" else one for one in _COLUMNS[first:]]
    rows = [(_row(view, made, now, look) + (_more(view, now) if wide else []))[first:] for view, made in rollouts]
    width = sys.maxsize if wide else look.width
    shown = [*columns, *_WIDE_COLUMNS] if wide else columns
    return as_width(table(shown, rows, width, gaps=(2, 1), order=_GIVES_WAY), width)


def _row(view: RolloutView, made: datetime, now: datetime, look: Look) -> list[Span]:
    serving, *others = view.versions
    tried = others[0] if others else None
    weight = tried.weight if tried is not None and tried.weight is not None else None
    style = _STYLES[view.mark]
    return [
        Span(view.namespace),
        Span(f"{mark_span(view.mark, look).text} {view.name}", style),
        Span(view.phase if view.observed else "Unseen", style),
        Span(serving.version or "none"),
        Span(tried.version if tried is not None else ""),
        Span(f"{weight:g}%" if weight is not None else ""),
        Span(_stage(view)),
        Span(view.reason),
        Span(age(made, now)),
    ]


def _more(view: RolloutView, now: datetime) -> list[Span]:
    """Return what the wide form adds; the sentence is the last, so that it may be as long as it is."""
    return [
        Span(age(view.phase_since, now) if view.phase_since is not None else ""),
        Span(age(view.judged_at, now) if view.judged_at is not None else ""),
        Span(view.traffic.confirmed if view.traffic.route else "", _STYLES[view.traffic.mark]),
        Span(view.next_action),
    ]


def _stage(view: RolloutView) -> str:
    here = [place for place, stage in enumerate(view.stages) if stage.mark not in {Mark.GOOD, Mark.NONE}]
    return _place(view, here[0]) if here else ""


def _place(view: RolloutView, index: int) -> str:
    return f"{index + 1}/{len(view.stages)} {view.stages[index].name}"


_HISTORY_COLUMNS: Final = (
    Column(head="  RUN"),
    Column(head="VERSION"),
    Column(head="RESULT"),
    Column(head="ENDED", word=True),
    Column(head="AGO", right=True),
    Column(head="TOOK", right=True),
    Column(head="REASON", wrap=True),
)
_HISTORY_GIVES_WAY: Final = (
    ("REASON", 46),
    ("ENDED", 10),
    ("ENDED", 0),
    ("REASON", 36),
    ("VERSION", 12),
    ("TOOK", 0),
    ("REASON", 20),
    ("VERSION", 7),
    ("AGO", 0),
    ("REASON", 10),
)
"""AGO says when, too: of ENDED the day is left, then nothing. A reason of some length goes on in the next lines."""


def history_lines(runs: Sequence[RunView], now: datetime, look: Look) -> list[Line]:
    """Return a row for each past run, newest first; its reason is never cut."""
    rows = [
        [
            Span(f"{mark_span(run.mark, look).text} #{run.run}", _STYLES[run.mark]),
            Span(run.version),
            Span(run.result, _STYLES[run.mark]),
            Span(f"{run.ended_at:%Y-%m-%d %H:%MZ}"),
            Span(ago(run.ended_at, now).removesuffix(" ago")),
            Span(run.took),
            Span(run.reason),
        ]
        for run in runs
    ]
    lines = table(_HISTORY_COLUMNS, rows, look.width, gaps=(2, 1), order=_HISTORY_GIVES_WAY)
    return as_width(lines, look.width)

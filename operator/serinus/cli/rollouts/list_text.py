"""The tables of `serinus list` and `serinus history`: pure functions from values to lines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from serinus.cli.rollouts.status_text import age, ago
from serinus.cli.screen import Column, Line, Look, Span, Style, as_width, mark_span, table
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


def list_lines(
    rollouts: Sequence[tuple[RolloutView, datetime]], now: datetime, look: Look, *, everywhere: bool, wide: bool
) -> list[Line]:
    """Return a row for each Rollout, given with the time at which it was made, in the order in which they come."""
    columns = [
        Column(head="NAMESPACE", least=6),
        Column(head="  NAME", least=20),
        Column(head="PHASE"),
        Column(head="STABLE", keep=7, least=6),
        Column(head="CANDIDATE", keep=6, least=9),
        Column(head="WEIGHT", keep=5, right=True),
        Column(head="STAGE", keep=3, least=8),
        Column(head="REASON", keep=4, least=14),
        Column(head="AGE", keep=1, right=True),
        Column(head="SINCE", keep=2, right=True),
        Column(head="NEXT", keep=0, least=12),
    ]
    shown = slice(0 if everywhere else 1, None if wide else -2)
    rows = [_row(view, made, now, look)[shown] for view, made in rollouts]
    return as_width(table(columns[shown], rows, look.width, gaps=(2, 1)), look.width)


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
        Span(age(view.phase_since, now) if view.phase_since is not None else ""),
        Span(view.next_action),
    ]


def _stage(view: RolloutView) -> str:
    here = [place for place, stage in enumerate(view.stages) if stage.mark not in {Mark.GOOD, Mark.NONE}]
    return f"{here[0] + 1}/{len(view.stages)} {view.stages[here[0]].name}" if here else ""


def history_lines(runs: Sequence[RunView], now: datetime, look: Look) -> list[Line]:
    """Return a row for each past run, newest first."""
    columns = (
        Column(head="  RUN", right=False),
        Column(head="VERSION", least=8),
        Column(head="RESULT"),
        Column(head="ENDED", keep=6),
        Column(head="AGO", keep=4, right=True),
        Column(head="TOOK", keep=5, right=True),
        Column(head="REASON", keep=3, least=12),
    )
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
    return as_width(table(columns, rows, look.width), look.width)

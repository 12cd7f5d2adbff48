"""For which Rollouts a tick's answers are news: the decision on the others could not change by them."""

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import Counted
from serinus.reconcile.rollouts.stage_analysis import StageAnalysis

AT_LEAST_EVERY: Final = timedelta(minutes=1)
"""So often a decision is made whatever the answers: what is shown of a stage is refreshed as often."""


class News:
    """Remembers what was told of each Rollout.

    Mostly nothing is new: new counts arrive once for each scrape, which is every third tick. What depends on the time
    alone, such as the end of a stage, the decision before has asked to be woken for.
    """

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._told: dict[ObjectKey, tuple[datetime, Hashable]] = {}

    def of(self, analyses: Mapping[ObjectKey, StageAnalysis], source: str, now: datetime) -> dict[ObjectKey, bool]:
        """Return the Rollouts of this source with news, each with whether it is urgent; they count as told."""
        found: dict[ObjectKey, bool] = {}
        for key, analysis in analyses.items():
            if analysis.source != source:
                continue
            figures, told = _figures(analysis), self._told.get(key)
            if told is None or figures is None or told[1] != figures or not told[0] <= now < told[0] + AT_LEAST_EVERY:
                self._told[key] = now, figures
                found[key] = analysis.breached
        return found

    def forget(self, key: ObjectKey) -> None:
        """Drop what was told of a Rollout that is gone."""
        self._told.pop(key, None)


def _figures(analysis: StageAnalysis) -> Hashable:
    """Return what a decision can change with; None where every answer may change it."""
    if analysis.breached or not all(map(_is_told_by_counts, analysis.progress)):
        return None
    # The evidence too: requests may be judged later than they came.
    counts = tuple((one.requests, one.stable_requests, one.evidence.value) for one in analysis.progress)
    return analysis.stage, analysis.unread_until, analysis.failures, counts


def _is_told_by_counts(progress: Progress) -> bool:
    """Whether nothing but new requests can change the verdict: a window moves on, and a lost answer has a reason."""
    return progress.rules.sequential and isinstance(progress.latest, Counted)

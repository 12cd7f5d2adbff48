"""For which Rollouts a tick's answers are news: the decision on the others could not change by them."""

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.analysis.assessment import verdict_of
from serinus.reconcile.rollouts.stage_analysis import StageAnalysis

AT_LEAST_EVERY: Final = timedelta(seconds=30)
"""So often a decision is made whatever the answers: what is shown of a stage is refreshed once a minute."""


BREACH_EVERY: Final = timedelta(seconds=10)
"""So often a breach is told again, although what fails in the safety lane is tried again there."""


class News:
    """Remembers what was told of each Rollout.

    Mostly nothing is new: a decision goes by verdicts and their causes, and by whether the share of the requests
    contradicts the weights. What depends on the time alone, such as the end of a stage, the decision before has asked
    to be woken for; of the figures themselves only what is shown depends.
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
            breached, told = analysis.breached, self._told.get(key)
            outcome = (analysis.stage, "breached") if breached else _outcome(analysis, now)
            again = BREACH_EVERY if breached else AT_LEAST_EVERY
            if told is None or told[1] != outcome or not told[0] <= now < told[0] + again:
                self._told[key] = now, outcome
                found[key] = breached
        return found

    def forget(self, key: ObjectKey) -> None:
        """Drop what was told of a Rollout that is gone."""
        self._told.pop(key, None)


def _outcome(analysis: StageAnalysis, now: datetime) -> Hashable:
    """Return what a decision can change with."""
    stage = analysis.terms[0]
    verdicts = tuple((verdict_of(one, stage, now), one.coarse, one.stable_too) for one in analysis.progress)
    contradicted = analysis.share.contradicts(stage.request_share)
    return analysis.stage, analysis.unread_until, analysis.failures, verdicts, contradicted

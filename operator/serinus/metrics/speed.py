"""How fast tokens are generated: a value of each backend, from the counters that a preset has of it.

It is the speed of a running answer, not of the whole server: a version with 5 % of the traffic generates fewer tokens a
second, and each of its answers is as fast.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Measured, NoData, Subject
from serinus.metrics.named import NamedTemplate
from serinus.metrics.presets import Preset, Speed


@dataclass(frozen=True, slots=True)
class SpeedTemplate:
    """The query of one preset, the same for all backends, and their values.

    Attributes:
        preset: which labels identify a backend.
        speed: its counters.
        window: over so many seconds.
    """

    preset: Preset
    speed: Speed
    window: int

    def promql(self, subject: Subject) -> str:  # noqa: ARG002 - as of a named query
        """Return the query, which is about all backends."""
        tokens, seconds = self._rate(self.speed.tokens), self._rate(self.speed.seconds)
        if self.speed.firsts is not None:
            tokens = f"clamp_min({tokens} - {self._rate(self.speed.firsts)}, 0)"
        return f"{tokens} / {seconds}"

    def series_of(self, subject: Subject) -> str:
        """Return what identifies this subject's series."""
        return "\n".join(self.preset.key(subject.namespace, subject.backend))

    def answer(self, subject: Subject, at: datetime, rows: Iterable[tuple[Mapping[str, str], float]]) -> Answer:
        """Pick the subject's value out of the rows of the query."""
        key, backend = self.preset.key(subject.namespace, subject.backend), subject.backend.name
        value = next((value for labels, value in rows if self.preset.key_of(labels) == key), None)
        if value is None:
            return NoData(
                at=at,
                cause=Cause.NO_SERIES,
                message=f"Prometheus has no series {self.speed.tokens} and {self.speed.seconds} of {backend} in "
                f"the last {self.window}s: check that it is scraped and of a release that has them",
            )
        if isnan(value):
            return NoData(
                at=at,
                cause=Cause.NAN,
                message=f"{backend} has generated no token in the last {self.window}s: wait for traffic",
            )
        return Measured(at=at, value=value, begun=at - timedelta(seconds=self.window))

    def _rate(self, series: str) -> str:
        return f"sum by ({self.preset.by}) (rate({self.preset.of_any(series)}[{self.window}s]))"


Template = NamedTemplate | SpeedTemplate
"""How the value of a metric that has one is asked for."""

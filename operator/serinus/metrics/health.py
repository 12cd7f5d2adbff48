"""Reads the rows that no count comes from: how fresh the series are, and the figures that are only shown. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, isnan
from typing import Final, Self

from serinus.metrics.increments import RequestCounts, RequestRows
from serinus.metrics.label_sets import Row
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import BREADTH, CLASSES, FAILURES, GRPC, RELABELLED, SCRAPE, TAG
from serinus.metrics.transport import Sample

_LAST: Final = 253_402_300_799
"""The last second that a datetime can have, since 1970."""


@dataclass(frozen=True, slots=True)
class Health:
    """Result of the health query.

    Attributes:
        newest: by backend, the time of its newest sample in seconds since 1970.
        grpc: backends that speak gRPC.
        relabelled: backends with a native histogram and a target whose labels have changed.
        breadth: how many backends have names that begin as those asked about do; None where that was not asked.
        scrape_seconds: duration of the slowest recent scrape; None where Prometheus does not know it.
    """

    newest: Mapping[Key, float]
    grpc: frozenset[Key] = frozenset()
    relabelled: frozenset[Key] = frozenset()
    breadth: float | None = None
    scrape_seconds: float | None = None

    def of(self, keys: frozenset[Key]) -> Self:
        """Return what it says of these backends."""
        return replace(self, newest={key: at for key, at in self.newest.items() if key in keys}, grpc=self.grpc & keys)


@dataclass(frozen=True, slots=True)
class Display:
    """Figures shown to users, never used in a verdict; empty where they are not available."""

    rates: Mapping[Key, RequestCounts] = field(default_factory=dict)
    quantiles: Mapping[tuple[Key, str], float] = field(default_factory=dict)


def number(sample: Sample) -> float:
    """Return a sample's value; NaN for a native histogram, which has no single value."""
    return float(sample.value[1]) if sample.value is not None else float("nan")


def read_health(preset: Preset, samples: Iterable[Sample]) -> Health:
    """Parse the rows of the health query."""
    newest: dict[Key, float] = {}
    grpc: set[Key] = set()
    relabelled: set[Key] = set()
    scrape: float | None = None
    breadth: float | None = None
    for sample in samples:
        match sample.metric.get(TAG):
            case None:
                key, at = preset.key_of(sample.metric), number(sample)
                # Anything else is not a time, so that the series counts as one that is not there.
                if 0 <= at <= _LAST:
                    newest[key] = max(at, newest.get(key, 0.0))
            case tag if tag == GRPC:
                grpc.add(preset.key_of(sample.metric))
            case tag if tag == RELABELLED:
                relabelled.add(preset.key_of(sample.metric))
            case tag if tag == BREADTH:
                breadth = number(sample)
            case tag if tag == SCRAPE:
                scrape = number(sample) if isfinite(number(sample)) else None
    return Health(newest, frozenset(grpc), frozenset(relabelled), breadth, scrape)


def read_display(preset: Preset, samples: Iterable[Sample]) -> Display:
    """Parse the rows of the display query; a quantile over no requests (NaN) is left out."""
    quantiles: dict[tuple[Key, str], float] = {}
    rates: list[Row] = []
    for sample in samples:
        tag, value = sample.metric.get(TAG, ""), number(sample)
        if tag in {CLASSES, FAILURES}:
            rates.append((sample.metric, value))
        elif not isnan(value) and preset.histogram is not None:
            # Of a backend that several routes name, the slowest.
            shown = preset.key_of(sample.metric), tag
            quantiles[shown] = max(value / preset.histogram.per_second, quantiles.get(shown, 0.0))
    return Display(RequestRows(preset).counts(rates), quantiles)

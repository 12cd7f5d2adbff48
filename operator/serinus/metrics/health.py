"""Reads the rows that no count comes from: how fresh the series are, and the figures that are only shown. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan

from serinus.metrics.increments import RequestCounts, Row, read_request_counts
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import CLASSES, FAILURES, GRPC, RELABELLED, SCRAPE, TAG, UNEVEN
from serinus.metrics.transport import Sample


@dataclass(frozen=True, slots=True)
class Health:
    """Result of the health query.

    Attributes:
        newest: by backend, the time of its newest sample in seconds since 1970.
        uneven: backends of which some series lack a needed bucket.
        relabelled: backends with a target whose labels have changed.
        grpc: backends that speak gRPC.
        scrape_seconds: duration of the slowest recent scrape; None where Prometheus does not know it.
    """

    newest: Mapping[Key, float]
    uneven: frozenset[Key] = frozenset()
    relabelled: frozenset[Key] = frozenset()
    grpc: frozenset[Key] = frozenset()
    scrape_seconds: float | None = None


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
    uneven: set[Key] = set()
    relabelled: set[Key] = set()
    grpc: set[Key] = set()
    scrape: float | None = None
    for sample in samples:
        match sample.metric.get(TAG):
            case None:
                key = preset.key_of(sample.metric)
                newest[key] = max(number(sample), newest.get(key, 0.0))
            case tag if tag == UNEVEN:
                uneven.add(preset.key_of(sample.metric))
            case tag if tag == RELABELLED:
                relabelled.add(preset.key_of(sample.metric))
            case tag if tag == GRPC:
                grpc.add(preset.key_of(sample.metric))
            case tag if tag == SCRAPE:
                scrape = number(sample)
    return Health(newest, frozenset(uneven), frozenset(relabelled), frozenset(grpc), scrape)


def read_display(preset: Preset, samples: Iterable[Sample]) -> Display:
    """Parse the rows of the display query; a quantile over no requests (NaN) is left out."""
    quantiles: dict[tuple[Key, str], float] = {}
    rates: list[Row] = []
    for sample in samples:
        tag, value = sample.metric.get(TAG, ""), number(sample)
        if tag in {CLASSES, FAILURES}:
            rates.append((sample.metric, value))
        elif not isnan(value) and preset.histogram is not None:
            quantiles[preset.key_of(sample.metric), tag] = value / preset.histogram.per_second
    return Display(read_request_counts(preset, rates), quantiles)

"""Native histograms: which requests are above a limit, and which bounds are around it."""

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Batch, Coarse
from serinus.metrics.native import Bucket, NativeCounts, NativeRow, Neighbours, Problem, read_native, usable
from serinus.metrics.presets import PRESETS, Histogram
from serinus.metrics.queries import BEFORE, NOW, PART
from serinus.metrics.transport import HistogramValue

KEY = ("ml_fraud-2_80",)
LABELS = {"envoy_cluster_name": "ml_fraud-2_80"}
NARROW = Bucket(2.0 ** (61 / 8), 2.0 ** (62 / 8), 7.0)
"""Schema 3: 197.4 ms to 215.3 ms."""


def histogram() -> Histogram:
    found = PRESETS["contour"].histogram
    assert found is not None
    return found


def test_a_bucket_around_the_limit_is_only_possibly_slow() -> None:
    counts = NativeCounts(20.0, (Bucket(16.0, 32.0, 8.0), NARROW, Bucket(256.0, 512.0, 5.0)))

    batch = counts.batch(200.0)

    assert (batch.requests, batch.certain, batch.possible) == (20.0, 5.0, 12.0)
    assert batch.likely == pytest.approx(5 + 7 * (NARROW.upper - 200) / (NARROW.upper - NARROW.lower))


@pytest.mark.parametrize(("limit", "slow"), [(256.0, 5.0), (256.0 * (1 + 1e-12), 5.0), (512.0, 0.0), (600.0, 0.0)])
def test_a_limit_that_is_a_bound_is_exact(limit: float, slow: float) -> None:
    counts = NativeCounts(5.0, (Bucket(256.0, 512.0, 5.0),))

    assert counts.batch(limit) == Batch(5.0, slow, slow, slow)


def test_the_zero_bucket_is_below_every_limit() -> None:
    counts = NativeCounts(5.0, (Bucket(-1e-38, 1e-38, 3.0), Bucket(256.0, 512.0, 2.0)))

    assert counts.batch(0.5) == Batch(5.0, 2.0, 2.0, 2.0)
    assert (counts.schema, counts.custom) == (0, False)


@pytest.mark.parametrize("schema", range(-4, 9))
def test_the_schema_is_that_of_the_bounds(schema: int) -> None:
    steps = 2.0**schema
    buckets = tuple(Bucket(2.0 ** ((at - 1) / steps), 2.0 ** (at / steps), 1.0) for at in (-3, 0, 5))
    if schema >= 0:
        assert NativeCounts(3.0, buckets).schema == schema
    assert NativeCounts(1.0, buckets[1:2]).schema == schema


def test_the_coarsest_of_several_resolutions_counts() -> None:
    counts = NativeCounts(12.0, (NARROW, Bucket(128.0, 256.0, 5.0)))

    assert counts.schema == 0
    assert counts.batch(200.0).possible == 12.0


@pytest.mark.parametrize("bounds", [(100.0, 200.0), (128.0, 200.0), (90.0, 1000.0), (250.0, float("inf"))])
def test_bounds_of_their_own_are_no_schema(bounds: tuple[float, float]) -> None:
    counts = NativeCounts(1.0, (Bucket(*bounds, 1.0),))

    assert counts.schema is None
    assert counts.custom


def test_above_the_last_bound_nothing_is_certain() -> None:
    counts = NativeCounts(1.0, (Bucket(250.0, float("inf"), 4.0),))

    assert counts.batch(300.0) == Batch(1.0, 0.0, 4.0, 4.0)
    assert Neighbours().coarse(KEY, counts, 300.0, 1000.0) == Coarse(0.25, float("inf"))


def test_the_bounds_around_a_limit_are_remembered_while_nothing_is_counted() -> None:
    neighbours, counts = Neighbours(), NativeCounts(7.0, (NARROW,))

    assert neighbours.coarse(KEY, NativeCounts(), 200.0, 1000.0) is None
    seen = neighbours.coarse(KEY, counts, 200.0, 1000.0)
    assert seen == Coarse(NARROW.lower / 1000, NARROW.upper / 1000)
    assert neighbours.coarse(KEY, NativeCounts(), 200.0, 1000.0) == seen
    assert neighbours.coarse(KEY, NativeCounts(), 128.0, 1000.0) is None


def test_the_whole_histogram_has_the_same_bounds_at_every_resolution() -> None:
    fine = dict(NativeCounts(7.0, (NARROW,)).tail(1000.0))
    coarse = dict(NativeCounts(5.0, (Bucket(128.0, 256.0, 5.0),)).tail(1000.0))

    assert coarse.keys() < fine.keys()
    assert dict(NativeCounts().tail(1000.0)).keys() == fine.keys()
    assert (fine[0.128], fine[0.256], coarse[0.128], coarse[0.256]) == (7.0, 0.0, 5.0, 0.0)


def test_rows_are_read_by_what_they_say() -> None:
    grown = HistogramValue("7", [(0, "197.4", "215.3", "7")])
    fell = HistogramValue("3", [(0, "16", "32", "3")])
    rows: list[NativeRow] = [(LABELS, grown), (LABELS | {PART: NOW}, fell), (LABELS | {PART: BEFORE}, "900")]

    read = read_native(PRESETS["contour"], rows)

    assert read.counts[KEY].requests == 10.0
    assert read.grown == {KEY: 7.0}
    assert [(fall.now, fall.before) for fall in read.fell[KEY]] == [(3.0, 900.0)]


def test_numbers_where_histograms_are_asked_for_are_left_out() -> None:
    assert read_native(PRESETS["contour"], [(LABELS, "0")]).counts == {}


@pytest.mark.parametrize(
    ("counts", "compared", "cause", "words"),
    [
        (None, False, Cause.NO_SERIES, "scrape_classic_histograms: true"),
        (NativeCounts(1.0, (Bucket(16.0, 32.0, -1.0),)), False, Cause.AMBIGUOUS, "fell while its count grew"),
        (NativeCounts(1.0, (Bucket(100.0, 200.0, 1.0),)), True, Cause.NO_SERIES, "convert_classic_histograms_to_nhcb"),
    ],
)
def test_what_cannot_be_judged_is_said(
    counts: NativeCounts | None, cause: Cause, words: str, *, compared: bool
) -> None:
    found = usable("fraud-2", histogram(), counts, compared=compared)

    assert isinstance(found, Problem)
    assert found.cause is cause
    assert words in found.message
    assert "fraud-2" in found.message


def test_the_first_of_several_custom_buckets_begins_at_zero() -> None:
    counts = NativeCounts(4.0, (Bucket(float("-inf"), 100.0, 4.0),))

    assert counts.custom
    assert counts.batch(75.0) == Batch(4.0, 0.0, 1.0, 4.0)
    assert Neighbours().coarse(KEY, counts, 75.0, 1000.0) == Coarse(0.0, 0.1)

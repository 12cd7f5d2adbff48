import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.sequential import (
    CERTIFICATE_NEEDED,
    Onset,
    Tick,
    advance_onset,
    certificate,
    certificate_missing,
)

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
TOLERATED = 0.05


@pytest.mark.parametrize("tolerated", [0.0, 1.0, -0.1, math.nan])
def test_a_tolerated_rate_outside_0_and_1_is_refused_by_name(tolerated: float) -> None:
    with pytest.raises(ValueError, match="tolerated"):
        certificate(tolerated, 10, 0)


# ---- the certificate --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tolerated", "possible", "requests"),
    [(0.005, 0, 736), (0.005, 1, 1304), (0.005, 2, 1741), (0.05, 0, 72), (0.05, 3, 211)],
)
def test_the_certificate_needs_the_documented_number_of_requests(
    tolerated: float, possible: int, requests: int
) -> None:
    assert certificate(tolerated, requests, possible) >= CERTIFICATE_NEEDED
    assert certificate(tolerated, requests - 1, possible) < CERTIFICATE_NEEDED


def test_a_version_at_the_tolerated_rate_is_certified_no_more_often_than_a_martingale_allows() -> None:
    def chance(bad: int) -> float:
        return math.comb(60, bad) * TOLERATED**bad * (1 - TOLERATED) ** (60 - bad)

    mean = math.fsum(chance(bad) * certificate(TOLERATED, 60, bad) for bad in range(61))
    assert mean == pytest.approx(1.0, abs=1e-9)


@given(requests=st.integers(1, 100_000), share=st.floats(0, 1))
def test_the_requests_that_a_certificate_is_said_to_lack_are_enough(requests: int, share: float) -> None:
    possible = share * requests
    missing = certificate_missing(TOLERATED, requests, possible)
    if missing is None:
        assert share > 0.3 * TOLERATED
    else:
        grown = (requests + missing) / requests
        assert certificate(TOLERATED, grown * requests, grown * possible) >= CERTIFICATE_NEEDED * (1 - 1e-6)


# ---- the onset --------------------------------------------------------------------------------


def test_the_onset_is_dated_to_the_last_tick_that_spoke_for_the_version() -> None:
    onset = Onset()
    for tick in range(1, 101):
        onset = advance_onset(onset, Tick(10, 0), tolerated=0.005, at=START + timedelta(seconds=5 * tick))
    for tick in range(101, 104):
        onset = advance_onset(onset, Tick(10, 4), tolerated=0.005, at=START + timedelta(seconds=5 * tick))
    assert (onset.since, onset.requests, onset.bad) == (START + timedelta(seconds=500), 30, 12)


def test_a_regression_from_the_first_request_has_its_onset_at_the_beginning() -> None:
    onset = advance_onset(Onset(), Tick(10, 10), tolerated=0.005, at=START)
    assert (onset.since, onset.requests, onset.bad) == (None, 10, 10)

"""Periods of production: without overlap and without unreported gaps, for any history."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.audit_record import AuditEvent
from serinus.engine.report.periods import PeriodKind, live_at, periods
from support.audit.history_builder import History
from support.audit.sample_histories import a_first_version, a_year
from support.audit.specs import BEGIN
from support.examples import examples

YEAR = a_year()


def test_before_the_first_promotion_nothing_was_in_production() -> None:
    nothing, first = periods(a_first_version().records)
    assert (nothing.kind, nothing.begin) == (PeriodKind.NOTHING, BEGIN)
    assert (first.version, first.begin, first.end) == ("1.0.0", nothing.end, None)


def test_a_version_that_came_back_has_two_periods() -> None:
    served = [period for period in periods(a_year().records) if period.version == "2.5.1"]
    assert [period.began_by.event for period in served if period.began_by] == [
        AuditEvent.PROMOTED,
        AuditEvent.ROLLED_BACK,
    ]


def test_a_canary_that_was_rolled_back_was_never_in_production() -> None:
    assert "2.4.1" not in {period.version for period in periods(a_year().records)}


def test_an_entry_that_is_recorded_late_does_not_turn_time_back() -> None:
    history = History().register("1.0.0").adopt("1.0.0").register("1.1.0")
    early = history.records[0].at - timedelta(days=1)
    history.record(AuditEvent.PROMOTED, "1.1.0", at=early)
    found = periods(history.records)
    assert all(before.end == after.begin for before, after in pairwise(found))
    assert found[-1].version == "1.1.0"


@settings(max_examples=examples(60))
@given(lost=st.sets(st.integers(1, 110)))
def test_whatever_is_lost_periods_follow_each_other_without_gap_or_overlap(lost: set[int]) -> None:
    records = [record for record in YEAR.records if record.sequence not in lost]
    found = periods(records)
    assert all(before.end == after.begin for before, after in pairwise(found))
    assert all(period.begin is not None for period in found[1:])
    assert all(period.end is None for period in found[-1:])
    assert all(period.begin is None or period.end is None or period.begin < period.end for period in found)


@pytest.mark.parametrize(
    ("days", "version", "candidate"),
    [(1, "2.0.0", ""), (12.1, "2.0.0", "2.1.0"), (30, "2.1.0", ""), (166, "2.6.0", "")],
)
def test_which_version_was_live_is_answered_for_any_moment(days: float, version: str, candidate: str) -> None:
    live = live_at(YEAR.records, periods(YEAR.records), BEGIN + timedelta(days=days))
    assert live.period is not None
    assert (live.period.version, live.candidate) == (version, candidate)


def test_a_period_ends_where_the_next_one_begins_and_holds_no_moment_twice() -> None:
    found = periods(YEAR.records)
    boundary = found[4].begin
    assert boundary is not None
    assert [period.version for period in found if period.covers(boundary)] == [found[4].version]


def test_before_the_first_record_nothing_is_known() -> None:
    live = live_at(YEAR.records, periods(YEAR.records), BEGIN - timedelta(seconds=1))
    assert (live.period, live.candidate) == (None, "")

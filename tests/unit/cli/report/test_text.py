"""Text and charts of a page: escaping, links, and the geometry of charts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from serinus.cli.report.charts import GAUGE_LIMIT, gauge_bar, shares
from serinus.engine.report.measures import Gauge
from serinus.pages.axis import Scale, ticks
from serinus.pages.text import (
    anchor,
    breakable,
    html_link,
    html_text,
    length,
    markdown_link,
    markdown_text,
    run_anchor,
    size,
    visible,
    when,
)
from support.audit.sample_histories import a_year
from support.audit.specs import BEGIN


@given(st.text(max_size=200))
def test_no_text_leaves_its_line_its_cell_or_its_direction(text: str) -> None:
    harmless = markdown_text(text)
    assert not set(harmless) & {"\n", "\r", "<", ">", "\u202e", "\u2066", "\x1b"}
    assert harmless.count("|") == harmless.count("\\|")
    assert harmless.count("`") == harmless.count("\\`")
    assert not set(html_text(text)) & {"<", ">", '"', "\n", "\u202e", "\x1b"}


def test_invisible_characters_are_written_as_code_points() -> None:
    assert visible("a\u202eb\x00c\td\ud800") == "a⟨U+202E⟩b⟨U+0000⟩c d⟨U+D800⟩"


def test_a_long_name_breaks_after_its_signs_and_is_escaped_all_the_same() -> None:
    assert breakable("system:serviceaccount:a") == "system:<wbr>serviceaccount:<wbr>a"
    assert breakable("<b>@'") == "&lt;b&gt;@<wbr>&#39;"


def test_markup_of_the_page_itself_stays_what_it_is() -> None:
    assert html_text(Markup("<b>")) == markdown_text(Markup("<b>")) == "<b>"


def test_a_value_other_than_text_or_number_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot show NoneType"):
        html_text(None)


@pytest.mark.parametrize(
    "address", ["https://git.bank.example/ml/fraud/pulls/88", "https://a.example:8443/x?y=1&z=%20#part"]
)
def test_a_plain_https_address_is_a_link(address: str) -> None:
    assert html_link(address).startswith('<a href="https://')
    assert markdown_link(address).endswith(f"](<{address.replace('&', '&amp;')}>)")


@pytest.mark.parametrize(
    "address",
    [
        "http://a.example/",
        "javascript:alert(1)",
        "https://a.example/ x",
        'https://a.example/"onload=',
        "https://a.example/>x",
        "https://user:secret@a.example/",
        "https://a.example\\@b.example/",
        "https://\u0430pple.example/",
        "HTTPS://a.example/\n",
        "//a.example/",
    ],
)
def test_any_other_address_is_text(address: str) -> None:
    assert "<a" not in html_link(address)
    assert "](" not in markdown_link(address)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=1.34), "1.3s"),
        (timedelta(seconds=7), "7s"),
        (timedelta(hours=2, minutes=5, seconds=1), "2h 5m"),
        (None, "not known"),
    ],
)
def test_lengths_of_time_are_short_and_exact_where_it_matters(span: timedelta | None, text: str) -> None:
    assert length(span) == text


def test_times_are_utc_wherever_they_were_recorded() -> None:
    assert when(datetime.fromisoformat("2026-11-23T15:07:31+01:00")) == "2026-11-23 14:07:31"
    assert when(None, "never") == "never"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (51_200_000, "51.2 MB"), (7 * 10**12, "7 TB"), (10**19, "10,000 PB")],
)
def test_sizes_have_a_unit(count: int, text: str) -> None:
    assert size(count) == text


def test_anchors_are_readable_for_versions_and_safe_for_anything_else() -> None:
    assert anchor("version", "2.3.1-rc.1") == "version-2.3.1-rc.1"
    assert anchor("version", '"><script>').removeprefix("version-").isalnum()
    assert run_anchor("fraud", "a", 1) != run_anchor("fraud", "b", 1)


# ---- charts -----------------------------------------------------------------------------------


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=20_000)))  # noqa: DTZ001 - the zone is added below
def test_an_axis_has_a_few_round_moments_in_order_and_within(begin: datetime, whole: timedelta) -> None:
    start = begin.replace(tzinfo=UTC)
    found = ticks(Scale(start, start + whole))
    places = [tick.x for tick in found]
    assert len(found) <= 8
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    # An hour may come again on the next day; the day's label then stands between.
    days = [tick.label for tick in found if ":" not in tick.label]
    assert len(set(days)) == len(days)
    for first, tick in enumerate(found):
        again = [later for later in found[first + 1 :] if later.label == tick.label]
        assert all(any(":" not in between.label for between in found[first + 1 : found.index(one)]) for one in again)


@pytest.mark.parametrize(
    ("gauge", "width", "bad", "over"),
    [
        (Gauge(1.0, "", low_is_bad=False), GAUGE_LIMIT, False, False),
        (Gauge(0.5, "", low_is_bad=False), GAUGE_LIMIT / 2, False, False),
        (Gauge(1.01, "", low_is_bad=False), 60.6, True, False),
        (Gauge(6.8, "", low_is_bad=False), 100, True, True),
        (Gauge(0.9, "", low_is_bad=True), 54, True, False),
    ],
)
def test_every_gauge_has_its_limit_at_the_same_place(gauge: Gauge, width: float, bad: bool, over: bool) -> None:  # noqa: FBT001 - parameters
    bar = gauge_bar(gauge)
    assert bar.width == pytest.approx(width)
    assert (bar.bad, bar.over) == (bad, over)


def test_the_steps_of_a_runs_traffic_fill_the_whole_width_and_fall_where_it_is_rolled_back() -> None:
    report = a_year().report()
    for run in report.runs:
        chart = shares(run, report.as_of)
        assert chart is not None
        assert sum(step.width for step in chart.steps) == pytest.approx(100, abs=0.01)
        assert (chart.fall is not None) == (run.version in {"2.4.1", "2.5.1"} and run.key.run in {5, 8})


def test_a_run_that_has_only_just_begun_has_no_chart() -> None:
    report = a_year().report()
    assert shares(report.runs[-1], report.runs[-1].began_at) is None
    assert report.runs[0].began_at > BEGIN

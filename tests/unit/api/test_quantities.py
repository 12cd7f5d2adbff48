from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.quantities import ALL_OF_IT, NONE_OF_IT, Duration, Share, format_duration

lengths = st.integers(0, 10**12).map(lambda millis: timedelta(milliseconds=millis))
shares = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("1h30m", 5400), ("10s", 10), ("500ms", 0.5), ("1h1m1s1ms", 3661.001), ("90m", 5400), ("0s", 0)],
)
def test_a_duration_is_parsed(text: str, seconds: float) -> None:
    assert Duration(text).seconds == seconds
    assert str(Duration(text)) == text
    assert repr(Duration(text)) == f"Duration({text!r})"


@pytest.mark.parametrize("text", ["", "5", "h", "-1s", "1.5h", "1s1m", "1d", " 1s", "1s ", "1 s", "1S", "٣s"])
def test_a_malformed_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        Duration(text)


def test_durations_compare_by_length_not_by_text() -> None:
    assert Duration("60s") == Duration("1m")
    assert hash(Duration("60s")) == hash(Duration("1m"))
    assert Duration("59s") < Duration("1m") <= Duration("60s") < Duration("1h")
    assert Duration("1m") != "1m"


@given(lengths)
def test_a_formatted_length_survives_a_round_trip(length: timedelta) -> None:
    assert Duration.of(length).value == length


def test_a_negative_length_is_formatted_as_zero() -> None:
    assert format_duration(timedelta(seconds=-5)) == "0s"


@given(shares)
def test_a_share_of_ten_thousandths_is_exact(parts: int) -> None:
    share = Share.of_parts(parts)
    assert share.parts == parts
    assert Share(str(share)) == share
    assert Decimal(str(share).rstrip("%")) * 100 == parts
    assert share.ratio == parts / 10_000


@given(shares, shares)
def test_shares_compare_by_size(one: int, other: int) -> None:
    assert (Share.of_parts(one) < Share.of_parts(other)) == (one < other)
    assert (Share.of_parts(one) == Share.of_parts(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "parts", "shortest"),
    [("5%", 500, "5%"), ("05%", 500, "5%"), ("0.25%", 25, "0.25%"), ("0.5%", 50, "0.5%"), ("100.00%", 10_000, "100%")],
)
def test_a_share_is_parsed_and_formatted_in_its_shortest_form(text: str, parts: int, shortest: str) -> None:
    share = Share(text)
    assert (share.parts, str(share), repr(share)) == (parts, shortest, f"Share({shortest!r})")
    assert hash(share) == hash(Share.of_parts(parts))


@pytest.mark.parametrize("text", ["", "5", "%", "101%", "100.01%", "-1%", "0.125%", "5 %", ".5%", "5%%", "1e1%"])
def test_a_malformed_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid share of traffic"):
        Share(text)


@pytest.mark.parametrize("parts", [-1, 10_001])
def test_shares_outside_the_scale_are_refused(parts: int) -> None:
    with pytest.raises(ValueError, match="invalid share"):
        Share.of_parts(parts)


def test_none_and_all_are_the_ends_of_the_scale() -> None:
    assert (NONE_OF_IT.parts, ALL_OF_IT.parts) == (0, 10_000)
    assert Share("5%") != "5%"

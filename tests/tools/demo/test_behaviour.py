"""The number of a request alone determines whether it is slow or fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.behaviour import Behaviour, behaviour_of
from demo.errors import DemoError
from demo.portable.server import treatment


def test_the_first_requests_are_served_normally() -> None:
    behaviour = Behaviour(latency_seconds=0.45, failing_share=1.0, after_requests=30)

    first = [treatment(behaviour, number) for number in range(30)]

    assert not any(planned.wait or planned.fails for planned in first)
    assert treatment(behaviour, 30).fails


@given(share=st.floats(0.05, 0.95), start=st.integers(0, 10_000))
def test_a_failing_share_holds_in_any_two_hundred_requests(share: float, start: int) -> None:
    behaviour = Behaviour(failing_share=share)

    failed = sum(treatment(behaviour, start + number).fails for number in range(200))

    assert failed / 200 == pytest.approx(share, abs=0.03)


def test_a_slow_version_takes_its_latency_within_ten_percent() -> None:
    waits = [treatment(Behaviour(latency_seconds=0.45), number).wait for number in range(500)]

    assert 0.405 <= min(waits) < max(waits) <= 0.495


def test_the_default_behaviour_neither_waits_nor_fails() -> None:
    assert not any(treatment(Behaviour(), n).wait or treatment(Behaviour(), n).fails for n in range(100))


@pytest.mark.parametrize(
    ("raw", "field"),
    [({"failingShare": 1.5}, "failingShare"), ({"latencySeconds": -1.0}, "latencySeconds"), ({"lag": 1}, "lag")],
)
def test_an_invalid_behaviour_is_refused_naming_the_field(raw: dict[str, float], field: str) -> None:
    with pytest.raises(DemoError, match=field):
        behaviour_of(raw)

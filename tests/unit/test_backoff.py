"""Capped exponential backoff."""

from itertools import islice

import pytest

from serinus.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_never_end() -> None:
    assert list(islice(Backoff(first=0.2, longest=1.0), 6)) == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_each_iteration_begins_with_the_first_pause() -> None:
    backoff = Backoff(first=1.0, longest=60.0)
    assert list(islice(backoff, 3)) == list(islice(backoff, 3)) == [1.0, 2.0, 4.0]


def test_a_longest_pause_below_the_double_of_the_first_is_kept() -> None:
    assert list(islice(Backoff(first=5.0, longest=5.0), 3)) == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(("pause", "following"), [(0.2, 0.4), (8.0, 15.0), (15.0, 15.0)])
def test_the_pause_after_another_is_its_double_or_the_longest(pause: float, following: float) -> None:
    assert Backoff(first=0.2, longest=15.0).after(pause) == following


def test_jitter_scales_each_pause_and_does_not_accumulate() -> None:
    backoff = Backoff(first=1.0, longest=4.0, jitter=0.5)
    samples = [list(islice(backoff, 5)) for _ in range(200)]
    for position, pause in enumerate((1.0, 2.0, 4.0, 4.0, 4.0)):
        at = [sample[position] for sample in samples]
        assert all(0.5 * pause <= one <= 1.5 * pause for one in at)
        assert len(set(at)) > 1

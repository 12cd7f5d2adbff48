"""Labels that are read once say what they would if they were read each time, and none are kept for ever."""

import itertools
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.metrics.label_sets import ByLabels, Labels, LabelSets, Row

_TEXTS = st.lists(st.integers(0, 30), max_size=12)
"""The numbers of the backends in one answer."""


def text(number: int) -> bytes:
    return msgspec.json.encode({"envoy_cluster_name": f"ml_m{number}_80"})


def number_of(labels: Labels) -> int:
    return int(labels["envoy_cluster_name"].removeprefix("ml_m").removesuffix("_80"))


@given(st.lists(_TEXTS, max_size=20))
def test_each_answer_has_its_own_labels_and_those_of_the_answer_before_are_the_same_objects(
    answers: list[list[int]],
) -> None:
    sets, before = LabelSets(time.monotonic), dict[int, Labels]()
    for numbers in answers:
        found = sets.of([text(number) for number in numbers])
        assert list(map(number_of, found)) == numbers
        assert all(before.get(number, one) is one for number, one in zip(numbers, found, strict=True))
        before = dict(zip(numbers, found, strict=True))


@given(st.lists(_TEXTS, max_size=20))
def test_what_rows_say_is_what_their_labels_say_whichever_were_there_before(answers: list[list[int]]) -> None:
    sets, said = LabelSets(time.monotonic), ByLabels(number_of)
    for numbers in answers:
        rows: list[Row] = [(one, 1.0) for one in sets.of([text(number) for number in numbers])]
        # Others have labels of their own, which are gone after the answer: an address may be used again.
        others: list[Row] = [({"envoy_cluster_name": f"ml_m{number + 100}_80"}, 2.0) for number in numbers]
        expected = [*((number, 1.0) for number in numbers), *((number + 100, 2.0) for number in numbers)]
        assert said.over([*rows, *others]) == expected


def test_labels_of_series_that_are_gone_are_dropped_and_those_that_are_read_again_are_kept() -> None:
    clock = itertools.count()
    sets = LabelSets(lambda: float(next(clock)))
    (kept,) = sets.of([text(-1)])
    for number in range(1000):
        assert sets.of([text(-1), text(number)])[0] is kept
        assert len(sets._recent) + len(sets._before) <= 2 * 61


@pytest.mark.parametrize("wrong", [b"5", b"[]", b'{"a": 5}', b"{", b""])
def test_what_are_no_labels_is_an_error(wrong: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        LabelSets(time.monotonic).of([wrong])

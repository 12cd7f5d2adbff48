"""SemVer as specified by semver.org, compared with an independent implementation of its order."""

from functools import cmp_to_key
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.modelversion import Bump
from serinus.engine.semver import (
    at_least,
    declared_bump,
    describe_tag,
    greatest,
    in_order,
    parse_version,
    place_of,
    predecessor,
    same_line,
    sortable,
)

FROM_THE_PAGE = (
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
)
"""The examples of semver.org 2.0.0, paragraph 11, from the lowest to the highest."""

numbers = st.one_of(st.integers(0, 12), st.integers(0, 999_999_999))
words = st.from_regex(r"\A[0-9]{0,2}[a-zA-Z-][0-9a-zA-Z-]{0,3}\Z")
identifiers = st.one_of(st.integers(0, 10**12).map(str), words)
prereleases = st.lists(identifiers, max_size=4).map(".".join)
versions = st.builds(
    lambda core, tail: ".".join(map(str, core)) + (f"-{tail}" if tail else ""),
    st.tuples(numbers, numbers, numbers),
    prereleases,
)
near = st.builds(
    lambda core, tail: ".".join(map(str, core)) + (f"-{tail}" if tail else ""),
    st.tuples(st.integers(0, 1), st.integers(9, 11), st.integers(0, 1)),
    st.lists(st.sampled_from(["0", "1", "2", "11", "a", "A", "aa", "a-b", "-", "a0", "1a"]), max_size=3).map(".".join),
)


def by_the_page(one: str, other: str) -> int:
    """Compare as paragraph 11 says; negative where the first one is lower."""
    (core, _, tail), (other_core, _, other_tail) = one.partition("-"), other.partition("-")
    first, second = [int(n) for n in core.split(".")], [int(n) for n in other_core.split(".")]
    if first != second:
        return -1 if first < second else 1
    if not tail or not other_tail:
        return bool(other_tail) - bool(tail)
    for left, right in zip(tail.split("."), other_tail.split("."), strict=False):
        if left == right:
            continue
        if left.isdecimal() != right.isdecimal():
            return -1 if left.isdecimal() else 1
        lower = int(left) < int(right) if left.isdecimal() else left.encode() < right.encode()
        return -1 if lower else 1
    return tail.count(".") - other_tail.count(".")


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def test_the_order_is_that_of_semver_org() -> None:
    assert in_order(reversed(FROM_THE_PAGE)) == list(FROM_THE_PAGE)
    assert sorted(FROM_THE_PAGE, key=lambda text: sortable(text).encode()) == list(FROM_THE_PAGE)
    assert all(by_the_page(lower, higher) < 0 for lower, higher in pairwise(FROM_THE_PAGE))


@given(st.one_of(st.tuples(versions, versions), st.tuples(near, near)))
def test_versions_and_their_sort_keys_compare_as_specified(pair: tuple[str, str]) -> None:
    one, other = pair
    expected = sign(by_the_page(one, other))
    assert sign(parse_version(one).compare(parse_version(other))) == expected
    first, second = sortable(one).encode(), sortable(other).encode()
    assert (first > second) - (first < second) == expected
    assert (place_of(one) > place_of(other)) - (place_of(one) < place_of(other)) == expected


@given(st.lists(near, max_size=12))
def test_a_store_that_sorts_by_bytes_sorts_by_semver(mixed: list[str]) -> None:
    by_bytes = sorted(mixed, key=lambda text: sortable(text).encode())
    assert [sortable(text) for text in by_bytes] == [sortable(text) for text in in_order(mixed)]
    assert [sortable(text) for text in sorted(mixed, key=cmp_to_key(by_the_page))] == [sortable(t) for t in by_bytes]


@given(versions)
def test_a_leading_v_changes_nothing(version: str) -> None:
    assert parse_version(f"v{version}") == parse_version(version)
    assert sortable(f"v{version}") == sortable(version)
    assert str(parse_version(version)) == version


@pytest.mark.parametrize("text", ["1.0.0+gpu", "1.0.0-rc.1+build.5"])
def test_build_metadata_has_no_order_and_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"leave out \+"):
        parse_version(text)


@pytest.mark.parametrize("text", ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "latest", "vv1.0.0"])
def test_an_invalid_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SemVer"):
        parse_version(text)


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("1.2.3", "2.0.0", Bump.MAJOR),
        ("1.2.3", "1.3.0", Bump.MINOR),
        ("1.2.3", "1.2.4", Bump.PATCH),
        ("1.2.3", "1.2.3", Bump.NONE),
        ("1.2.3", "1.2.2", Bump.NONE),
        ("2.0.0", "1.9.9", Bump.NONE),
        ("0.2.3", "0.3.0", Bump.MAJOR),
        ("0.2.3", "0.2.4", Bump.MINOR),
        ("0.9.0", "1.0.0", Bump.MAJOR),
        ("2.0.0-rc.1", "2.0.0-rc.2", Bump.PATCH),
        ("2.0.0-rc.1", "2.0.0", Bump.PATCH),
        ("1.9.0", "2.0.0-rc.1", Bump.MAJOR),
    ],
)
def test_the_bump_between_two_versions(before: str, after: str, bump: Bump) -> None:
    assert declared_bump(before, after) is bump


@given(st.lists(near, min_size=3, max_size=3))
def test_the_bump_is_monotonic(three: list[str]) -> None:
    low, middle, high = in_order(three)
    assert at_least(declared_bump(low, high), declared_bump(low, middle))


def test_bumps_have_an_order() -> None:
    assert greatest([]) is Bump.NONE
    assert greatest([Bump.PATCH, Bump.MAJOR, Bump.MINOR]) is Bump.MAJOR
    assert at_least(Bump.MINOR, Bump.MINOR)
    assert not at_least(Bump.PATCH, Bump.MINOR)


def test_versions_of_one_line_imply_mutual_compatibility() -> None:
    assert same_line("1.0.0", "v1.9.3-rc.1")
    assert not same_line("1.0.0", "2.0.0")
    assert same_line("0.3.0", "0.3.9")
    assert not same_line("0.3.0", "0.4.0")


@given(near, st.lists(near, max_size=8))
def test_the_predecessor_is_the_highest_of_the_lower_ones(version: str, others: list[str]) -> None:
    found = predecessor(version, others)
    lower = [other for other in others if by_the_page(other, version) < 0]
    if found is None:
        assert lower == []
    else:
        assert found in lower
        assert all(by_the_page(other, found) <= 0 for other in lower)


@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("1.2.3-4-gabcdef0", "1.2.3"),
        ("v1.2.3-4-gabcdef0", "1.2.3"),
        ("1.2.3-14-gabcdef0-dirty", "1.2.3"),
        ("1.2.3-rc.1-4-gabcdef0", "1.2.3-rc.1"),
        ("1.2.3", None),
        ("1.2.3-4", None),
        ("1.2.3-4-abcdef0", None),
        ("1.2.3-rc.1", None),
    ],
)
def test_a_number_of_git_describe_names_the_tag_that_it_counts_from(version: str, tag: str | None) -> None:
    assert describe_tag(version) == tag

"""The shard of a model, and who should hold which shard: even, total, with as few moves as possible."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.names import ObjectKey
from serinus.engine.sharding import Assignment, SeenLease, assign, shard_of, targets

ALIVE_FOR, DURATION, NOW = 10.0, 15.0, 1000.0

MEMBERS = st.sets(st.sampled_from("abcdefghij"), min_size=1)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[str], set[str]]:
    """Who holds each shard, and who is alive: some shards are free, some are still held by processes that are not."""
    alive = draw(MEMBERS)
    holders = draw(st.lists(st.sampled_from(["", "gone", *sorted(alive)]), min_size=1, max_size=32))
    return holders, alive


def leases_of(holders: Sequence[str]) -> list[SeenLease]:
    return [SeenLease(holder, NOW - 1, DURATION) for holder in holders]


def all_assignments(holders: Sequence[str], alive: set[str]) -> dict[str, Assignment]:
    seen = dict.fromkeys(alive, NOW)
    return {member: assign(leases_of(holders), seen, member, now=NOW, alive_for=ALIVE_FOR) for member in sorted(alive)}


def applied(holders: Sequence[str], decided: dict[str, Assignment]) -> list[str]:
    """The holders once everybody has handed back and taken what it decided; a shard of the dead stays as it is."""
    after = list(holders)
    for member, assignment in decided.items():
        for shard in assignment.hand_back:
            assert after[shard] == member
            after[shard] = ""
    for member, assignment in decided.items():
        for shard in assignment.take:
            assert after[shard] == "", f"shard {shard} is taken twice"
            after[shard] = member
    return after


# ---- the shard of a model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "name", "shards", "expected"),
    [
        ("ml", "fraud-detector", 1, 0),
        ("ml", "fraud-detector", 4, 0),
        ("ml", "fraud-detector", 32, 24),
        ("payments", "fraud-detector", 4, 1),
        ("ml", "churn", 7, 2),
    ],
)
def test_the_shard_of_a_model_is_the_same_in_every_release(
    namespace: str, name: str, shards: int, expected: int
) -> None:
    """Another hash would give a model to two processes while one release replaces another."""
    assert shard_of(ObjectKey(namespace, name), shards) == expected


@given(st.text("abc-", min_size=1), st.text("abc-", min_size=1), st.integers(1, 32))
def test_every_model_has_a_shard(namespace: str, name: str, shards: int) -> None:
    assert 0 <= shard_of(ObjectKey(namespace, name), shards) < shards


def test_the_models_of_one_namespace_are_spread_over_all_shards() -> None:
    counts = Counter(shard_of(ObjectKey("ml", f"model-{number}"), 16) for number in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) <= 1.15 * min(counts.values())


# ---- who should hold what ------------------------------------------------------------------------


@given(situations())
def test_the_target_is_total_and_even(situation: tuple[list[str], set[str]]) -> None:
    holders, alive = situation
    target = targets(holders, alive)
    assert len(target) == len(holders)
    assert set(target) <= alive
    counts = [target.count(member) for member in alive]
    assert max(counts) - min(counts) <= 1


@given(situations())
def test_as_few_shards_as_possible_move(situation: tuple[list[str], set[str]]) -> None:
    """The best that any even spread can keep: each process its own, up to its part; larger parts to the largest."""
    holders, alive = situation
    target = targets(holders, alive)
    kept = sum(holder == after for holder, after in zip(holders, target, strict=True))
    held = sorted((holders.count(member) for member in alive), reverse=True)
    least, larger = divmod(len(holders), len(alive))
    best = sum(min(count, least + (rank < larger)) for rank, count in enumerate(held))
    assert kept == best


@given(situations())
def test_an_even_spread_stays_as_it_is(situation: tuple[list[str], set[str]]) -> None:
    holders, alive = situation
    target = targets(holders, alive)
    assert targets(target, alive) == target


@given(situations())
def test_those_who_see_the_same_agree_and_no_shard_is_held_by_two(situation: tuple[list[str], set[str]]) -> None:
    holders, alive = situation
    decided = all_assignments(holders, alive)
    for member, one in decided.items():
        mine = {shard for shard, holder in enumerate(holders) if holder == member}
        assert one.keep | one.hand_back == mine
        assert not one.keep & one.hand_back
        assert all(not holders[shard] for shard in one.take)
    after = applied(holders, decided)
    again = applied(after, all_assignments(after, alive))
    # What the dead still hold is taken once their Leases have ended.
    ended = ["" if holder == "gone" else holder for holder in again]
    spread = applied(ended, all_assignments(ended, alive))
    spread = applied(spread, all_assignments(spread, alive))
    assert "" not in spread
    counts = [spread.count(member) for member in alive]
    assert max(counts) - min(counts) <= 1
    assert spread == applied(spread, all_assignments(spread, alive))


@given(situations(), MEMBERS)
def test_who_sees_other_members_neither_takes_a_held_shard_nor_drops_one_for_nobody(
    situation: tuple[list[str], set[str]], seen_by_me: set[str]
) -> None:
    holders, alive = situation
    me = min(alive)
    mine = assign(leases_of(holders), dict.fromkeys(seen_by_me, NOW), me, now=NOW, alive_for=ALIVE_FOR)
    assert all(not holders[shard] for shard in mine.take)
    if seen_by_me <= {me}:
        assert not mine.hand_back


# ---- time ----------------------------------------------------------------------------------------


def test_a_dead_replicas_shards_are_taken_when_their_leases_end_and_not_before() -> None:
    last_sign = NOW
    leases = [SeenLease("a", last_sign, DURATION), SeenLease("a", last_sign, DURATION), SeenLease("b", NOW, 1e9)]
    members = {"a": last_sign, "b": 1e9}
    before = assign(leases, members, "b", now=last_sign + DURATION - 0.01, alive_for=ALIVE_FOR)
    after = assign(leases, members, "b", now=last_sign + DURATION, alive_for=ALIVE_FOR)
    assert before == Assignment(take=frozenset(), keep=frozenset({2}), hand_back=frozenset())
    assert after == Assignment(take=frozenset({0, 1}), keep=frozenset({2}), hand_back=frozenset())


def test_nothing_is_left_to_a_process_that_gives_no_sign_of_life() -> None:
    leases = [SeenLease() for _ in range(4)]
    members = {"a": NOW - ALIVE_FOR, "b": NOW}
    assert assign(leases, members, "b", now=NOW, alive_for=ALIVE_FOR).take == {0, 1, 2, 3}
    assert len(assign(leases, members | {"a": NOW - 1}, "b", now=NOW, alive_for=ALIVE_FOR).take) == 2


def test_a_third_replica_gets_its_part_and_each_of_the_others_gives_as_little_as_it_can() -> None:
    decided = all_assignments(["a", "a", "a", "a", "b", "b", "b", "b"], {"a", "b", "c"})
    assert sorted(len(one.hand_back) for one in decided.values()) == [0, 1, 1]
    assert not decided["c"].hand_back
    after = applied(["a", "a", "a", "a", "b", "b", "b", "b"], decided)
    assert [after.count(member) for member in ("a", "b", "c", "")] == [3, 3, 0, 2]
    spread = applied(after, all_assignments(after, {"a", "b", "c"}))
    assert [spread.count(member) for member in ("a", "b", "c")] == [3, 3, 2]

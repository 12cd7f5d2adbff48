"""The groups of an index, against plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from serinus.api.names import ObjectKey
from serinus.reconcile.index import Index

STEPS = st.lists(st.tuples(st.sampled_from(["add", "discard"]), st.sampled_from("gh"), st.sampled_from("abc")))


@given(STEPS)
def test_an_index_holds_what_was_added_and_not_discarded(steps: list[tuple[str, str, str]]) -> None:
    index, expected = Index[str, int](), dict[str, dict[ObjectKey, int]]()
    for number, (what, group, name) in enumerate(steps):
        key = ObjectKey("ml", name)
        if what == "add":
            index.add(group, key, number)
            expected.setdefault(group, {})[key] = number
        else:
            index.discard(group, key)
            expected.get(group, {}).pop(key, None)
    filled = {group: members for group, members in expected.items() if members}
    assert len(index) == len(filled)
    for group in "gh":
        members = filled.get(group, {})
        assert index.keys(group) == frozenset(members)
        assert sorted(index.values(group)) == sorted(members.values())

"""Laws of the schema difference for signatures at random, held against a simulator of servers and clients."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.modelversion import Bump, Field, Signature
from serinus.engine.schema.diff import backward, diff, forward
from serinus.engine.schema.rules import Rule
from serinus.engine.semver import greatest
from support.examples import examples
from support.schema.oracle import compatible, handed_on
from support.schema.signatures import fields, pairs, signatures

MANY = settings(max_examples=examples(150))

# Fields whose names no random signature uses: whatever becomes of them is independent of all others.
strangers = fields(("m",))


@MANY
@given(signatures)
def test_nothing_lies_between_a_signature_and_itself(one: Signature) -> None:
    assert diff(one, structs.replace(one)) == ()


@MANY
@given(signatures, st.data())
def test_the_order_of_fields_does_not_matter(one: Signature, data: st.DataObject) -> None:
    def shuffled(members: tuple[Field, ...]) -> tuple[Field, ...]:
        return tuple(data.draw(st.permutations(members)))

    other = structs.replace(
        one, inputs=shuffled(one.inputs), outputs=shuffled(one.outputs), parameters=shuffled(one.parameters)
    )
    assert diff(one, other) == ()


@MANY
@given(pairs())
def test_old_clients_work_on_the_new_version_exactly_where_the_simulator_says_so(
    two: tuple[Signature, Signature],
) -> None:
    old, new = two
    if _beyond_values(old, new):
        assert not backward(old, new) or compatible(client=old, server=new), diff(old, new)
    else:
        assert backward(old, new) == compatible(client=old, server=new), diff(old, new)


@MANY
@given(pairs())
def test_a_rollback_is_safe_exactly_where_the_simulator_says_so(two: tuple[Signature, Signature]) -> None:
    old, new = two
    if _beyond_values(old, new):
        assert not forward(old, new) or compatible(client=new, server=old), diff(old, new)
    else:
        assert forward(old, new) == compatible(client=new, server=old), diff(old, new)


@MANY
@given(pairs())
def test_forward_is_backward_seen_from_the_other_side(two: tuple[Signature, Signature]) -> None:
    old, new = two
    event(f"backward {backward(old, new)}, forward {forward(old, new)}")
    assert backward(old, new) == forward(new, old)
    assert forward(old, new) == backward(new, old)


@MANY
@given(pairs())
def test_differences_come_with_the_gravest_first(two: tuple[Signature, Signature]) -> None:
    ranks = [[Bump.MAJOR, Bump.MINOR, Bump.PATCH].index(one.bump) for one in diff(*two)]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("section", ["inputs", "outputs", "parameters"])
@MANY
@given(pairs(), st.one_of(st.none(), strangers), st.one_of(st.none(), strangers))
def test_one_more_independent_change_adds_its_own_and_takes_none_away(
    section: str, two: tuple[Signature, Signature], before: Field | None, after: Field | None
) -> None:
    old, new = two
    if section == "outputs" and 1 in {len(old.outputs), len(new.outputs)}:
        return  # an answer of one value may have no name: whether it has, depends on its being alone
    lonely = [structs.replace(one, inputs=(), outputs=(), parameters=()) for one in two]
    alone = diff(_with(lonely[0], section, before), _with(lonely[1], section, after))
    together = diff(_with(old, section, before), _with(new, section, after))
    assert set(together) == set(diff(old, new)) | set(alone)
    assert greatest(one.bump for one in together) == greatest(one.bump for one in (*diff(old, new), *alone))


def _with(signature: Signature, section: str, one: Field | None) -> Signature:
    stranger = () if one is None else (structs.replace(one, aliases=()),)
    return structs.replace(signature, **{section: getattr(signature, section) + stranger})


def _beyond_values(old: Signature, new: Signature) -> bool:
    """Say whether the rules may be stricter than what values show: same name and type, but of another field.

    I15: inputs without a name have changed places. I9, O2: a name has passed to another field.
    """
    return any(one.rule == Rule.INPUT_ORDER for one in diff(old, new)) or handed_on(old, new)

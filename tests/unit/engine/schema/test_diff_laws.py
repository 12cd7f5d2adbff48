"""Laws of the schema difference for random signatures, compared with a simulator of servers and clients."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.modelversion import Bump
from serinus.api.signature import Field, Profile, Signature
from serinus.engine.schema.diff import backward, diff, forward
from serinus.engine.schema.rules import Rule
from serinus.engine.semver import greatest
from support.examples import examples
from support.schema.oracle import compatible, handed_on
from support.schema.signatures import a_signature, fields, pairs, signatures

MANY = settings(max_examples=examples(150))

# Fields whose names no random signature uses: their changes are independent of all others.
unrelated = fields(("m",))


@MANY
@given(signatures)
def test_a_signature_does_not_differ_from_itself(signature: Signature) -> None:
    assert diff(signature, structs.replace(signature)) == ()


@MANY
@given(signatures, st.data())
def test_the_order_of_fields_does_not_matter(signature: Signature, data: st.DataObject) -> None:
    def shuffled(members: tuple[Field, ...]) -> tuple[Field, ...]:
        return tuple(data.draw(st.permutations(members)))

    other = structs.replace(
        signature,
        inputs=shuffled(signature.inputs),
        outputs=shuffled(signature.outputs),
        parameters=shuffled(signature.parameters),
    )
    assert diff(signature, other) == ()


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


lengths = st.sampled_from([-1, 1, 3])


@st.composite
def batches(draw: st.DrawFn) -> Signature:
    def section(*names: str) -> list[dict[str, object]]:
        return [{"name": name, "dtype": "float32", "shape": [draw(lengths), 4]} for name in names]

    return a_signature(profile=draw(st.sampled_from(Profile)).value, inputs=section("a", "b"), outputs=section("y"))


@settings(max_examples=examples(300))
@given(batches(), batches())
def test_dynamic_batching_breaks_exactly_the_clients_that_the_simulator_finds(old: Signature, new: Signature) -> None:
    new = structs.replace(new, profile=old.profile)
    event(f"backward {backward(old, new)}, forward {forward(old, new)}")
    assert backward(old, new) == compatible(client=old, server=new), diff(old, new)
    assert forward(old, new) == compatible(client=new, server=old), diff(old, new)


@MANY
@given(pairs())
def test_the_most_severe_differences_come_first(two: tuple[Signature, Signature]) -> None:
    ranks = [[Bump.MAJOR, Bump.MINOR, Bump.PATCH].index(change.bump) for change in diff(*two)]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("section", ["inputs", "outputs", "parameters"])
@MANY
@given(pairs(), st.one_of(st.none(), unrelated), st.one_of(st.none(), unrelated))
def test_one_more_independent_change_adds_its_own_and_takes_none_away(
    section: str, two: tuple[Signature, Signature], before: Field | None, after: Field | None
) -> None:
    old, new = two
    if section == "outputs" and 1 in {len(old.outputs), len(new.outputs)}:
        return  # a response of a single value may be unnamed, so a further output is not independent of it
    empty = [structs.replace(signature, inputs=(), outputs=(), parameters=()) for signature in two]
    alone = diff(_with(empty[0], section, before), _with(empty[1], section, after))
    together = diff(_with(old, section, before), _with(new, section, after))
    assert set(together) == set(diff(old, new)) | set(alone)
    expected = greatest(change.bump for change in (*diff(old, new), *alone))
    assert greatest(change.bump for change in together) == expected


def _with(signature: Signature, section: str, field: Field | None) -> Signature:
    # The first dimension of an input is not independent of the outputs: it may be the batch's.
    plain = {"aliases": (), "shape": ()} if section == "inputs" else {"aliases": ()}
    further = () if field is None else (structs.replace(field, **plain),)
    return structs.replace(signature, **{section: getattr(signature, section) + further})


def _beyond_values(old: Signature, new: Signature) -> bool:
    """Return whether the rules may be stricter than values show: same name and type, but another field.

    I15: unnamed inputs have changed their positions. I9, O2: a name has moved to another field.
    """
    return any(change.rule == Rule.INPUT_ORDER for change in diff(old, new)) or handed_on(old, new)

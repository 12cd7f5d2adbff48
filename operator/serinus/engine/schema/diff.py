"""The differences between two signatures, and which of them break clients.

The question is the same in both directions: does a server with one signature accept every request that is valid for a
client of the other, and can that client interpret every response? ``docs/reference/compatibility.md`` lists the rules;
a simulator in the tests answers the question by brute force and must agree with them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from serinus.api.modelversion import Bump, SchemaChange
from serinus.api.signature import Field, Profile, Signature, UnknownInputs
from serinus.engine.schema import inputs, outputs
from serinus.engine.schema.batches import batch_change
from serinus.engine.schema.fields import Column, columns, encloses, is_positional, served_names
from serinus.engine.schema.inputs import Sides
from serinus.engine.schema.outputs import OutputSides
from serinus.engine.schema.rules import Rule, change, declared

_SEVERITY: Final = {bump: rank for rank, bump in enumerate((Bump.MAJOR, Bump.MINOR, Bump.PATCH, Bump.NONE))}


def diff(old: Signature, new: Signature) -> tuple[SchemaChange, ...]:
    """Return every significant difference, most severe first; none for equivalent signatures.

    Where the profile itself changed, the fields are compared by the new profile's rules.
    """
    return () if old == new else _changes(old, new)


@lru_cache(maxsize=512)
def _changes(old: Signature, new: Signature) -> tuple[SchemaChange, ...]:
    # Remembered: a model's versions have few signatures, and each version is compared with all others of its line.
    changes = [*_endpoint(old, new), *_inputs(old, new), *_outputs(old, new), *_parameters(old, new)]
    return tuple(sorted(changes, key=severity))


def severity(change: SchemaChange) -> tuple[int, bool, str, str]:
    """Return a sort key: the most severe change first."""
    return (_SEVERITY[change.bump], change.rollback_safe, change.path, change.rule)


def backward(old: Signature, new: Signature) -> bool:
    """Return whether clients of the old version work on the new one."""
    return all(change.bump is not Bump.MAJOR for change in diff(old, new))


def forward(old: Signature, new: Signature) -> bool:
    """Return whether clients of the new version work on the old one, so that a rollback breaks none of them."""
    return all(change.rollback_safe for change in diff(old, new))


def _endpoint(old: Signature, new: Signature) -> Iterator[SchemaChange]:
    """Yield X1: another protocol or path, which clients cannot discover."""
    consequence = "requests go another way"
    yield from declared("profile", Rule.PROTOCOL, old.profile, new.profile, "types and names are matched otherwise")
    yield from declared("protocol", Rule.PROTOCOL, old.protocol, new.protocol, consequence)
    yield from declared("path", Rule.PROTOCOL, old.path, new.path, consequence)


def _ignores(signature: Signature) -> bool:
    # A tensor server refuses unknown inputs, whatever the signature says (OIP v2, Triton).
    return signature.profile is not Profile.TENSOR and signature.unknown_inputs is UnknownInputs.IGNORE


def _inputs(old: Signature, new: Signature) -> Iterator[SchemaChange]:
    yield from _unknown_inputs(old, new)
    before, after = _different(old.inputs, new.inputs, new.profile)
    moved = _reordered(before, after)
    if moved:
        reason = f"The inputs without a name at {', '.join(moved)} have changed places: clients send them by position."
        yield change("inputs", Rule.INPUT_ORDER, reason, breaks=True, safe=False)
    sides = Sides(
        section="inputs",
        profile=new.profile,
        known_before=_known(old.inputs) if _ignores(old) else None,
        known_now=_known(new.inputs) if _ignores(new) else None,
    )
    yield from _of_inputs(_without(before, moved), _without(after, moved), sides)


def _unknown_inputs(old: Signature, new: Signature) -> Iterator[SchemaChange]:
    if _ignores(old) == _ignores(new):
        return
    if _ignores(new):
        reason = "Ignores inputs that it does not know; the old version refuses a request of a client that sends any."
        yield change("unknownInputs", Rule.INPUT_REMOVED, reason, breaks=False, safe=False)
    else:
        reason = "Refuses inputs that it does not know; the old version ignored them, so old clients may send some."
        yield change("unknownInputs", Rule.INPUT_REMOVED, reason, breaks=True, safe=True)


def _parameters(old: Signature, new: Signature) -> Iterator[SchemaChange]:
    """Yield P1 and the rules of inputs.

    An unknown parameter counts as refused: ignoring it would silently change the response.
    """
    before, after = _different(old.parameters, new.parameters, new.profile)
    yield from _of_inputs(before, after, Sides(section="parameters", profile=new.profile))


def _of_inputs(before: dict[str, Column], after: dict[str, Column], sides: Sides) -> Iterator[SchemaChange]:
    pairs = _pairs(before, after)
    for gone in _nested(_unmatched(before, (matched for matched, _ in pairs)), sides.profile):
        yield inputs.removed(gone, sides)
    for come in _nested(_unmatched(after, (matched for _, matched in pairs)), sides.profile):
        yield inputs.added(come, sides)
    for was, now in pairs:
        yield from inputs.compared(was, now, sides)


def _outputs(old: Signature, new: Signature) -> Iterator[SchemaChange]:
    before, after = _different(old.outputs, new.outputs, new.profile)
    if not before and not after:
        return
    yield from outputs.form(_names(old.outputs), _names(new.outputs))
    sides = OutputSides(
        profile=new.profile,
        known_before=_known(old.outputs),
        known_now=_known(new.outputs),
        batch=batch_change(old.inputs, new.inputs, new.profile),
    )
    pairs = _pairs(before, after)
    for gone in _nested(_unmatched(before, (matched for matched, _ in pairs)), new.profile):
        yield outputs.removed(gone, sides.known_now)
    for come in _nested(_unmatched(after, (matched for _, matched in pairs)), new.profile):
        yield outputs.added(come, sides.known_before)
    for was, now in pairs:
        yield from outputs.compared(was, now, sides)


def _names(fields: Iterable[Field]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


def _known(fields: Sequence[Field]) -> frozenset[str]:
    return frozenset(_names(fields)).union(*served_names(fields).values())


# ---- matching of fields ------------------------------------------------------------------------


def _different(
    old: Sequence[Field], new: Sequence[Field], profile: Profile
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Return the fields by name without those that are identical, which usually are most.

    Fields with aliases stay: whether an alias is served depends on the other fields.
    """
    if old == new:
        return {}, {}
    former = {field.name: field for field in old}
    same = {field.name for field in new if not field.aliases and former.get(field.name) == field}
    before = columns((field for field in old if field.name not in same), served_names(old), profile)
    after = columns((field for field in new if field.name not in same), served_names(new), profile)
    return before, after


def _pairs(before: dict[str, Column], after: dict[str, Column]) -> list[tuple[Column, Column]]:
    """Return the pairs of corresponding fields: by name, else by a name that both serve.

    The result is the same in both directions, so that the reverse comparison is symmetric: as all prefer the lower
    name, there is exactly one stable matching.
    """
    pairs = [(old, after[name]) for name, old in before.items() if name in after]
    free_before = [old for name, old in before.items() if name not in after]
    owner = {served: new for name, new in after.items() if name not in before for served in new.names}
    kin = {(old.name, owner[served].name) for old in free_before for served in old.names if served in owner}
    taken_before: set[str] = set()
    taken_after: set[str] = set()
    for was, now in sorted(kin):
        if was not in taken_before and now not in taken_after:
            pairs.append((before[was], after[now]))
            taken_before.add(was)
            taken_after.add(now)
    return pairs


def _unmatched(fields: dict[str, Column], matched: Iterable[Column]) -> list[Column]:
    names = {column.name for column in matched}
    return [column for name, column in fields.items() if name not in names]


def _nested(fields: list[Column], profile: Profile) -> list[Column]:
    """Return the fields, those within an object that may be left out as fields that may be left out themselves.

    Who leaves out the object leaves out all that is in it, required or not.
    """
    if profile is not Profile.CHAT:
        return fields
    spare = [field.name for field in fields if field.omittable]
    return [
        replace(field, optional=True, omittable=True) if any(encloses(outer, field.name) for outer in spare) else field
        for field in fields
    ]


def _reordered(before: dict[str, Column], after: dict[str, Column]) -> tuple[str, ...]:
    """Return the positions of unnamed inputs that are the same as before in another order."""
    old = {name: _nameless(column) for name, column in before.items() if is_positional(name)}
    new = {name: _nameless(column) for name, column in after.items() if is_positional(name)}
    if old.keys() != new.keys() or Counter(old.values()) != Counter(new.values()):
        return ()
    return tuple(sorted((name for name in old if old[name] != new[name]), key=int))


def _nameless(column: Column) -> Column:
    return replace(column, name="", names=frozenset())


def _without(fields: dict[str, Column], names: Iterable[str]) -> dict[str, Column]:
    excluded = set(names)
    return {name: column for name, column in fields.items() if name not in excluded}

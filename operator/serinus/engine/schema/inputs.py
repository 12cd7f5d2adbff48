"""The rules of inputs and parameters: does the new server accept every request that the old one did, and vice versa?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from serinus.api.modelversion import SchemaChange
from serinus.api.signature import Profile
from serinus.engine.schema.fields import Column, Move, Step, Value, listed, quoted, value_steps
from serinus.engine.schema.rules import Rule, change, meanings

_TYPE_RULES: Final = {
    Move.WIDER: Rule.INPUT_TYPE_WIDER,
    Move.NARROWER: Rule.INPUT_TYPE_NARROWER,
    Move.OTHER: Rule.INPUT_TYPE_OTHER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """How the old and the new server treat inputs.

    Attributes:
        section: ``inputs`` or ``parameters``; paths begin with it.
        profile: how types are matched.
        known_before: every name that the old server knows; None where it refuses unknown names.
        known_now: every name that the new server knows; None where it refuses unknown names.
    """

    section: str
    profile: Profile
    known_before: frozenset[str] | None = None
    known_now: frozenset[str] | None = None

    @property
    def parameters(self) -> bool:
        """Whether these are parameters."""
        return self.section == "parameters"

    def ignored_before(self, names: frozenset[str]) -> bool:
        """Return whether the old server ignores values sent under these names."""
        return self.known_before is not None and names.isdisjoint(self.known_before)

    def ignored_now(self, names: frozenset[str]) -> bool:
        """Return whether the new server ignores values sent under these names."""
        return self.known_now is not None and names.isdisjoint(self.known_now)


def added(new: Column, sides: Sides) -> SchemaChange:
    """Return the change of an input that the old server does not know: I1, I2, P1."""
    rule = Rule.INPUT_ADDED_OPTIONAL if new.omittable else Rule.INPUT_ADDED_REQUIRED
    ignored = sides.ignored_before(new.names)
    forward = "may be left out" if new.omittable else "is required, and old clients do not send it"
    back = "ignores it" if ignored else "refuses requests that have it"
    return change(
        f"{sides.section}.{new.name}",
        Rule.PARAMETER if sides.parameters else rule,
        f"Was added and {forward}; the old version {back}.",
        breaks=not new.omittable,
        safe=ignored,
    )


def removed(old: Column, sides: Sides) -> SchemaChange:
    """Return the change of an input that the new server does not know: I3, P1."""
    ignored = sides.ignored_now(old.names)
    forward = "what old clients send is ignored" if ignored else "old clients that send it are refused"
    back = "" if old.omittable else "; the old version requires it, so a client without it cannot go back"
    return change(
        f"{sides.section}.{old.name}",
        Rule.PARAMETER if sides.parameters else Rule.INPUT_REMOVED,
        f"Was removed: {forward}{back}.",
        breaks=not ignored,
        safe=old.omittable,
    )


def compared(old: Column, new: Column, sides: Sides) -> Iterator[SchemaChange]:
    """Yield the changes between an input and its successor."""
    at = f"{sides.section}.{new.name}"
    yield from _names(old, new, sides, at)
    for step in (*_presence(old, new), *value_steps(old, new, sides.profile), *_categories(old, new)):
        yield _of_step(step, sides, at)
    yield from _default(old, new, at)
    yield from meanings(old, new, Rule.INPUT_MEANING, at)


def _names(old: Column, new: Column, sides: Sides, at: str) -> Iterator[SchemaChange]:
    """Yield I9: a name no longer served breaks old clients, a new one breaks clients that go back."""
    lost, won = old.names - new.names, new.names - old.names
    if lost:
        ignored = new.omittable and sides.ignored_now(lost)
        forward = "what clients send under it is ignored" if ignored else "clients that send it are refused"
        reason = f"No longer takes the name {listed(sorted(lost))}: {forward}. Keep it in aliases and serve it."
        yield change(f"{at}.name", Rule.INPUT_RENAMED, reason, breaks=not ignored, safe=True)
    if won:
        ignored = old.omittable and sides.ignored_before(won)
        back = "ignores what is sent under it" if ignored else "does not take it"
        reason = f"Takes the name {listed(sorted(won))} too: old clients do not notice; the old version {back}."
        yield change(f"{at}.name", Rule.INPUT_RENAMED, reason, breaks=False, safe=ignored)


def _presence(old: Column, new: Column) -> Iterator[Step]:
    if old.omittable != new.omittable:
        words = {True: "requests without it as well", False: "only requests that have it"}
        move = Move.WIDER if new.omittable else Move.NARROWER
        yield Step("optional", move, words[old.omittable], words[new.omittable])


def _categories(old: Column, new: Column) -> Iterator[Step]:
    before, after = old.categories, new.categories
    if bool(before) != bool(after):
        move = Move.WIDER if before else Move.NARROWER
        yield Step("categories", move, _allowed(before), _allowed(after))
        return
    more = [value for value in after if value not in before]
    fewer = [value for value in before if value not in after]
    if more:
        yield Step("categories", Move.WIDER, "only the values before", f"{listed(more)} as well")
    if fewer:
        yield Step("categories", Move.NARROWER, f"{listed(fewer)} as well", "only the other values")


def _allowed(categories: tuple[Value, ...]) -> str:
    return f"only {listed(categories)}" if categories else "any value"


def _of_step(step: Step, sides: Sides, at: str) -> SchemaChange:
    return change(
        f"{at}.{step.at}",
        _rule(step, sides),
        _reason(step),
        breaks=step.move is not Move.WIDER,
        safe=step.move is Move.NARROWER,
    )


def _rule(step: Step, sides: Sides) -> Rule:
    match step.at:
        case "dtype":
            return Rule.PARAMETER if sides.parameters else _TYPE_RULES[step.kinship or step.move]
        case "optional":
            return Rule.INPUT_MAY_BE_LEFT_OUT if step.move is Move.WIDER else Rule.INPUT_MUST_BE_GIVEN
        case "categories":
            return Rule.INPUT_CATEGORIES
        case "min" | "max" | "maxLength" | "nullable":
            return Rule.INPUT_RANGE
        case _:
            return Rule.INPUT_SHAPE_WIDER if step.move is Move.WIDER else Rule.INPUT_SHAPE_OTHER


def _reason(step: Step) -> str:
    taken = f"Takes {step.now}; the old version took {step.was}."
    match step.move:
        case Move.WIDER:
            return f"{taken} Old clients do not notice; a client that sends {step.now} cannot go back."
        case Move.NARROWER:
            return f"{taken} A client that sends {step.was} is refused."
        case Move.OTHER:
            return f"{taken} A client that sends {step.was} is refused, one that sends {step.now} cannot go back."
        case _:
            assert_never(step.move)


def _default(old: Column, new: Column, at: str) -> Iterator[SchemaChange]:
    """Yield I14; where the presence changed too, no client relies on both defaults."""
    if old.default == new.default or not (old.omittable and new.omittable):
        return
    was, now = ("none" if value is None else quoted(value) or "the empty text" for value in (old.default, new.default))
    reason = (
        f"The default was {was}, is {now}: requests are still taken, but one that leaves it out is answered otherwise."
    )
    yield change(f"{at}.default", Rule.INPUT_DEFAULT, reason, breaks=False, safe=True)

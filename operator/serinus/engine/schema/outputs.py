"""The rules of outputs: can an old client interpret every response of the new version, and vice versa?

A client can interpret a subset of the values that it expects, never a superset: widening breaks old clients, the
reverse of inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import assert_never

from serinus.api.modelversion import SchemaChange
from serinus.api.signature import Profile
from serinus.engine.schema.batches import BatchChange
from serinus.engine.schema.fields import (
    Column,
    Move,
    Step,
    Value,
    is_positional,
    is_text,
    listed,
    value_steps,
)
from serinus.engine.schema.rules import Rule, change, meanings


def form(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[SchemaChange]:
    """Yield O1 where a response was, or is, a single unnamed value: its format differs from a table of outputs."""
    before, after = _bare(old), _bare(new)
    if before == after:
        return
    words = {True: "one value without a name", False: "outputs by name"}
    reason = f"An answer is {words[after]}, and was {words[before]}: clients read it in another way."
    yield change("outputs", Rule.OUTPUT_ADDED, reason, breaks=True, safe=False)


def _bare(names: tuple[str, ...]) -> bool:
    return len(names) == 1 and is_positional(names[0])


def added(new: Column, known_before: frozenset[str]) -> SchemaChange:
    """Return O1; ``known_before``: every output name of the old version."""
    safe = new.optional and new.names.isdisjoint(known_before)
    back = "clients expect it to be missing at times" if safe else "a client that reads it cannot go back"
    reason = f"Was added: old clients do not look at it; {back}."
    return change(f"outputs.{new.name}", Rule.OUTPUT_ADDED, reason, breaks=False, safe=safe)


def removed(old: Column, known_now: frozenset[str]) -> SchemaChange:
    """Return O2; ``known_now``: every output name of the new version."""
    missed = not (old.optional and old.names.isdisjoint(known_now))
    forward = "old clients read it" if missed else "old clients expect it to be missing at times"
    return change(f"outputs.{old.name}", Rule.OUTPUT_REMOVED, f"Was removed: {forward}.", breaks=missed, safe=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSides:
    """How the outputs of the old and the new version are read.

    Attributes:
        profile: how types are matched.
        known_before: every output name of the old version.
        known_now: every output name of the new version.
        batch: how the batch dimension of the inputs changed; None where it did not.
    """

    profile: Profile
    known_before: frozenset[str]
    known_now: frozenset[str]
    batch: BatchChange | None = None


def compared(old: Column, new: Column, sides: OutputSides) -> Iterator[SchemaChange]:
    """Yield the changes between an output and its successor."""
    known_before, known_now = sides.known_before, sides.known_now
    at = f"outputs.{new.name}"
    lost, won = old.names - new.names, new.names - old.names
    if lost:
        missed = not (old.optional and lost.isdisjoint(known_now))
        reason = f"Is no longer served as {listed(sorted(lost))}: old clients read that name. Keep it in aliases."
        yield change(f"{at}.name", Rule.OUTPUT_REMOVED, reason, breaks=missed, safe=True)
    if won:
        safe = new.optional and won.isdisjoint(known_before)
        reason = (
            f"Is served as {listed(sorted(won))} too: a client that reads that name does not find it when it goes back."
        )
        yield change(f"{at}.name", Rule.OUTPUT_ADDED, reason, breaks=False, safe=safe)
    follows = sides.batch is not None and sides.batch.followed(old.shape, new.shape)
    for step in (*_presence(old, new), *value_steps(old, new, sides.profile)):
        yield _of_batch(step, at) if follows and step.at == "shape[0]" else _of_step(step, at)
    yield from _classes(old, new, at)
    yield from meanings(old, new, Rule.OUTPUT_MEANING, at)


def _presence(old: Column, new: Column) -> Iterator[Step]:
    if old.optional != new.optional:
        words = {True: "answers without it as well", False: "answers that always have it"}
        move = Move.WIDER if new.optional else Move.NARROWER
        yield Step("optional", move, words[old.optional], words[new.optional])


def _of_step(step: Step, at: str) -> SchemaChange:
    return change(
        f"{at}.{step.at}",
        _rule(step),
        _reason(step),
        breaks=step.move is not Move.NARROWER,
        safe=step.move is Move.WIDER,
    )


def _of_batch(step: Step, at: str) -> SchemaChange:
    reason = f"Gives {step.now}, as the inputs take it; a client gets as many as it sends."
    return change(f"{at}.{step.at}", Rule.OUTPUT_SHAPE, reason, breaks=False, safe=True)


def _rule(step: Step) -> Rule:
    match step.at:
        case "dtype":
            return Rule.OUTPUT_TYPE
        case "optional" | "nullable":
            return Rule.OUTPUT_PRESENCE
        case "min" | "max" | "maxLength":
            return Rule.OUTPUT_RANGE
        case _:
            return Rule.OUTPUT_SHAPE


def _reason(step: Step) -> str:
    given = f"Gives {step.now}; the old version gave {step.was}."
    match step.move:
        case Move.WIDER:
            return f"{given} An old client does not expect all of that."
        case Move.NARROWER:
            return f"{given} Old clients understand it; a client that relies on {step.now} cannot go back."
        case Move.OTHER:
            return f"{given} A client that expects {step.was} does not understand it, nor the other way round."
        case _:
            assert_never(step.move)


# ---- classes -----------------------------------------------------------------------------------


def _classes(old: Column, new: Column, at: str) -> Iterator[SchemaChange]:
    before, after, path = old.categories, new.categories, f"{at}.categories"
    if not before and not after:
        return
    if not after:
        reason = f"Its classes are no longer stated: old clients know only {listed(before)}, in this order."
        yield change(path, Rule.CLASS_ADDED, reason, breaks=True, safe=True)
        return
    if not before:
        reason = f"Its classes are now {listed(after)}; a client that relies on that cannot go back."
        yield change(path, Rule.CLASS_REMOVED, reason, breaks=False, safe=False)
        return
    yield from _members(old, new, path)
    yield from _openness(old, new, at)
    ordered = _same_order(before, after) if is_text(old) and is_text(new) else _same_index(before, after)
    if not ordered:
        reason = f"The classes are {listed(after)}, and were {listed(before)}: the same index is another class."
        yield change(path, Rule.CLASS_ORDER, reason, breaks=True, safe=False)


def _members(old: Column, new: Column, path: str) -> Iterator[SchemaChange]:
    more = [value for value in new.categories if value not in old.categories]
    fewer = [value for value in old.categories if value not in new.categories]
    if more:
        expected = "expects unknown ones, as open says" if old.open else "does not know it"
        reason = f"May answer {listed(more)}: an old client {expected}."
        yield change(path, Rule.CLASS_ADDED, reason, breaks=not old.open, safe=True)
    if fewer:
        back = "expects unknown ones, as open says" if new.open else "does not know it when it goes back"
        reason = f"Never answers {listed(fewer)} any more: old clients wait for it in vain; a new client {back}."
        yield change(path, Rule.CLASS_REMOVED, reason, breaks=False, safe=new.open)


def _openness(old: Column, new: Column, at: str) -> Iterator[SchemaChange]:
    if new.open and not old.open:
        reason = "May answer classes that are not listed: old clients do not expect unknown ones."
        yield change(f"{at}.open", Rule.CLASS_ADDED, reason, breaks=True, safe=True)
    if old.open and not new.open:
        reason = "Answers only the listed classes; a client that relies on that cannot go back."
        yield change(f"{at}.open", Rule.CLASS_REMOVED, reason, breaks=False, safe=False)


def _same_index(before: tuple[Value, ...], after: tuple[Value, ...]) -> bool:
    return all(None in pair or pair[0] == pair[1] for pair in zip_longest(before, after))


def _same_order(before: tuple[Value, ...], after: tuple[Value, ...]) -> bool:
    """Return whether the common classes are in the same order, which is all that matters for labels."""
    return [value for value in before if value in after] == [value for value in after if value in before]

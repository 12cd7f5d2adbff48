"""Wrong audit trails, put into the facts of a simulation: as ``support.soak.defects``, which lists them."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from serinus.api.audit_record import AuditEvent
from support.soak.facts import Fact, Recorded
from support.soak.recording import every, first

Facts = Sequence[Fact]


def a_record_is_missing(facts: Facts) -> list[Fact]:
    place, _ = first(facts, Recorded, lambda one: one.record.event is AuditEvent.PROMOTED)
    return [*facts[:place], *facts[place + 1 :]]


def a_promotion_is_missing_from_a_renumbered_trail(facts: Facts) -> list[Fact]:
    place, gone = first(facts, Recorded, lambda one: one.record.event is AuditEvent.PROMOTED)
    return [*facts[:place], *(_renumbered(fact, gone.model, -1) for fact in facts[place + 1 :])]


def a_beginning_is_missing_from_a_renumbered_trail(facts: Facts) -> list[Fact]:
    place, gone = first(facts, Recorded, lambda one: one.record.event is AuditEvent.ROLLOUT_STARTED)
    return [*facts[:place], *(_renumbered(fact, gone.model, -1) for fact in facts[place + 1 :])]


def a_shift_is_missing_from_a_renumbered_trail(facts: Facts) -> list[Fact]:
    """Of a run that lasts: what is owed of one that ends at once is not owed any more."""
    _, promoted = first(facts, Recorded, lambda one: one.record.event is AuditEvent.PROMOTED)
    place, gone = first(
        facts,
        Recorded,
        lambda one: _is_first_shift(one, promoted),
    )
    return [*facts[:place], *(_renumbered(fact, gone.model, -1) for fact in facts[place + 1 :])]


def _is_first_shift(one: Recorded, of: Recorded) -> bool:
    shift, promoted = one.record.rollout, of.record.rollout
    if one.record.event is not AuditEvent.TRAFFIC_SHIFTED or shift is None or promoted is None:
        return False
    return (shift.uid, shift.run) == (promoted.uid, promoted.run)


def a_promotion_is_recorded_twice(facts: Facts) -> list[Fact]:
    place, fact = first(facts, Recorded, lambda one: one.record.event is AuditEvent.PROMOTED)
    again = structs.replace(
        fact.record, id=f"{fact.record.id}-2", sequence=fact.record.sequence + 1, previous_hash=fact.record.hash
    )
    rest = (_renumbered(one, fact.model, 1) for one in facts[place + 1 :])
    return [*facts[: place + 1], replace(fact, record=again), *rest]


def one_record_is_delivered_twice(facts: Facts) -> list[Fact]:
    place, fact = first(facts, Recorded, lambda one: one.record.event is AuditEvent.PROMOTED)
    again = structs.replace(fact.record, sequence=fact.record.sequence + 1, previous_hash=fact.record.hash)
    rest = (_renumbered(one, fact.model, 1) for one in facts[place + 1 :])
    return [*facts[: place + 1], replace(fact, record=again), *rest]


def a_run_ends_before_it_begins(facts: Facts) -> list[Fact]:
    """The first two records of a run change places, with their numbers."""
    place, start = first(facts, Recorded, lambda one: one.record.event is AuditEvent.ROLLOUT_STARTED)
    other, second = next(
        (at, one)
        for at, one in every(facts, Recorded, lambda one: one.model == start.model)
        if at > place and one.record.rollout is not None and one.record.sequence == start.record.sequence + 1
    )
    changed = list(facts)
    numbers = (start.record.sequence, second.record.sequence)
    changed[place] = replace(
        start,
        record=structs.replace(
            second.record, sequence=numbers[0], previous_hash=start.record.previous_hash, hash=start.record.hash
        ),
    )
    changed[other] = replace(
        second,
        record=structs.replace(
            start.record, sequence=numbers[1], previous_hash=second.record.previous_hash, hash=second.record.hash
        ),
    )
    return changed


def _renumbered(fact: Fact, model: str, by: int) -> Fact:
    """Return a record of this model with another number, as somebody who hides a change would write it."""
    if not isinstance(fact, Recorded) or fact.model != model:
        return fact
    return replace(
        fact, record=structs.replace(fact.record, sequence=fact.record.sequence + by, previous_hash="", hash="")
    )

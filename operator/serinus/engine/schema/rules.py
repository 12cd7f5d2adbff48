"""The names of the rules, and the constructors of schema changes: bump, rollback safety, reason.

docs/reference/compatibility.md documents every rule with its reason; a test compares that page with this code.
"""

from collections.abc import Iterator
from enum import StrEnum

from serinus.api.modelversion import Bump, SchemaChange
from serinus.engine.schema.fields import Column, quoted


class Rule(StrEnum):
    """The rules. I: inputs and parameters, O: outputs, P: parameters only, X: the signature as a whole."""

    INPUT_ADDED_OPTIONAL = "I1"
    INPUT_ADDED_REQUIRED = "I2"
    INPUT_REMOVED = "I3"
    INPUT_MAY_BE_LEFT_OUT = "I4"
    INPUT_MUST_BE_GIVEN = "I5"
    INPUT_TYPE_WIDER = "I6"
    INPUT_TYPE_NARROWER = "I7"
    INPUT_TYPE_OTHER = "I8"
    INPUT_RENAMED = "I9"
    INPUT_SHAPE_WIDER = "I10"
    INPUT_SHAPE_OTHER = "I11"
    INPUT_CATEGORIES = "I12"
    INPUT_RANGE = "I13"
    INPUT_DEFAULT = "I14"
    INPUT_ORDER = "I15"
    INPUT_MEANING = "I16"
    OUTPUT_ADDED = "O1"
    OUTPUT_REMOVED = "O2"
    OUTPUT_PRESENCE = "O3"
    OUTPUT_TYPE = "O4"
    OUTPUT_SHAPE = "O5"
    CLASS_ADDED = "O6"
    CLASS_REMOVED = "O7"
    CLASS_ORDER = "O8"
    OUTPUT_RANGE = "O9"
    OUTPUT_MEANING = "O10"
    PARAMETER = "P1"
    PROTOCOL = "X1"


def change(path: str, rule: Rule, reason: str, *, breaks: bool, safe: bool) -> SchemaChange:
    """Return a change: MAJOR if it breaks old clients, else MINOR."""
    return SchemaChange(
        path=path, rule=rule.value, bump=Bump.MAJOR if breaks else Bump.MINOR, rollback_safe=safe, reason=reason
    )


def meanings(old: Column, new: Column, rule: Rule, at: str) -> Iterator[SchemaChange]:
    """Yield the changes of meaning that types and shapes do not show: unit and feature definition."""
    for facet, before, after in (("unit", old.unit, new.unit), ("featureRef", old.feature, new.feature)):
        yield from declared(f"{at}.{facet}", rule, before, after, "the same value means something else")


def declared(path: str, rule: Rule, old: str | None, new: str | None, consequence: str) -> Iterator[SchemaChange]:
    """Yield the change of a declared fact, if there is one.

    A declaration that was only added or removed breaks nobody, but a person should check it: PATCH.
    """
    if old == new:
        return
    if old is None or new is None:
        when, fact = ("now", new or "") if old is None else ("no longer", old)
        reason = (
            f"Is {when} stated to be {quoted(fact)}; nothing is known to have changed. Make sure that clients agree."
        )
        yield SchemaChange(path=path, rule=rule.value, bump=Bump.PATCH, rollback_safe=True, reason=reason)
        return
    reason = f"Was {quoted(old)}, is {quoted(new)}: {consequence}, for old clients and for new ones that go back."
    yield change(path, rule, reason, breaks=True, safe=False)

"""The schema changes between two versions, in the words of a rollback's risk and of an audit record."""

from typing import Final

from serinus.api.modelversion import Compatibility, ModelVersionSpec
from serinus.engine.schema.diff import diff

_SHOWN_CHANGES: Final = 3


def unsafe_rollback(new: ModelVersionSpec, old: ModelVersionSpec) -> str:
    """Return why clients of the new version could not go back to the old one; empty where they can or it is unknown."""
    if new.signature is None or old.signature is None:
        return ""
    unsafe = [change for change in diff(old.signature, new.signature) if not change.rollback_safe]
    if not unsafe:
        return ""
    reasons = "; ".join(f"{change.path}: {change.reason}" for change in unsafe[:_SHOWN_CHANGES])
    more = f" and {len(unsafe) - _SHOWN_CHANGES} more" if len(unsafe) > _SHOWN_CHANGES else ""
    return f"Clients of {new.version} could not go back to {old.version}: {reasons}{more}."


def schema_details(compatibility: Compatibility | None) -> dict[str, str]:
    """Return a comparison as details of an audit record: both bumps, and each change by its path."""
    if compatibility is None:
        return {}
    bumps = {"declared": compatibility.declared.value, "required": compatibility.required.value}
    changes = {
        change.path: f"{change.rule} {change.bump.value} {change.reason}"[:4096] for change in compatibility.changes
    }
    return {"against": compatibility.against, **bumps, **changes}

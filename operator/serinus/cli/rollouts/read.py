"""Rollouts as the user's kubectl reads them, typed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.stored_rollout import stored_spec
from serinus.api.stored_status import stored_status
from serinus.cli.kubectl import KubectlError, Place, read_json
from serinus.cli.rollouts.options import RESOURCE
from serinus.engine.view.standing import Subject
from serinus.errors import InvalidObjectError

Raw = Mapping[str, Any]
"""An object as kubectl prints it."""


def get_rollout(name: str, place: Place) -> Raw:
    """Return the Rollout as it is stored; KubectlError with kubectl's own message."""
    return read_json(["get", RESOURCE, name, *place.words])


def read_rollouts(place: Place, *, everywhere: bool) -> list[Raw]:
    """Return the Rollouts of a namespace or of all; KubectlError with kubectl's own message."""
    answer = read_json(["get", RESOURCE, *(["--all-namespaces"] if everywhere else []), *place.words])
    items = answer.get("items")
    if not isinstance(items, list):
        raise KubectlError("kubectl get did not print a list")
    return [item for item in items if isinstance(item, dict)]


def subject_of(raw: Raw) -> Subject:
    """Return the Rollout, typed.

    Raises:
        InvalidObjectError: it has no name, or its status cannot be read.
    """
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(name, str):
        raise InvalidObjectError("metadata.name", "is missing: this is not a Rollout")
    spec, problem = _spec_of(raw.get("spec"))
    generation = metadata.get("generation")
    return Subject(
        key=ObjectKey(str(metadata.get("namespace") or ""), name),
        generation=generation if isinstance(generation, int) else 0,
        created_at=_time(metadata.get("creationTimestamp")),
        spec=spec,
        spec_problem=problem,
        status=stored_status(raw.get("status")),
    )


def _spec_of(raw: object) -> tuple[RolloutSpec | None, str]:
    try:
        return stored_spec(raw).spec, ""
    except InvalidObjectError as problem:
        return None, str(problem)


def _time(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise InvalidObjectError("metadata.creationTimestamp", f"is not a time: {text!r}") from problem


def without_managed_fields(raw: Raw) -> dict[str, Any]:
    """Return the object without what kubectl hides too."""
    metadata = raw.get("metadata")
    kept = {name: value for name, value in metadata.items() if name != "managedFields"} if metadata else {}
    return {**raw, "metadata": kept}

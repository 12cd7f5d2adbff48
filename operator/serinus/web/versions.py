"""The versions of a model, and the comparison of two of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from serinus.api.conditions import ConditionType, find_condition
from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import WAIVER_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION
from serinus.engine.semver import parse_version
from serinus.engine.versions.comparison import Answer, Manifest, Pair, answer_of
from serinus.ports.cluster_state import ModelVersionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """What the page shows of a ModelVersion.

    Attributes:
        accepted: the condition Accepted in a word or two, with its reason.
        problem: why the object cannot be read or must not serve; empty where nothing is wrong.
        before: the next older version, with which it can be compared; empty for the oldest.
    """

    version: str
    stage: str
    traffic: str
    registered: datetime | None
    accepted: str
    problem: str
    before: str
    changes: str


def version_rows(records: Iterable[ModelVersionRecord], model: str) -> tuple[VersionRow, ...]:
    """Return the versions of a model, newest number first; those that are not SemVer last."""
    own = sorted((record for record in records if record.model == model), key=_order, reverse=True)
    comparable = [record.version if record.spec is not None else "" for record in own]
    return tuple(
        _row(record, next((version for version in comparable[number + 1 :] if version), ""))
        for number, record in enumerate(own)
    )


def _order(record: ModelVersionRecord) -> tuple[bool, object]:
    try:
        return True, parse_version(record.version)
    except ValueError:
        return False, record.version


def _row(record: ModelVersionRecord, before: str) -> VersionRow:
    accepted = find_condition(record.status.conditions, ConditionType.ACCEPTED)
    return VersionRow(
        version=record.version,
        stage=record.status.stage,
        traffic=record.status.traffic,
        registered=record.created_at if record.spec is not None else None,
        accepted=f"{accepted.status}: {accepted.reason}" if accepted is not None else "",
        problem=record.problem or (f"yanked: {record.yanked}" if record.yanked else ""),
        before=before if record.spec is not None else "",
        changes=(record.spec.changes or "") if record.spec is not None else "",
    )


class ComparisonError(ValueError):
    """The two versions cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions and the operator's answer to the later one while the earlier one serves."""

    before: ModelVersionSpec
    after: ModelVersionSpec
    answer: Answer


def compare(
    records: Iterable[ModelVersionRecord], model: str, old: str, new: str, policy: ModelSpec | None
) -> Comparison:
    """Return the comparison of two versions of a model; ComparisonError where one is missing or unreadable."""
    known = {record.version: record for record in records if record.model == model}
    before, after = (_manifest(known, version) for version in (old, new))
    try:
        return Comparison(before.spec, after.spec, answer_of(Pair(before, after, policy)))
    except ValueError as problem:
        raise ComparisonError(f"{old} and {new} cannot be compared: {problem}") from problem


def _manifest(known: dict[str, ModelVersionRecord], version: str) -> Manifest:
    record = known.get(version.removeprefix("v"))
    if record is None:
        raise ComparisonError(f"there is no version {version[:64]!r} of this model")
    if record.spec is None:
        raise ComparisonError(f"version {record.version} cannot be read: {record.problem}")
    annotations = {
        WAIVER_ANNOTATION: record.waiver,
        WORSE_METRICS_ANNOTATION: record.worse_metrics,
        YANKED_ANNOTATION: record.yanked,
    }
    return Manifest(record.spec, {name: text for name, text in annotations.items() if text})

"""What two builds differ in that no signature shows: another server, a rebuild, a retrained model, other metrics.

Rules N1 to N3 (docs/reference/compatibility.md): the same bytes behind another server, and a rebuild, are a PATCH;
whatever changes what the model has learnt is a MINOR step. A fact that only one of the two states has not changed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from serinus.api.model import Better, MetricTolerance
from serinus.api.modelversion import Bump, Dataset, ModelVersionSpec, SchemaChange
from serinus.engine.schema.fields import decimal_of, listed, quoted

_RELEASE: Final = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?")
_LONGEST_PATH: Final = 200

Subject = tuple[str, str, str]
"""What a metric was measured on: its name, the data set and the segment."""


class BuildRule(StrEnum):
    """The rules beside those of the signature."""

    SAME_BYTES = "N1"
    REBUILD = "N2"
    RETRAINED = "N3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The facts of a version that say how it was made and by what it is served; empty where not stated."""

    framework: tuple[str, str] = ("", "")
    serving: str = ""
    data: tuple[Dataset, ...] = ()
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    feature_commit: str = ""
    metrics: Mapping[Subject, Decimal] = field(default_factory=dict)


def build_of(spec: ModelVersionSpec) -> Build:
    """Return the build that a ModelVersion describes."""
    lineage, backend = spec.lineage, spec.serving.backend_ref if spec.serving is not None else None
    measured = ((measure, decimal_of(measure.value)) for measure in spec.metrics)
    return Build(
        framework=(spec.framework.name, spec.framework.version or "") if spec.framework is not None else ("", ""),
        serving=f"{backend.group}/{backend.kind}/{backend.name}:{backend.port}" if backend is not None else "",
        data=spec.training_data,
        hyperparameters=lineage.hyperparameters if lineage is not None else {},
        feature_commit=(lineage.feature_commit or "") if lineage is not None else "",
        metrics={
            (measure.name, measure.dataset or "", measure.segment or ""): value
            for measure, value in measured
            if value is not None
        },
    )


def served_otherwise(old: Build, new: Build) -> SchemaChange | None:
    """Return N1 of two versions with the same bytes; None where nothing around them differs either."""
    around = {
        "serving": (old.serving, new.serving),
        "framework": (old.framework, new.framework),
        "data": (old.data, new.data),
        "hyperparameters": (old.hyperparameters, new.hyperparameters),
        "features": (old.feature_commit, new.feature_commit),
        "metrics": (old.metrics, new.metrics),
    }
    different = [name for name, (before, after) in around.items() if before != after]
    if not different:
        return None
    reason = f"The bytes are the same; what is stated beside them differs: {listed(different)}."
    return _change("artifact.digest", BuildRule.SAME_BYTES, Bump.PATCH, reason)


def rebuilt() -> SchemaChange:
    """Return N2."""
    reason = "The bytes differ; nothing that is stated of the training does: a rebuild."
    return _change("artifact.digest", BuildRule.REBUILD, Bump.PATCH, reason)


def retrained(old: Build, new: Build, tolerances: Sequence[MetricTolerance]) -> Iterator[SchemaChange]:
    """Yield N3: the facts that changed what the model has learnt, and the metrics that moved beyond their tolerance."""
    if old.data and new.data and _identities(old.data, new.data) != _identities(new.data, old.data):
        yield _learnt("trainingData", "The training data differ.")
    yield from _hyperparameters(old, new)
    before, after = old.feature_commit, new.feature_commit
    if before and after and not (before.startswith(after) or after.startswith(before)):
        yield _learnt("lineage.featureCommit", f"Was {quoted(before)}, is {quoted(after)}.")
    yield from _framework(old.framework, new.framework)
    for tolerance in tolerances:
        for subject, was, now in _common(old, new, tolerance.name):
            if abs(now - was) > Decimal(tolerance.worse_by):
                reason = f"Was {was}, is {now}: moved by more than {tolerance.worse_by}."
                yield _learnt(f"metrics.{_subject(subject)}", reason)


def worse_metrics(old: Build, new: Build, tolerances: Sequence[MetricTolerance]) -> Iterator[str]:
    """Yield, for each metric that is worse by more than its tolerance or is not stated any more, what is wrong."""
    for tolerance in tolerances:
        for subject, was in sorted(old.metrics.items()):
            if subject[0] != tolerance.name:
                continue
            now = new.metrics.get(subject)
            if now is None:
                yield f"{_subject(subject)} is not stated (production: {was})"
            elif (was - now if tolerance.better is Better.HIGHER else now - was) > Decimal(tolerance.worse_by):
                yield f"{_subject(subject)} is {now} (production: {was}, tolerance {tolerance.worse_by})"


def _learnt(path: str, reason: str) -> SchemaChange:
    return _change(path, BuildRule.RETRAINED, Bump.MINOR, f"{reason} The model has learnt something else.")


def _change(path: str, rule: BuildRule, bump: Bump, reason: str) -> SchemaChange:
    return SchemaChange(path=path[:_LONGEST_PATH], rule=rule.value, bump=bump, rollback_safe=True, reason=reason)


def _identities(data: Sequence[Dataset], others: Sequence[Dataset]) -> frozenset[tuple[str, ...]]:
    """Return what identifies the data: their digests where both versions state them, else address and version."""
    if all(dataset.digest is not None for dataset in (*data, *others)):
        return frozenset((dataset.digest or "",) for dataset in data)
    return frozenset((dataset.uri, dataset.version or "", dataset.range or "") for dataset in data)


def _hyperparameters(old: Build, new: Build) -> Iterator[SchemaChange]:
    before, after = old.hyperparameters, new.hyperparameters
    if not before or not after:
        return
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was != now:
            words = ["absent" if value is None else quoted(value) or "the empty text" for value in (was, now)]
            yield _learnt(f"lineage.hyperparameters.{name}", f"Was {words[0]}, is {words[1]}.")


def _framework(old: tuple[str, str], new: tuple[str, str]) -> Iterator[SchemaChange]:
    (name, version), (other, later) = old, new
    if not name or not other:
        return
    if name.lower() != other.lower():
        yield _learnt("framework.name", f"Was {quoted(name)}, is {quoted(other)}.")
        return
    first, second = _RELEASE.match(version), _RELEASE.match(later)
    if first is not None and second is not None and first.groups("0") != second.groups("0"):
        yield _learnt("framework.version", f"Was {quoted(version)}, is {quoted(later)}.")


def _common(old: Build, new: Build, name: str) -> Iterator[tuple[Subject, Decimal, Decimal]]:
    for subject, was in sorted(old.metrics.items()):
        now = new.metrics.get(subject)
        if subject[0] == name and now is not None:
            yield subject, was, now


def _subject(subject: Subject) -> str:
    name, dataset, segment = subject
    return name + (f" on {dataset}" if dataset else "") + (f", {segment}" if segment else "")

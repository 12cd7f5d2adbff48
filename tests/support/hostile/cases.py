"""The cases: each field of a Rollout, ModelVersion and Model, and each annotation that the operator reads, with each
hostile value, one at a time in an otherwise good object.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from zlib import crc32

import yaml

from serinus.api import names
from serinus.api.names import Command, model_version_name
from support.hostile.values import TEXTS, HostileValue, values_of
from support.manifests.builders import GONE, Manifest, changed

_CRDS: Final = Path(__file__).resolve().parents[3] / "deploy" / "crds"
_FILES: Final = {"Rollout": "rollouts.yaml", "ModelVersion": "modelversions.yaml", "Model": "models.yaml"}
_ACTORS: Final = (
    *(names.REQUESTED_BY_ANNOTATION, names.APPROVED_BY_ANNOTATION, names.SPEC_BY_ANNOTATION),
    *(names.VERSION_BY_ANNOTATION, names.VERSION_AUTHOR_ANNOTATION, names.REASON_ANNOTATION),
    *(names.REASON_BY_ANNOTATION, names.OVERRIDE_BY_ANNOTATION, *names.BEHALF_ANNOTATIONS.values()),
)
ANNOTATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Rollout": (
        *(command.annotation for command in Command),
        *(names.ROLLBACK_TO_ANNOTATION, names.OVERRIDE_ANNOTATION, *_ACTORS),
    ),
    "ModelVersion": (
        *(names.WAIVER_ANNOTATION, names.UNSAFE_ROLLBACK_ANNOTATION, names.WORSE_METRICS_ANNOTATION),
        *(names.YANKED_ANNOTATION, *_ACTORS),
    ),
    "Namespace": (names.FREEZE_ANNOTATION,),
}
_LONG_ANNOTATION: Final = 20_000
_SERVED: Final = frozenset({"model", "version", "serving"})
_ELSEWHERE: Final = {
    "spec.stages[1].bake": "spec.stages[2].bake",
    "spec.stages[1].mirror": "spec.stages[0].mirror",
}
"""Where a field belongs that the fullest item of a list may not have."""

_NOT_PLAYED_GOOD: Final = (
    *(f"spec.route.{kind}" for kind in ("grpcRoute", "virtualService", "inferenceService")),
    *("spec.stages[1].warmup.readyFor", "spec.serving.backendRef.subset"),
)
"""Fields that the object of a case has only with a hostile value: leaving them out is no case."""


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile value at one place.

    Attributes:
        kind: of the object.
        path: of the field, as :func:`changed` reads it; for an annotation, its key.
        hostile: the value.
    """

    kind: str
    path: str
    hostile: HostileValue

    @property
    def annotation(self) -> bool:
        """Whether the place is an annotation."""
        return "/" in self.path

    @property
    def passive(self) -> bool:
        """Whether it is a fact of a ModelVersion that is only recorded, reviewed and shown."""
        return self.kind == "ModelVersion" and self.path.startswith("spec.") and self.path.split(".")[1] not in _SERVED

    @property
    def field(self) -> str:
        """The last name of the path, which a message must contain."""
        return self.path.rpartition(".")[2].partition("[")[0]

    def applied(self, good: Manifest) -> Manifest:
        """Return the object with the hostile value; a ModelVersion gets the name that belongs to its spec."""
        if self.annotation:
            metadata = good["metadata"]
            annotations = {**metadata.get("annotations", {}), self.path: self.hostile.value}
            return {**good, "metadata": {**metadata, "annotations": annotations}}
        bad = changed(good, {self.path: self.hostile.value})
        spec = bad.get("spec")
        if self.kind == "ModelVersion" and isinstance(spec, dict):
            model, version = spec.get("model"), spec.get("version")
            if isinstance(model, str) and isinstance(version, str):
                return changed(bad, {"metadata.name": model_version_name(model, version)})
        return bad

    def __str__(self) -> str:
        """The place and the kind of value."""
        return f"{self.kind} {self.path}: {self.hostile.label}"


def all_cases(full: Mapping[str, Manifest]) -> list[Case]:
    """Return every case of these good objects by kind, in which no field is left out.

    A place that differs from another one by the index of its list alone has no cases of its own.
    """
    return [case for kind, manifest in full.items() for case in _of_kind(kind, manifest)]


def sample(cases: list[Case], number: int, seed: int) -> list[Case]:
    """Return so many cases, the same ones for the same seed."""
    return Random(seed).sample(cases, min(number, len(cases)))  # noqa: S311 - a test must be repeatable


def _of_kind(kind: str, manifest: Manifest) -> Iterator[Case]:
    if kind in _FILES:
        crd = yaml.safe_load((_CRDS / _FILES[kind]).read_text(encoding="utf-8"))
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path, limits, good in _places(schema, manifest["spec"], "spec"):
            cases = [Case(kind, _ELSEWHERE.get(path, path), hostile) for hostile in values_of(limits, good)]
            yield from (case for case in cases if _chosen(case))
    for key in ANNOTATIONS.get(kind, ()):
        yield from (case for case in _of_annotation(kind, key) if _chosen(case))


def _of_annotation(kind: str, key: str) -> Iterator[Case]:
    texts = {**TEXTS, "empty": "", "very long": "x" * _LONG_ANNOTATION, "version": "2.0.0"}
    others: dict[str, Any] = {"a whole number": 7, "null": None, "an object": {}}
    yield from (Case(kind, key, HostileValue(label, value)) for label, value in (*texts.items(), *others.items()))


def _chosen(case: Case) -> bool:
    """Return whether a value is tried at this place.

    Facts and names that are only recorded and shown are many, and alike: each gets a quarter of the texts.
    """
    if case.hostile.value is GONE and case.path.startswith(_NOT_PLAYED_GOOD):
        return False
    labels = list(TEXTS)
    if case.hostile.label not in labels or not (case.passive or case.path in _ACTORS):
        return True
    return (labels.index(case.hostile.label) + crc32(case.path.encode())) % 4 == 0


def _places(schema: Mapping[str, Any], good: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Yield the path, schema and good value of every field."""
    yield path, schema, good
    if schema.get("type") == "object" and isinstance(good, dict):
        members = schema.get("properties", {})
        for name, member in members.items():
            if name in good:
                yield from _places(member, good[name], f"{path}.{name}")
        for name in list(good.keys() - members.keys())[:1] if "additionalProperties" in schema else ():
            yield from _places(schema["additionalProperties"], good[name], f"{path}.{name}")
    if schema.get("type") == "array" and good:
        index = _fullest(good)
        yield from _places(schema["items"], good[index], f"{path}[{index}]")


def _fullest(items: list[Any]) -> int:
    """Return the index of the item with the most fields."""
    return max(range(len(items)), key=lambda index: len(items[index]) if isinstance(items[index], dict) else 0)


def missing_places(full: Mapping[str, Manifest]) -> set[str]:
    """Return the fields of the schemas that the good objects leave out, so that no case reaches them."""
    found = set()
    for kind, manifest in full.items():
        if kind not in _FILES:
            continue
        crd = yaml.safe_load((_CRDS / _FILES[kind]).read_text(encoding="utf-8"))
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        reached = {_unindexed(path) for path, _, _ in _places(schema, manifest["spec"], "spec")}
        found |= {f"{kind} {path}" for path in _fields(schema, "spec") if path not in reached}
    return found


def _unindexed(path: str) -> str:
    return "".join(part for part in path.replace("]", "[").split("[") if not part.isdigit())


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield path
    if schema.get("type") == "array":
        yield from _fields(schema["items"], path)
    for name, member in schema.get("properties", {}).items():
        yield from _fields(member, f"{path}.{name}")

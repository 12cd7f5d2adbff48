"""Conversion of the metadata that training scripts keep as plain JSON to a ModelVersion.

Such as::

    {
        "model_id": "fraud-detector-v2.3.1",
        "framework": "pytorch==2.1.0",
        "artifact_uri": "s3://models/fraud/2.3.1.onnx",
        "training_data": "s3://data/fraud",
        "data_hash": "sha256:…",
        "training_duration": "3h 24m",
        "metrics": {"precision": 0.94, "auc_roc": 0.96},
    }
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import API_VERSION, MODEL_VERSION, model_version_name
from serinus.api.parsing import decode, encode
from serinus.api.schema import DECIMAL
from serinus.errors import RefusedError

_DURATION: Final = re.compile(
    r"(?:(?P<d>\d+)\s*d(?:ays?)?)?\s*(?:(?P<h>\d+)\s*h(?:ours?|rs?)?)?\s*(?:(?P<m>\d+)\s*m(?:in(?:ute)?s?)?)?"
    r"\s*(?:(?P<s>\d+)(?:\.\d+)?\s*s(?:ec(?:ond)?s?)?)?",
    re.IGNORECASE,
)
_CLOCK: Final = re.compile(r"(?P<h>\d+):(?P<m>[0-5]\d):(?P<s>[0-5]\d)(?:\.\d+)?")
_FRAMEWORK: Final = re.compile(r"\s*(?P<name>[^\s=<>~!@]+)\s*(?:(?:==|=|@|\s)\s*v?(?P<version>[0-9]\S*))?\s*")
_IDENTITY: Final = re.compile(r"(?P<model>.+?)-v(?P<version>[0-9]+\.[0-9]+\.[0-9]+.*)")
_HASH: Final = re.compile(r"(?:sha256:)?(?P<hex>[0-9a-f]{64})", re.IGNORECASE)
_LONGEST_VERSION: Final = 63

# The names under which training scripts keep a fact; the first that is there counts.
_NAMES: Final = {
    "identity": ("model_id", "id"),
    "model": ("model", "model_name", "name"),
    "version": ("version", "model_version"),
    "uri": ("artifact_uri", "model_uri", "artifact_path", "uri"),
    "digest": ("artifact_digest", "artifact_hash", "model_hash", "digest", "sha256"),
    "size": ("size_bytes", "artifact_size", "model_size"),
    "format": ("format", "artifact_format"),
    "framework": ("framework",),
    "framework_version": ("framework_version",),
    "data": ("training_data", "dataset", "dataset_uri", "data_uri"),
    "data_hash": ("data_hash", "dataset_hash", "training_data_hash"),
    "data_version": ("dataset_version", "data_version"),
    "duration": ("training_duration", "duration"),
    "started": ("started_at", "trained_at", "training_started_at"),
    "by": ("trained_by", "author", "created_by"),
    "repository": ("repository", "git_repository", "code_repository"),
    "commit": ("commit", "git_commit", "code_commit"),
    "features": ("feature_engineering_commit", "feature_commit"),
    "hyperparameters": ("hyperparameters", "params", "parameters"),
    "metrics": ("metrics",),
    "owner": ("owner", "team"),
    "changes": ("changes", "description", "notes"),
    "signature": ("signature",),
}
_DERIVED: Final = {
    "stage": "a version's stage follows from its Rollout",
    "promoted_at": "the audit trail has it",
    "promoted_by": "the audit trail has it",
    "status": "a version's stage follows from its Rollout",
    "registered_at": "the registry has it",
    "created_at": "the registry has it",
}


@dataclass(frozen=True, slots=True)
class Adopted:
    """A ModelVersion's manifest, and the facts of the file that have no place in it."""

    manifest: Mapping[str, Any]
    left_out: tuple[str, ...]


def parse_plain(text: str, where: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON file; RefusedError if it holds anything else."""
    try:
        found = json.loads(text)
        # An escape such as \ud800 is half a character, which no manifest can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise RefusedError(f"{where} is not JSON: {problem}") from problem
    members = found if isinstance(found, list) else [found]
    if not members or not all(isinstance(member, dict) for member in members):
        raise RefusedError(f"{where}: must be an object with one version's metadata, or a list of them")
    return members


def adopt(metadata: Mapping[str, Any], where: str, *, model: str | None = None, version: str | None = None) -> Adopted:
    """Return the ModelVersion of the metadata.

    Args:
        metadata: the facts.
        where: the file, for messages.
        model: the model's name; None for the one in the metadata.
        version: the version's number; None for the one in the metadata.

    Raises:
        InvalidObjectError: a value does not fit a ModelVersion; the error names the field.
        RefusedError: the metadata names no model or version.
    """
    facts = {fact: metadata[name] for fact, names in _NAMES.items() for name in _first(metadata, names)}
    left_out = [f"{name} ({_DERIVED[name]})" for name in metadata if name in _DERIVED]
    known = {name for names in _NAMES.values() for name in names} | _DERIVED.keys()
    left_out += [f"{name} (not a fact of a ModelVersion)" for name in metadata if name not in known]
    name, number = _identity(facts, where, model, version)
    raw = {
        "model": name,
        "version": number,
        "artifact": _artifact(facts, left_out),
        "framework": _framework(facts),
        "trainingData": list(_data(facts, left_out)),
        "training": _given(
            {"duration": _duration(facts, left_out), "startedAt": facts.get("started"), "by": facts.get("by")}
        ),
        "lineage": _lineage(facts, left_out),
        "metrics": list(_metrics(facts.get("metrics"), left_out)),
        "signature": facts.get("signature"),
        "governance": _given({"owner": facts.get("owner")}),
        "changes": facts.get("changes"),
    }
    spec = decode(ModelVersionSpec, _given(raw), f"{where}: spec")
    manifest = {
        "apiVersion": API_VERSION,
        "kind": MODEL_VERSION.kind,
        "metadata": {"name": model_version_name(spec.model, spec.version)},
        "spec": encode(spec),
    }
    return Adopted(manifest, tuple(left_out))


def _first(metadata: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [name for name in names if metadata.get(name) is not None][:1]


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, {}, [])}


def _identity(facts: Mapping[str, Any], where: str, model: str | None, version: str | None) -> tuple[str, str]:
    both = _IDENTITY.fullmatch(str(facts.get("identity", "")))
    name = model or facts.get("model") or (both["model"] if both is not None else facts.get("identity"))
    number = version or facts.get("version") or (both["version"] if both is not None else None)
    if not name or not number:
        missing = "model" if not name else "version"
        raise RefusedError(f"{where} names no {missing}: give --{missing}, or `{missing}` in the file")
    return str(name), str(number).removeprefix("v")


def _artifact(facts: Mapping[str, Any], left_out: list[str]) -> dict[str, Any] | None:
    if "uri" not in facts:
        return None
    digest = facts.get("digest")
    if digest is not None and _digest(digest) is None:
        left_out.append(f"artifact digest ({str(digest)[:80]!r} is not a SHA-256)")
    size = str(facts.get("size", ""))
    return _given(
        {
            "uri": facts["uri"],
            "digest": _digest(digest),
            "sizeBytes": int(size) if size.isdecimal() else None,
            "format": facts.get("format"),
        }
    )


def _digest(text: object) -> str | None:
    found = _HASH.fullmatch(str(text)) if text is not None else None
    return f"sha256:{found['hex'].lower()}" if found is not None else None


def _framework(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    framework = facts.get("framework")
    if isinstance(framework, Mapping):
        return dict(framework)
    if framework is None:
        return None
    parts = _FRAMEWORK.fullmatch(str(framework))
    name, version = (parts["name"], parts["version"]) if parts is not None else (str(framework), None)
    return _given({"name": name, "version": version or facts.get("framework_version")})


def _data(facts: Mapping[str, Any], left_out: list[str]) -> Iterator[dict[str, Any]]:
    data, hashed, version = facts.get("data"), facts.get("data_hash"), facts.get("data_version")
    sets = data if isinstance(data, list) else [data] if data is not None else []
    if not sets:
        left_out += [
            f"{name} (the file names no training_data)" for name in ("data_hash", "data_version") if name in facts
        ]
    for number, dataset in enumerate(sets):
        if isinstance(dataset, Mapping):
            yield dict(dataset)
            continue
        # One hash cannot be that of several sets.
        own = hashed if len(sets) == 1 else None
        digest = _digest(own)
        label = str(version) if version is not None else ""
        if own is not None and digest is None:
            # It identifies the data all the same, so that other data show.
            label = f"{label}@{own}"[:_LONGEST_VERSION].removeprefix("@")
        if hashed is not None and own is None and number == 0:
            left_out.append("data_hash (there are several sets of training data)")
        yield _given({"uri": str(dataset), "version": label or None, "digest": digest})


def _duration(facts: Mapping[str, Any], left_out: list[str]) -> str | None:
    raw = facts.get("duration")
    if raw is None:
        return None
    text = str(raw).strip().replace(",", " ")
    if text.replace(".", "", 1).isdecimal():
        text = f"{text}s"
    parts = _CLOCK.fullmatch(text) or _DURATION.fullmatch(text)
    counts = {unit: int(count) for unit, count in parts.groupdict("0").items()} if parts is not None else {}
    if not any(counts.values()):
        left_out.append(f"training_duration ({text[:80]!r} is not a length of time such as 3h 24m)")
        return None
    hours = counts.get("d", 0) * 24 + counts.get("h", 0)
    sizes = ((hours, "h"), (counts.get("m", 0), "m"), (counts.get("s", 0), "s"))
    return "".join(f"{count}{unit}" for count, unit in sizes if count)


def _lineage(facts: Mapping[str, Any], left_out: list[str]) -> dict[str, Any]:
    code = None
    if "repository" in facts:
        code = _given({"repository": facts["repository"], "commit": facts.get("commit")})
    elif "commit" in facts:
        left_out.append("commit (the file names no repository)")
    hyperparameters = facts.get("hyperparameters")
    values = hyperparameters if isinstance(hyperparameters, Mapping) else {}
    return _given(
        {
            "code": code,
            "featureCommit": facts.get("features"),
            "hyperparameters": {str(name): _text(value) for name, value in values.items()},
        }
    )


def _metrics(metrics: object, left_out: list[str]) -> Iterator[dict[str, Any]]:
    if isinstance(metrics, list):
        yield from ({**metric, "value": str(metric.get("value"))} for metric in metrics if isinstance(metric, dict))
        return
    members = metrics if isinstance(metrics, Mapping) else {}
    for name, value in members.items():
        if isinstance(value, Mapping):
            yield from ({**measure, "dataset": name} for measure in _metrics(value, left_out))
        elif re.fullmatch(DECIMAL, str(value)) is None:
            left_out.append(f"metrics.{name} (its value is not a number)")
        else:
            yield {"name": str(name), "value": str(value)}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""Finds the versions to compare, and their Model: in files, in folders, or in the cluster through kubectl."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import GROUP, MODEL, MODEL_VERSION
from serinus.api.parsing import decode
from serinus.cli.kubectl import TIMEOUT, KubectlError, KubectlMissingError, run_kubectl
from serinus.cli.manifests import KubectlLoader
from serinus.engine.semver import parse_version
from serinus.engine.versions.catalogue import spec_hash
from serinus.engine.versions.comparison import Manifest, Pair
from serinus.errors import InvalidObjectError, SerinusError
from serinus.yaml_text import YamlTextError, read_yaml

_MOST_CHARACTERS: Final = 64 * 1024 * 1024
_MAX_FILE_BYTES: Final = 8 * 1024 * 1024
_MAX_FILES: Final = 2000
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


class UsageError(SerinusError):
    """The versions cannot be found or compared; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where versions are looked up: in files, if there are any, else in the cluster."""

    model: str | None
    files: tuple[Path, ...]
    namespace: str | None
    kube_context: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    """The ModelVersions of one place, and the policies of its Models by name."""

    versions: tuple[Manifest, ...]
    policies: Mapping[str, ModelSpec]


def find_both(old: str, new: str, place: Place) -> Pair:
    """Return the two versions, the one that serves first, and the policy that holds for them.

    Raises:
        UsageError: a version is missing or unreadable, or cannot be compared with the other.
    """
    stored = _Found((), {})
    if place.files:
        stored = _found(_documents(place.files))
    elif _is_version(old) or _is_version(new):
        stored = _found(_from_cluster(place))
    known = [version for version in stored.versions if place.model in (None, version.spec.model)]
    policies = dict(stored.policies)
    both = []
    for name in (old, new):
        if _is_version(name):
            both.append(_version(name, known, place))
        else:
            own = _found(_documents([_existing(name)]))
            both.append(_only(name, own, place))
            policies |= own.policies
    before, after = both
    _check_pair(before.spec, after.spec)
    return Pair(before, after, policies.get(after.spec.model))


def _check_pair(before: ModelVersionSpec, after: ModelVersionSpec) -> None:
    if before.model != after.model:
        raise UsageError(f"{before.model} and {after.model} are different models: compare versions of one model")
    number = parse_version(after.version)
    # A prerelease may follow a version whose number is above its own, such as 1.2.3-4-gabcdef0 after 1.2.3.
    if number.prerelease is None and number < parse_version(before.version):
        raise UsageError(f"{after.version} comes before {before.version}: write the older version first")


def _is_version(text: str) -> bool:
    try:
        parse_version(text)
    except ValueError:
        return False
    return True


def _version(text: str, known: Sequence[Manifest], place: Place) -> Manifest:
    found = [manifest for manifest in known if manifest.spec.version == text.removeprefix("v")]
    specs = [manifest.spec for manifest in found]
    if not specs:
        others = ", ".join(sorted({f"{other.spec.model} {other.spec.version}" for other in known})[:10]) or "none"
        raise UsageError(f"no ModelVersion {text} in {_named(place)}: there are {others}")
    models = sorted({spec.model for spec in specs})
    if len(models) > 1:
        raise UsageError(f"{text} is a version of {', '.join(models)}: choose one by --model")
    if len({spec_hash(spec) for spec in specs}) > 1:
        raise UsageError(f"{models[0]} {text} exists more than once, with different specs: a version never changes")
    return found[0]


def _existing(file: str) -> Path:
    path = Path(file)
    if not _exists(path):
        raise UsageError(f"{file} is neither a version such as v2.3.0 nor a file")
    return path


def _only(file: str, found: _Found, place: Place) -> Manifest:
    versions = [version for version in found.versions if place.model in (None, version.spec.model)]
    if len(versions) != 1:
        count = len(versions)
        raise UsageError(f"{file} contains {count} ModelVersions: name one by its version, and give the file with -f")
    return versions[0]


def _named(place: Place) -> str:
    if place.files:
        return ", ".join(str(path) for path in place.files)
    return f"namespace {place.namespace}" if place.namespace else "kubectl's current namespace"


def _found(documents: Iterable[tuple[str, dict[str, Any]]]) -> _Found:
    versions: list[Manifest] = []
    policies: dict[str, ModelSpec] = {}
    for where, document in documents:
        group, _, _ = str(document.get("apiVersion", "")).partition("/")
        if group != GROUP:
            continue
        raw, metadata = document.get("spec"), document.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        try:
            if document.get("kind") == MODEL_VERSION.kind:
                versions.append(Manifest(decode(ModelVersionSpec, raw, "spec"), _annotations(metadata)))
            elif document.get("kind") == MODEL.kind:
                policies[str(metadata.get("name"))] = decode(ModelSpec, raw if raw is not None else {}, "spec")
        except InvalidObjectError as problem:
            raise UsageError(f"{where}: {problem}") from problem
    return _Found(tuple(versions), policies)


def _annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    annotations = metadata.get("annotations")
    return {str(name): str(value) for name, value in annotations.items()} if isinstance(annotations, dict) else {}


def _documents(paths: Iterable[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in _files(paths):
        try:
            if file.stat().st_size > _MAX_FILE_BYTES:
                raise UsageError(
                    f"{file} is larger than {_MAX_FILE_BYTES // 1024**2} MiB: name a file of ModelVersions"
                )
            for document in read_yaml(file.read_bytes(), KubectlLoader):
                if isinstance(document, dict):
                    yield from ((str(file), member) for member in _members(document))
        except OSError as problem:
            raise UsageError(f"{file} cannot be read: {problem.strerror}") from problem
        except YamlTextError as problem:
            raise UsageError(f"{file} is not valid YAML: {problem}") from problem


def _members(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a list as kubectl writes it, else the document itself."""
    members = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(members, list):
        return [member for member in members if isinstance(member, dict)]
    return [document]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def _files(paths: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if _exists(path) and path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        elif _exists(path):
            files.append(path)
        else:
            raise UsageError(f"{path} is neither a file nor a folder")
    if len(files) > _MAX_FILES:
        raise UsageError(f"{len(files)} files are too many: name the folder of one model")
    return files


def _from_cluster(place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the cluster through the user's own kubectl, which supports every way to log in."""
    kinds = ",".join(f"{kind.plural}.{kind.group}" for kind in (MODEL_VERSION, MODEL))
    arguments = ["get", kinds, "--output=json", f"--request-timeout={TIMEOUT / 2:g}s"]
    arguments += ["--namespace", place.namespace] if place.namespace else []
    arguments += ["--context", place.kube_context] if place.kube_context else []
    try:
        printed = run_kubectl(arguments, longest=_MOST_CHARACTERS)
    except KubectlMissingError as problem:
        raise UsageError("kubectl is not on PATH: install it, or name files with -f") from problem
    except KubectlError as problem:
        raise UsageError(str(problem)) from problem
    try:
        answer = json.loads(printed)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"kubectl's output is not JSON: {problem}") from problem
    yield from (("the cluster", member) for member in _members(answer if isinstance(answer, dict) else {}))

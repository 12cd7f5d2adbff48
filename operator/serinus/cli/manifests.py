"""Manifests in YAML, read as kubectl reads them, so that an unquoted date stays text."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from serinus.api.model import ModelSpec
from serinus.api.names import API_VERSION, MODEL, Kind
from serinus.api.parsing import decode
from serinus.errors import ConfigurationError
from serinus.yaml_text import FastLoader, YamlTextError, read_yaml

_MAX_BYTES: Final = 16 * 1024 * 1024
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class KubectlLoader(FastLoader):  # type: ignore[misc]  # one of two of PyYAML's
    """YAML 1.1 without dates: kubectl converts manifests to JSON, which has none."""


KubectlLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for letter, resolvers in FastLoader.yaml_implicit_resolvers.items()
}


def read_manifests(file: Path, kind: Kind) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a file, each of which must be of this kind.

    Raises:
        ConfigurationError: the file cannot be read, is not YAML, or contains another kind.
    """
    try:
        with file.open("rb") as source:
            content = source.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigurationError(f"{file} is larger than {_MAX_BYTES >> 20} MiB: name a file of manifests")
        documents = read_yaml(content, KubectlLoader)
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem.strerror}") from problem
    except YamlTextError as problem:
        raise ConfigurationError(f"{file} is not valid YAML: {problem}") from problem
    for number, document in enumerate((document for document in documents if document is not None), start=1):
        if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (
            API_VERSION,
            kind.kind,
        ):
            raise ConfigurationError(f"{file}, document {number}: must be a {kind.kind} of {API_VERSION}")
        if not isinstance(document.get("metadata"), dict):
            raise ConfigurationError(f"{file}, document {number}: metadata is missing")
        yield document


def read_policy(file: Path, model: str) -> ModelSpec:
    """Return the policy in the manifest of a Model.

    Raises:
        ConfigurationError: the file cannot be read, or contains no Model of this name.
        InvalidObjectError: the policy does not match its schema.
    """
    for manifest in read_manifests(file, MODEL):
        if manifest["metadata"].get("name") == model:
            return decode(ModelSpec, manifest.get("spec", {}), f"{file}: spec")
    raise ConfigurationError(f"{file} contains no Model {model}")

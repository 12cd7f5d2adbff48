"""Manifests out of YAML files, read as kubectl reads them: what looks like a date stays text."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from re import compile as pattern
from typing import Any, Final

import yaml

from serinus.api.model import ModelSpec
from serinus.api.names import API_VERSION, MODEL, Kind
from serinus.api.parsing import decode
from serinus.errors import ConfigurationError

_MOST_BYTES: Final = 16 * 1024 * 1024
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class KubectlLoader(yaml.SafeLoader):
    """YAML 1.1 without its dates: JSON, into which kubectl turns it, has none."""


KubectlLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_manifests(file: Path, kind: Kind) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a file, each of which must be of this kind.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, or holds something else.
    """
    try:
        with file.open("rb") as source:
            content = source.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigurationError(f"{file} has more than {_MOST_BYTES} bytes: it is no manifest")
        documents = list(yaml.load_all(content, KubectlLoader))
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, RecursionError) as problem:
        raise ConfigurationError(f"{file} is no YAML: {problem}") from problem
    for number, document in enumerate((one for one in documents if one is not None), start=1):
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
        ConfigurationError: the file cannot be read, or holds no Model of this name.
        InvalidObjectError: the policy does not match its schema.
    """
    for manifest in read_manifests(file, MODEL):
        if manifest["metadata"].get("name") == model:
            return decode(ModelSpec, manifest.get("spec", {}), "spec")
    raise ConfigurationError(f"{file} holds no Model {model}")


class _Manifest(yaml.SafeDumper):
    """Quotes what another YAML reader could take for a number or a truth value, such as the commit 1234e56 or y."""


_LOOKS_LIKE_NO_TEXT: Final = pattern(r"[-+.0-9].*|[yYnN]")


def _represent(dumper: _Manifest, text: str) -> yaml.ScalarNode:
    style = '"' if _LOOKS_LIKE_NO_TEXT.fullmatch(text) or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Manifest.add_representer(str, _represent)


def to_yaml(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as YAML that every reader takes for the same values."""
    return yaml.dump(dict(manifest), Dumper=_Manifest, sort_keys=False, allow_unicode=True, width=120)

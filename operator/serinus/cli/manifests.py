"""Manifests out of YAML files, read as kubectl reads them: what looks like a date stays text."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.api.names import API_VERSION, Kind
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

"""Manifests written as YAML in which every parser reads the same values."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes texts that another YAML parser could read as a number or a boolean, such as the commit 1234e56 or y."""


_AMBIGUOUS: Final = re.compile(r"[-+.0-9].*|[yYnN]")


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _AMBIGUOUS.fullmatch(text) or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def to_yaml(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as YAML in which every parser reads the same values."""
    return yaml.dump(dict(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)

"""Parsers of the templates in deploy/aws: CloudFormation's YAML with its short forms, and the HCL that they use."""

import re
from typing import Any

import yaml


class _CloudFormation(yaml.SafeLoader):
    """Reads ``!Sub``, ``!Ref`` and ``!GetAtt`` in their long form."""


def _long(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.ScalarNode)
    return {suffix: loader.construct_scalar(node)}


_CloudFormation.add_multi_constructor("!", _long)


def cloud_formation(text: str) -> dict[str, Any]:
    found = yaml.load(text, _CloudFormation)  # noqa: S506 - a SafeLoader with three more tags
    assert isinstance(found, dict)
    return found


_BLOCK = re.compile(r'^(?P<indent> *)(?P<type>[a-z_]+)(?P<labels>(?: "[^"]+")*) \{$')
_VALUE = re.compile(r"^ *(?P<name>[a-z_]+) += (?P<value>.+)$")


def terraform(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the blocks of a file as (type and labels, content); a nested block is a list under its type."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[tuple[str, dict[str, Any]]] = []
    while lines:
        line = lines.pop(0)
        block = _BLOCK.match(line)
        if block is None or block["indent"]:
            assert re.match(r'^data "[a-z_]+" "current" \{\}$', line), line
            continue
        found.append((block["type"] + block["labels"].replace('"', ""), _content(lines)))
    return found


def _content(lines: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while (line := lines.pop(0)).strip() != "}":
        if block := _BLOCK.match(line):
            found.setdefault(block["type"], []).append(_content(lines))
        elif value := _VALUE.match(line):
            text = value["value"]
            found[value["name"]] = _content(lines) if text == "{" else text.strip('"')
        else:
            raise AssertionError(f"not understood: {line}")
    return found

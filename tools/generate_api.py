# ruff: noqa: INP001 - a script outside any package
"""Writes docs/reference/api.md from the CRDs: ``python tools/generate_api.py > docs/reference/api.md``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

_CRDS: Final = Path(__file__).resolve().parents[1] / "deploy" / "crds"
_HEAD: Final = """\
# The kinds

Generated from the CRDs by `tools/generate_api.py`: change the models in `operator/serinus/api`, not this page.
A field marked * must be given. `[]` is a list; where its members are unique by a field, that field is named.
"""
_BOUNDS: Final = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("maxLength", "{} characters at most"),
    ("maxItems", "{} members at most"),
)


def page() -> str:
    """Return the complete page."""
    return "\n".join(
        [_HEAD, *(_kind(yaml.safe_load(file.read_text("utf-8"))) for file in sorted(_CRDS.glob("*.yaml")))]
    )


def _kind(crd: dict[str, Any]) -> str:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    columns = ", ".join(column["name"] for column in version["additionalPrinterColumns"])
    api = f"`{crd['spec']['group']}/{version['name']}`, short name `{names['shortNames'][0]}`"
    lines = [
        f"## {names['kind']}",
        "",
        f"{schema['description']} {api}; `kubectl get` shows {columns}.",
        "",
    ]
    for part, title in (("spec", "What you write"), ("status", "What the operator says")):
        if part not in schema["properties"]:
            continue
        lines += [f"### {title}: `{part}`", "", "| Field | Type | Meaning |", "|---|---|---|"]
        lines += _rows(schema["properties"][part], part)
        lines.append("")
    rules = list(_rules(schema, ""))
    lines += ["### Rules that the API server keeps", "", *(f"- {rule}" for rule in rules), ""]
    return "\n".join(lines)


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, member in schema.get("properties", {}).items():
        field = f"{path}.{name}"
        yield f"| `{field}`{'*' if name in required else ''} | {_type(member)} | {_meaning(member)} |"
        yield from _rows(_inner(member), field + ("[]" if member.get("type") == "array" else ""))


def _inner(schema: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = schema["items"] if schema.get("type") == "array" else schema
    return inner


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        # Escaped, because | separates the cells of a table.
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        keys = schema.get("x-kubernetes-list-map-keys")
        return f"[] of {_type(schema['items'])}" + (f", unique by `{keys[0]}`" if keys else "")
    return str(schema.get("format") or schema.get("type", "anything"))


def _meaning(schema: dict[str, Any]) -> str:
    bounds = [text.format(f"{schema[key]:,}") for key, text in _BOUNDS if key in schema]
    description = schema.get("description", "").replace("|", "\\|").replace("\n", " ")
    return f"{description} ({', '.join(bounds)})" if bounds else description


def _rules(schema: dict[str, Any], path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        message = rule.get("message") or f"`{rule['messageExpression']}`"
        yield f"`{path.lstrip('.') or 'the object'}`: {message}"
    if schema.get("type") == "array":
        yield from _rules(schema["items"], f"{path}[]")
    for name, member in schema.get("properties", {}).items():
        yield from _rules(member, f"{path}.{name}")


if __name__ == "__main__":
    sys.stdout.write(page())

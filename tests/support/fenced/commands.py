"""What is wrong with a command: an option that the program does not have, a file, target or value that is not there."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.api import names
from serinus.api.names import GROUP
from serinus.api.names import Command as Order
from support.command_lines import usage_error
from support.fenced.blocks import Command

ROOT: Final = Path(__file__).resolve().parents[3]
CHART: Final = "deploy/helm/serinus"
_OURS: Final = ("deploy/", "docs/", "examples/", "tests/", "tools/", "operator/")
_TARGET: Final = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
_VARIABLE: Final = re.compile(
    r"^([A-Z]+) *[:?]?=|\$\(or \$\(([A-Z]+)\)|=\$\(([A-Z]+)\)|typed,([A-Z_]+),|origin ([A-Z]+)\)", re.MULTILINE
)
_ANNOTATION: Final = re.compile(rf"({re.escape(GROUP)}/[a-z-]*[a-z])(=.*|-)?", re.DOTALL)
_WRAPPERS: Final = frozenset({"ssh", "env", "time", "sudo", "watch", "xargs"})
_SET: Final = frozenset({"--set", "--set-string", "--set-json", "--set-file", "--set-literal"})
_PLACEHOLDERS: Final = {"VERSION": "2.3.1", "$R": "dynamodb://serinus?region=eu-central-1"}
"""Words that a page leaves to its reader or to a variable, and that a parser takes in one form only."""

_PRINTED: Final = re.compile(r"\$\(.*\)")
"""What another program prints: on the pages it is a SHA-256."""

_VERBS: Final = frozenset({"get", "describe", "annotate", "label", "delete", "patch", "edit"})
_OTHER_KINDS: Final = frozenset({
    "application", "applications", "configmap", "crd", "daemonset", "deployment", "endpointslices", "httproute",
    "lease", "leases", "mutatingadmissionpolicies", "namespace", "nodes", "ns", "pods", "rolebinding", "secret",
    "service", "services", "validatingadmissionpolicies",
})  # fmt: skip
"""Kinds of others that the pages name."""

_BETWEEN: Final = re.compile(r"(?<!\\),(?![^{]*\})")
_IN_PATH: Final = re.compile(r"(?<!\\)\.")


def problems_of(command: Command) -> list[str]:
    """Return a sentence with the place for each thing that is wrong."""
    return [f"{command.place}: {problem}" for problem in (*_missing_files(command.words), *_problems(command.words))]


def _problems(words: Sequence[str]) -> Iterator[str]:
    program, *arguments = _unwrapped(words)
    return _CHECKS.get(program, _nothing)(arguments)


def _unwrapped(words: Sequence[str]) -> Sequence[str]:
    """Return the command that another program runs, such as ``ssh``."""
    if words[0] not in _WRAPPERS:
        return words
    inner = next((index for index, word in enumerate(words) if word in _CHECKS), None)
    return words if inner is None else words[inner:]


def _nothing(_: Sequence[str]) -> Iterator[str]:
    return iter(())


def _missing_files(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        path = word.rpartition("=")[2]
        if path.startswith(_OURS) and not (ROOT / path).exists():
            yield f"{path} is not in the repository"


def _serinus(words: Sequence[str]) -> Iterator[str]:
    if not words:
        # A variable before it asks for the script of a shell's completion.
        return
    problem = usage_error([_PRINTED.sub("0" * 64, _PLACEHOLDERS.get(word, word)) for word in words])
    if problem:
        yield f"serinus {' '.join(words)}: {problem}"


def _kubectl(words: Sequence[str]) -> Iterator[str]:
    if words and words[0] == "serinus":
        yield from _serinus(words[1:])
        return
    if len(words) > 1 and words[0] in _VERBS and not words[1].startswith("-"):
        for kind in words[1].partition("/")[0].split(","):
            if kind not in _OTHER_KINDS | kinds():
                yield f"kubectl {' '.join(words)}: there is no kind {kind} of ours, and it is not in _OTHER_KINDS"
    for word in words:
        written = _ANNOTATION.fullmatch(word)
        if written and written[1] not in known_names():
            yield f"kubectl {' '.join(words)}: {written[1]} is neither an annotation nor a label of ours"


@cache
def known_names() -> frozenset[str]:
    """Return every annotation, label and finalizer of ours, and the API version."""
    constants = [value for value in vars(names).values() if isinstance(value, str)]
    return frozenset({*constants, *names.BEHALF_ANNOTATIONS.values(), *(order.annotation for order in Order)})


@cache
def kinds() -> frozenset[str]:
    """Return the names that kubectl takes for our kinds."""
    found: set[str] = set()
    for file in (ROOT / "deploy/crds").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        called = {spec["names"]["plural"], spec["names"]["singular"], *spec["names"]["shortNames"]}
        found |= called | {f"{name}.{spec['group']}" for name in called}
    return frozenset(found)


def _make(words: Sequence[str]) -> Iterator[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(_TARGET.findall(text))
    variables = {name for match in _VARIABLE.findall(text) for name in match if name}
    for word in words:
        name, assigned, _ = word.partition("=")
        if assigned and name not in variables:
            yield f"make {word}: the Makefile has no variable {name}"
        elif not assigned and not word.startswith("-") and word not in targets:
            yield f"make {word}: the Makefile has no target {word}"


def _python(words: Sequence[str]) -> Iterator[str]:
    if "--" in words:
        yield from _problems(words[words.index("--") + 1 :])
    if "-m" not in words[:-1]:
        return
    module = words[words.index("-m") + 1]
    path = Path(*module.split("."))
    folders = [ROOT / folder for folder in ("operator", "tests", "deploy/local")]
    if not any((folder / path).is_dir() or (folder / path).with_suffix(".py").is_file() for folder in folders):
        yield f"python -m {module}: no such module in the repository"


def _helm(words: Sequence[str]) -> Iterator[str]:
    if CHART not in words:
        return
    pairs = [(word, words[index + 1]) for index, word in enumerate(words[:-1]) if word in _SET]
    pairs += [
        (option, value) for option, _, value in (word.partition("=") for word in words) if option in _SET and value
    ]
    for option, value in pairs:
        for assignment in [value] if option == "--set-json" else _BETWEEN.split(value):
            path = assignment.partition("=")[0]
            if not has_value(path):
                yield f"helm {option} {path}: values.schema.json has no such value"


def has_value(path: str) -> bool:
    """Return whether the chart has a value of this path, as ``--set`` writes it."""
    schema: Any = chart_schema()
    for step in _IN_PATH.split(path):
        name, *indices = step.replace("\\.", ".").split("[")
        schema = member_schema(schema, name)
        for _ in indices:
            schema = schema.get("items", {}) if isinstance(schema, Mapping) else schema
        if schema is None:
            return False
    return True


@cache
def chart_schema() -> Mapping[str, Any]:
    """Return the schema of the chart's values."""
    schema: Mapping[str, Any] = json.loads((ROOT / CHART / "values.schema.json").read_text(encoding="utf-8"))
    return schema


def member_schema(schema: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return the schema of an object's member; None where the object has no such member."""
    properties = schema.get("properties", {})
    if name in properties:
        found: Mapping[str, Any] = properties[name]
        return found
    others = schema.get("additionalProperties", True)
    if isinstance(others, Mapping):
        return others
    return {} if others else None


_CHECKS: Final[Mapping[str, Callable[[Sequence[str]], Iterator[str]]]] = {
    "serinus": _serinus,
    "kubectl": _kubectl,
    "make": _make,
    "python": _python,
    "helm": _helm,
}

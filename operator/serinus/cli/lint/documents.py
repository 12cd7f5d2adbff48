"""The manifests of files, folders and standard input, and where each of their fields is."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.cli.lint.advice import plain
from serinus.cli.lint.finding import Check, Finding, Problem
from serinus.cli.lint.plan_check import STDIN_NAME, is_plan
from serinus.cli.manifests import KubectlLoader
from serinus.errors import ConfigurationError
from serinus.yaml_text import YamlTextError, read_yaml

Node = Any
"""A node of a YAML document: one of two of PyYAML's kinds."""

STDIN: Final = "-"
_MAX_BYTES: Final = 16 * 1024 * 1024
_MOST_FILES: Final = 10_000
_ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
_STEP: Final = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")
_IN: Final = re.compile(r',? ?in "<byte string>", line [0-9]+, column [0-9]+:?')
_AT: Final = re.compile(r"line ([0-9]+), column ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, from 1; 0 where they are not known."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class SourceFile:
    """A file that was read.

    Attributes:
        name: as it was given; ``<stdin>`` for standard input.
        content: its bytes.
    """

    name: str
    content: bytes

    @property
    def folder(self) -> str:
        """The folder that the file is in."""
        return str(Path(self.name).parent)

    @cached_property
    def _nodes(self) -> tuple[Any, ...]:
        """The syntax tree of each document that is not empty; read only where there is something to point at."""
        nodes = yaml.compose_all(self.content, KubectlLoader)
        return tuple(node for node in nodes if not _is_null(node))

    def place(self, document: int, path: str, *, at_key: bool = False) -> Place:
        """Return where a field of a document is; where its nearest parent is if the field is not there."""
        nodes = self._nodes
        if document >= len(nodes):
            return Place()
        node = nodes[document]
        mark = node.start_mark
        for index, name in _STEP.findall(path):
            found = _member(node, int(index) if index else name)
            if found is None:
                break
            key, node = found
            mark = (key if at_key and key is not None else node).start_mark
        return Place(mark.line + 1, mark.column + 1)

    def twice(self) -> Iterator[tuple[int, str, Place]]:
        """Yield the document, the name and the place of each field that is written twice in one mapping."""
        for document, root in enumerate(self._nodes):
            for name, mark in _twice(root, set()):
                yield document, name, Place(mark.line + 1, mark.column + 1)


def _is_null(node: Node) -> bool:
    return node is None or bool(node.tag == "tag:yaml.org,2002:null")


def _member(node: Node, step: str | int) -> tuple[Any, Any] | None:
    match node, step:
        case yaml.MappingNode(value=pairs), str():
            # Of a key that is there twice the last one counts; a field in another spelling stands for the right one.
            exact = ((key, value) for key, value in reversed(pairs) if key.value == step)
            alike = (
                (key, value) for key, value in pairs if isinstance(key.value, str) and plain(key.value) == plain(step)
            )
            return next(exact, None) or next(alike, None)
        case yaml.SequenceNode(value=members), int() if step < len(members):
            return None, members[step]
        case _:
            return None


def _twice(node: Node, visited: set[int]) -> Iterator[tuple[str, Any]]:
    if id(node) in visited:
        return
    visited.add(id(node))
    match node:
        case yaml.MappingNode(value=pairs):
            seen: set[str] = set()
            for key, value in pairs:
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        yield key.value, key.start_mark
                    seen.add(key.value)
                yield from _twice(value, visited)
        case yaml.SequenceNode(value=members):
            for member in members:
                yield from _twice(member, visited)
        case _:
            pass


@dataclass(frozen=True)
class Document:
    """One object of a file.

    Attributes:
        source: its file.
        number: of the YAML document, from 0, without empty ones.
        prefix: where the object is in its document; empty but for the members of a List.
        manifest: the object.
    """

    source: SourceFile
    number: int
    prefix: str
    manifest: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The kind and the name."""
        metadata = self.manifest.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
        return f"{self.manifest.get('kind', '')} {name}".strip()

    def finding(self, problem: Problem) -> Finding:
        """Return the problem with its place."""
        path = f"{self.prefix}.{problem.path}".strip(".")
        place = self.source.place(self.number, path, at_key=problem.at_key)
        return Finding(self.source.name, place.line, place.column, self.title, problem)


def read_sources(names: Sequence[str]) -> Iterator[SourceFile]:
    """Yield the files that are named, and those in the folders that are.

    Raises:
        ConfigurationError: one cannot be read, is too large, or a folder has no or too many manifests.
    """
    for name in names:
        if name == STDIN:
            yield SourceFile(STDIN_NAME, _bounded(sys.stdin.buffer.read(_MAX_BYTES + 1), STDIN_NAME))
            continue
        path = Path(name)
        for file in _files_in(path) if _is_folder(path) else (path,):
            yield SourceFile(str(file), _read(file))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}") from problem


def _files_in(folder: Path) -> list[Path]:
    found: list[Path] = []
    try:
        for file in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            if file.suffix in _ENDINGS and not hidden and file.is_file():
                found.append(file)
    except OSError as problem:
        raise ConfigurationError(f"{folder} cannot be read: {problem.strerror}") from problem
    if not found:
        raise ConfigurationError(f"{folder} has no file that ends in .yaml, .yml or .json: name a folder of manifests")
    if len(found) > _MOST_FILES:
        raise ConfigurationError(f"{folder} has more than {_MOST_FILES:,} manifests: name its folders one by one")
    return found


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return _bounded(opened.read(_MAX_BYTES + 1), str(file))
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ConfigurationError(f"{file} cannot be read: {reason}") from problem


def _bounded(content: bytes, name: str) -> bytes:
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{name} is larger than {_MAX_BYTES >> 20} MiB: name a file of manifests")
    return content


def documents_of(source: SourceFile) -> tuple[list[Document], list[Finding]]:
    """Return the objects of a file, and what keeps it or its parts from being read."""
    try:
        values = [value for value in read_yaml(source.content, KubectlLoader) if value is not None]
    except YamlTextError as problem:
        at = _AT.findall(str(problem))
        line, column = at[-1] if at else (0, 0)
        broken = Problem(Check.YAML, "", f"not valid YAML: {_IN.sub('', str(problem))}")
        return [], [Finding(source.name, int(line), int(column), "", broken)]
    documents: list[Document] = []
    findings: list[Finding] = []
    for number, value in enumerate(values):
        if isinstance(value, dict):
            documents += _flattened(source, number, value)
        elif is_plan(value):
            documents.append(Document(source, number, "", {"stages": value}))
        else:
            place = source.place(number, "")
            odd = Problem(Check.YAML, "", "not an object: write apiVersion, kind, metadata and spec")
            findings.append(Finding(source.name, place.line, place.column, "", odd))
    return documents, findings


def _flattened(source: SourceFile, number: int, value: Mapping[str, Any]) -> Iterator[Document]:
    """Yield an object, or the members of a List."""
    members = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(members, list):
        for index, member in enumerate(members):
            if isinstance(member, dict):
                yield Document(source, number, f"items[{index}]", member)
        return
    yield Document(source, number, "", value)

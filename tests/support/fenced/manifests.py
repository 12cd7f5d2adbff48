"""What is wrong with a block of YAML.

A block is a whole manifest, or its first line is a comment that says what it is a part of:

``# values of the chart``
    the names of values are those of the chart's schema, and the operator takes the named queries.
``# excerpt of the configuration``
    the operator's own parser takes it.
``# excerpt of a Rollout``, and so for each kind
    together with what the kind requires it is a manifest of which ``serinus lint`` finds nothing. Where the block
    begins below the top, its place follows: ``# excerpt of a ModelVersion, spec.signature``.
``# excerpt of FILE``, with any other word
    of something that is not ours: it is YAML.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.api.names import API_VERSION
from serinus.api.parsing import decode
from serinus.cli.lint.check import check_files
from serinus.cli.lint.object_check import object_problems
from serinus.cli.manifests import KubectlLoader
from serinus.errors import SerinusError
from serinus.metrics.named import parse_named
from serinus.settings import Settings
from serinus.source_settings import QuerySettings
from support.fenced.blocks import Block
from support.fenced.commands import chart_schema, member_schema
from support.manifests.builders import model_version, rollout

Manifest = dict[str, Any]

_MARK: Final = re.compile(r"# excerpt of (?:an?|the) (?P<kind>[A-Za-z]+)(?:, (?P<path>[A-Za-z.]+))?\b")
_VALUES: Final = "# values of the chart"
_ONE_OF: Final = frozenset({"route"})
"""Members of which exactly one member is given."""


def manifest_problems(block: Block, folder: Path) -> list[str]:
    """Return a sentence with the place for each thing that is wrong; the folder is for a file that lint reads."""
    place = f"{block.page}:{block.line}"
    return [f"{place}: {problem}" for problem in _problems(block, folder)]


def _problems(block: Block, folder: Path) -> Iterator[str]:
    try:
        documents = [one for one in yaml.load_all(block.text, KubectlLoader) if one is not None]
    except yaml.YAMLError as problem:
        yield f"not YAML: {problem}"
        return
    first = block.text.partition("\n")[0]
    if first.startswith(_VALUES):
        for document in documents:
            yield from _unknown_values(document, chart_schema(), "")
            yield from _query_problems(document.get("config", {}).get("sources", {}))
    elif first.startswith("# excerpt of "):
        for document in documents:
            yield from _excerpt_problems(first, document)
    elif all(isinstance(document, dict) and "apiVersion" in document for document in documents):
        yield from _lint(block, folder)
    else:
        yield "no apiVersion: say in a comment on the first line what it is an excerpt of"


def _lint(block: Block, folder: Path) -> Iterator[str]:
    file = folder / "block.yaml"
    file.write_text(block.text, encoding="utf-8")
    for finding in check_files([str(file)]).findings:
        yield f"line {finding.line} of the block: {finding.problem.path}: {finding.problem.sentence}"


def _excerpt_problems(first: str, content: Any) -> Iterator[str]:
    mark = _MARK.match(first)
    if mark is None:
        return
    if mark["kind"] == "configuration":
        yield from _configuration_problems(content)
    elif mark["kind"] in _WHOLE:
        for step in reversed(mark["path"].split(".") if mark["path"] else []):
            content = {step: content}
        for problem in object_problems(_merged(_WHOLE[mark["kind"]], content)):
            yield f"{problem.path}: {problem.sentence}"


def _configuration_problems(content: Any) -> Iterator[str]:
    try:
        decode(Settings, content, "config")
    except SerinusError as problem:
        yield str(problem)
    yield from _query_problems(content.get("sources", {}))


def _query_problems(sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the operator would not start with a named query."""
    for source, settings in sources.items():
        for name, query in settings.get("queries", {}).items():
            try:
                parse_named(source, name, decode(QuerySettings, query, f"sources.{source}.queries.{name}"))
            except SerinusError as problem:
                yield str(problem)


def _merged(whole: Manifest, part: Any) -> Manifest:
    """Return the manifest with the members of the part in the place of its own."""
    merged = dict(whole)
    for name, value in part.items():
        mine = merged.get(name)
        if isinstance(mine, dict) and isinstance(value, dict) and name not in _ONE_OF:
            merged[name] = _merged(mine, value)
        else:
            merged[name] = value
    return merged


def _unknown_values(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    match value:
        case dict():
            for name, member in value.items():
                below = member_schema(schema, name)
                if below is None:
                    yield f"values.schema.json has no value {path}{name}"
                else:
                    yield from _unknown_values(member, below, f"{path}{name}.")
        case list():
            yield from _unknown_members(value, schema.get("items", {}), path)
        case _:
            pass


def _unknown_members(members: Sequence[Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for index, member in enumerate(members):
        yield from _unknown_values(member, schema, f"{path.removesuffix('.')}[{index}].")


_WHOLE: Final[Mapping[str, Manifest]] = {
    "Rollout": rollout(),
    "ModelVersion": model_version(
        {
            "spec.signature": {
                "profile": "columnar",
                "inputs": [{"name": "amount", "dtype": "float64"}],
                "outputs": [{"name": "score", "dtype": "float64"}],
            }
        }
    ),
    "Model": {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": "fraud-detector"}, "spec": {}},
}
"""By kind, a manifest that has what is required."""

# ruff: noqa: INP001 - a script, in no package
"""Write the README of the chart from the comments of its values: ``make kustomize``.

A comment that begins with ``# --`` describes the value below it. An empty line of the comment ends what stands in the
table; the rest is Markdown that the README shows below the table.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

CHART: Final = Path(__file__).resolve().parents[1] / "deploy" / "helm" / "serinus"
README: Final = CHART / "README.md"

_KEY: Final = re.compile(r"(?P<indent> *)(?P<name>[A-Za-z]\w*):(?: (?P<value>.*))?")
_PAGE: Final = re.compile(r"\bdocs/[\w/-]+\.md\b")
_CODE: Final = re.compile(r"(`[^`]*`)")
_INDENT: Final = 2

_HEAD: Final = """# The chart

Generated from the comments of `values.yaml` by `tools/generate_chart_readme.py`: change those, then `make kustomize`.

```sh
helm install serinus deploy/helm/serinus --namespace serinus-system --create-namespace \\
  --set config.sources.default.url=http://prometheus.monitoring.svc:9090
helm test serinus --namespace serinus-system --logs
```

Needs {kubernetes}. `helm test` asks a ready operator and the API server; `serinus check` asks more, with your own
rights. Unknown values are refused with their path (`values.schema.json`). How to
[install it for some namespaces only](../../../docs/how-to/install-namespaced.md),
[install without Helm](../../../docs/how-to/install-without-helm.md),
[scrape it](../../../docs/how-to/monitor.md), and what
[the admission policies](../../../docs/how-to/install-policies.md) do.

## Values

| Value | Type | Default | Description |
|---|---|---|---|
"""


class UndescribedError(Exception):
    """A value has no description; the message names it."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value with its description.

    Attributes:
        path: such as ``image.tag``.
        default: as in values.yaml.
        text: what stands in the table.
        more: Markdown that stands below the table; empty for none.
    """

    path: str
    default: object
    text: str
    more: str


def values(text: str) -> Iterator[Value]:
    """Yield the described values of a values.yaml, in its order.

    Raises:
        UndescribedError: a value is neither described nor a part of a described one.
    """
    defaults = yaml.safe_load(text)
    above: list[str] = []
    names: list[str] = []
    described = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip().removeprefix("#").removeprefix(" "))
            continue
        comment, above = _description(above), []
        found = _KEY.fullmatch(line)
        if found is None:
            continue
        names = [*names[: len(found["indent"]) // _INDENT], found["name"]]
        path = ".".join(names)
        if comment is not None:
            described = path
            yield Value(path, _at(defaults, names), *comment)
        elif found["value"] and not path.startswith(f"{described}."):
            raise UndescribedError(f"values.yaml: {path} has no comment that begins with `# --`")


def _description(lines: list[str]) -> tuple[str, str] | None:
    """Return what stands in the table and what below it; None where nothing is described."""
    start = max((number for number, line in enumerate(lines) if line.startswith("-- ")), default=None)
    if start is None:
        return None
    comment = [lines[start].removeprefix("-- "), *lines[start + 1 :]]
    end = comment.index("") if "" in comment else len(comment)
    return " ".join(comment[:end]), "\n".join(comment[end + 1 :])


def _at(defaults: object, names: list[str]) -> object:
    for name in names:
        defaults = defaults[name] if isinstance(defaults, dict) else None
    return defaults


def _kind(default: object) -> str:
    match default:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "object"


def _linked(text: str) -> str:
    return _PAGE.sub(lambda page: f"[{page[0]}](../../../{page[0]})", text)


def _cell(text: str) -> str:
    """Return a text as a cell: outside of code nothing of it is HTML, and nothing ends the cell."""
    parts = _CODE.split(text)
    # Every other part is code.
    shown = [part if number % 2 else _linked(part.replace("<", "&lt;")) for number, part in enumerate(parts)]
    return "".join(shown).replace("|", "\\|")


def readme(folder: Path = CHART) -> str:
    """Return the README of the chart in a folder; raises as :func:`values`."""
    found = list(values((folder / "values.yaml").read_text(encoding="utf-8")))
    kubernetes = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))["kubeVersion"]
    page = _HEAD.replace("{kubernetes}", f"Kubernetes {kubernetes.removesuffix('-0')}")
    for value in found:
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        page += f"| `{value.path}` | {_kind(value.default)} | `{default}` | {_cell(value.text)} |\n"
    for value in found:
        if value.more:
            page += f"\n### {value.path}\n\n{_linked(value.more)}\n"
    return page


def main() -> None:
    """Write the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=README)
    output = parser.parse_args().output
    try:
        output.write_text(readme(), encoding="utf-8")
    except UndescribedError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()

"""The architecture page and the glossary name only what exists, and draw the layers that import-linter checks."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
OPERATOR: Final = ROOT / "operator/serinus"
PAGES: Final = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("architecture.md", "glossary.md")}
NAMED: Final = re.compile(r"`(?P<file>[\w./-]+\.py)(?::(?P<name>[\w.]+))?`")
DRAWN: Final = re.compile(r"^```layers (?P<package>\S+)\n(?P<lines>.*?)^```", re.MULTILINE | re.DOTALL)


def names_in(path: Path) -> set[str]:
    """The functions and classes of a module; methods with their class."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def is_there(file: str, name: str) -> bool:
    path = next((folder / file for folder in (OPERATOR, ROOT) if (folder / file).is_file()), None)
    return path is not None and (not name or name in names_in(path))


def contract_layers() -> dict[str, list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return {
        contract["containers"][0]: contract["layers"]
        for contract in settings["contracts"]
        if contract["type"] == "layers"
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_function_that_is_named_exists(page: str) -> None:
    named = [(match["file"], match["name"] or "") for match in NAMED.finditer(PAGES[page])]

    assert len(named) > 15
    assert [f"{file}:{name}" for file, name in named if not is_there(file, name)] == []


def test_a_function_that_does_not_exist_would_be_found() -> None:
    assert is_there("engine/rollout/decide.py", "decide")
    assert not is_there("engine/rollout/decide.py", "reconcile")
    assert not is_there("engine/decide.py", "")


def test_the_layers_that_are_drawn_are_the_contracts() -> None:
    drawn = {
        match["package"]: [re.split(r"\s{2,}", line)[0] for line in match["lines"].splitlines()]
        for match in DRAWN.finditer(PAGES["architecture.md"])
    }

    assert drawn == contract_layers()

"""docs/how-to/from-a-registry-class.md: its commands and its Python run, in order, and print what the page shows."""

import contextlib
import io
import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from serinus.cli import main
from support.dynamodb.moto import moto
from support.dynamodb.place import settings_at

__all__ = ["moto"]

PAGE = Path("docs/how-to/from-a-registry-class.md")
ADDRESS = "dynamodb://serinus?region=eu-central-1&cluster=prod-eu&namespace=payments"

Block = tuple[str, str]


def blocks() -> list[Block]:
    """Return language and content of each code block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def lines(console: str) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def matches(printed: list[str], shown: list[str]) -> bool:
    """Return whether the lines are those shown, where … stands for anything, on a line of its own for any lines."""
    if not shown:
        return not printed
    if shown[0] == "…":
        return any(matches(printed[skipped:], shown[1:]) for skipped in range(len(printed) + 1))
    pattern = re.sub(r"\[", "[[]", shown[0]).replace("…", "*")
    return bool(printed) and fnmatchcase(printed[0].rstrip(), pattern) and matches(printed[1:], shown[1:])


def test_the_page_runs_from_top_to_bottom(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = settings_at(moto).table_prefix
    there = f"dynamodb://{prefix}?region=eu-central-1&cluster=prod-eu&namespace=payments&endpoint={moto}"
    page = blocks()
    monkeypatch.chdir(tmp_path)
    commands = 0
    for language, content in page:
        if language == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", content)
            assert name is not None
            (tmp_path / name[1]).write_text(content)
        if language == "python":
            assert ADDRESS in content
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(content.replace(ADDRESS, there), str(PAGE), "exec"), {})  # noqa: S102 - the page's code
            assert printed.getvalue().startswith("2.3.1 20")
        for command, shown in lines(content) if language == "console" else ():
            words = shlex.split(command.replace('"$R"', shlex.quote(there)))
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert main(words[1:]) == 0, command
            lines_of_it = printed.getvalue().replace(prefix, "serinus").splitlines()
            assert matches(lines_of_it, shown), (command, lines_of_it)
            commands += 1
    assert commands > 12
    assert ("sh", f"R='{ADDRESS}'\n") in page

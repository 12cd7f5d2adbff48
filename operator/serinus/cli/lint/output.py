"""The findings as text, as annotations of GitHub's checks, as JSON and as SARIF 2.1.0."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from shutil import get_terminal_size
from textwrap import fill
from typing import Any, assert_never
from urllib.parse import quote

from serinus import __version__
from serinus.cli.lint.finding import Check, Finding, Level
from serinus.cli.output import echo, printable


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    GITHUB = "github"
    JSON = "json"
    SARIF = "sarif"


def print_findings(findings: Sequence[Finding], form: Format) -> None:
    """Print the findings on standard output."""
    match form:
        case Format.TEXT:
            width = get_terminal_size().columns if sys.stdout.isatty() else None
            for finding in findings:
                echo(_wrapped(_as_text(finding), width))
        case Format.GITHUB:
            for finding in findings:
                echo(_as_github(finding))
        case Format.JSON:
            echo(json.dumps([_as_json(finding) for finding in findings], indent=2))
        case Format.SARIF:
            echo(json.dumps(_as_sarif(findings), indent=2))
        case _:
            assert_never(form)


def _wrapped(line: str, width: int | None) -> str:
    """Return the line broken between words for a terminal; as it is for a pipe, where it must stay one."""
    if width is None:
        return line
    return fill(line, max(width, 40), subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _sentence(finding: Finding) -> str:
    field = f"{finding.problem.path}: " if finding.problem.path else ""
    return _one_line(f"{field}{finding.problem.sentence}")


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file


def _as_text(finding: Finding) -> str:
    whose = f"{finding.object}: " if finding.object else ""
    level = "" if finding.problem.level is Level.ERROR else f"{finding.problem.level}: "
    return _one_line(f"{_place(finding)}: {level}{whose}{_sentence(finding)} [{finding.problem.check}]")


def _as_github(finding: Finding) -> str:
    """Return a workflow command (docs.github.com, "Workflow commands": setting an error message)."""
    at = {"file": finding.file} | ({"line": finding.line, "col": finding.column} if finding.line else {})
    at |= {"title": f"serinus lint: {finding.problem.check}"}
    values = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in at.items())
    return f"::{_github_level(finding.problem.level)} {values}::{_escaped(_sentence(finding), '')}"


def _github_level(level: Level) -> str:
    """Return the name that GitHub has for a level."""
    match level:
        case Level.ERROR | Level.WARNING:
            return level.value
        case Level.NOTE:
            return "notice"
        case _:
            assert_never(level)


def _escaped(text: str, more: str) -> str:
    """Return the text with what ends a value of a workflow command percent-encoded."""
    for letter in "%\r\n" + more:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "line": finding.line or None,
        "column": finding.column or None,
        "object": finding.object,
        "check": finding.problem.check,
        "level": finding.problem.level,
        "field": finding.problem.path,
        "message": finding.problem.said,
        "advice": finding.problem.advice,
    }


def _as_sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    rules = [{"id": check, "shortDescription": {"text": check.meaning}} for check in Check]
    driver = {"name": "serinus lint", "semanticVersion": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_as_result(finding) for finding in findings],
            }
        ],
    }


def _as_result(finding: Finding) -> dict[str, Any]:
    region = {"region": {"startLine": finding.line, "startColumn": finding.column}} if finding.line else {}
    file = {"artifactLocation": {"uri": quote(finding.file.replace("\\", "/"))}}
    return {
        "ruleId": finding.problem.check,
        "level": finding.problem.level,
        "message": {"text": _sentence(finding)},
        "locations": [{"physicalLocation": file | region}],
    }

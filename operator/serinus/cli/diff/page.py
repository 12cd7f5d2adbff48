"""Output of ``serinus diff`` for people: a table that fits the terminal, then the verdict in sentences."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, assert_never

from serinus.api.modelversion import SchemaChange
from serinus.engine.schema.compatibility import WayBack
from serinus.engine.versions.comparison import Answer

_MIN_WIDTH: Final = 60
_MAX_WIDTH: Final = 120
_DEFAULT_SIZE: Final = (100, 24)
_GAP: Final = "  "
_HEADINGS: Final = ("WHERE", "WHAT CHANGED", "RULE", "BUMP", "ROLLBACK")
_SHARE_OF_PATHS: Final = 0.32


def page(model: str, answer: Answer, *, old: str, new: str) -> str:
    """Return the page, as wide as the terminal within limits of readability."""
    width = max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size(_DEFAULT_SIZE).columns))
    parts = [f"{model} {old} -> {new}"]
    if answer.changes:
        parts.append("\n".join(_table(answer.changes, width)))
    elif answer.compatible:
        parts.append("Nothing that matters to a client has changed.")
    parts.append("\n".join(textwrap.fill(printable(line), width) for line in _verdict(answer, old=old, new=new)))
    return "\n\n".join(parts)


def _verdict(answer: Answer, *, old: str, new: str) -> Iterator[str]:
    compatibility = answer.compatibility
    if answer.compatible:
        yield f"Declared: {compatibility.declared}. Required: {compatibility.required}."
    match answer.way_back:
        case WayBack.SAFE:
            yield f"Rollback: safe, clients of {new} can go back to {old}."
        case WayBack.UNSAFE:
            yield f"Rollback: unsafe, some client of {new} cannot go back to {old}."
        case WayBack.UNKNOWN:
            yield f"Rollback: unknown whether clients of {new} can go back to {old}."
        case _:
            assert_never(answer.way_back)
    yield f"{'Accepted' if answer.accepted else 'Not accepted'} ({answer.reason}): {answer.message}"
    yield from answer.remarks


def _table(changes: Sequence[SchemaChange], width: int) -> Iterator[str]:
    rows = [
        (
            printable(change.path),
            printable(change.reason),
            change.rule,
            change.bump.value,
            "safe" if change.rollback_safe else "unsafe",
        )
        for change in changes
    ]
    fixed = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in (2, 3, 4)]
    paths = min(max(len(row[0]) for row in (_HEADINGS, *rows)), int(width * _SHARE_OF_PATHS))
    widths = (paths, width - paths - sum(fixed) - 4 * len(_GAP), *fixed)
    yield _line(_HEADINGS, widths)
    for path, reason, *rest in rows:
        cells = (_folded(path, widths[0]), textwrap.wrap(reason, widths[1]), *([cell] for cell in rest))
        for line in zip_longest(*cells, fillvalue=""):
            yield _line(line, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _folded(path: str, width: int) -> list[str]:
    """Break a path before its dots, and a name that is longer than a line at the end of the line."""
    lines = [""]
    for part in path.replace(".", "\0.").split("\0"):
        rest = part
        if len(lines[-1]) + len(rest) > width and lines[-1]:
            lines.append("")
        while len(rest) > width:
            lines[-1], rest = rest[:width], rest[width:]
            lines.append("")
        lines[-1] += rest
    return lines


def printable(text: str) -> str:
    """Return the text without control characters: whoever wrote the manifest must not control the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

"""The page of ``serinus diff``: a table that fits the terminal, then the verdict in sentences."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, assert_never

from serinus.api.modelversion import SchemaChange
from serinus.engine.schema.compatibility import CompatibilityVerdict, Reason, WayBack

_NARROWEST: Final = 60
_WIDEST: Final = 120
_USUAL: Final = (100, 24)
_GAP: Final = "  "
_HEADINGS: Final = ("WHERE", "WHAT CHANGED", "RULE", "BUMP", "ROLLBACK")
_SHARE_OF_PATHS: Final = 0.32


def page(model: str, judged: CompatibilityVerdict, changes: Sequence[SchemaChange], *, old: str, new: str) -> str:
    """Return the page, no wider than the terminal and never wider than a person reads."""
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size(_USUAL).columns))
    parts = [f"{model} {old} -> {new}"]
    if changes:
        parts.append("\n".join(_table(changes, width)))
    elif judged.reason is not Reason.SCHEMA_UNKNOWN:
        parts.append("Nothing that matters to a client has changed.")
    parts.append("\n".join(textwrap.fill(printable(line), width) for line in _verdict(judged, old=old, new=new)))
    return "\n\n".join(parts)


def _verdict(judged: CompatibilityVerdict, *, old: str, new: str) -> Iterator[str]:
    compatibility = judged.compatibility
    if judged.reason is not Reason.SCHEMA_UNKNOWN:
        yield f"Declared: {compatibility.declared}. Required: {compatibility.required}."
    match judged.way_back:
        case WayBack.SAFE:
            yield f"Rollback: safe, clients of {new} can go back to {old}."
        case WayBack.UNSAFE:
            yield f"Rollback: unsafe, some client of {new} cannot go back to {old}."
        case WayBack.UNKNOWN:
            yield f"Rollback: nobody can say whether clients of {new} can go back to {old}."
        case _:
            assert_never(judged.way_back)
    yield f"{'Accepted' if judged.accepted else 'Not accepted'} ({judged.reason}): {judged.message}"


def _table(changes: Sequence[SchemaChange], width: int) -> Iterator[str]:
    rows = [
        (
            printable(one.path),
            printable(one.reason),
            one.rule,
            one.bump.value,
            "safe" if one.rollback_safe else "unsafe",
        )
        for one in changes
    ]
    fixed = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in (2, 3, 4)]
    paths = min(max(len(row[0]) for row in (_HEADINGS, *rows)), int(width * _SHARE_OF_PATHS))
    widths = (paths, width - paths - sum(fixed) - 4 * len(_GAP), *fixed)
    yield _line(_HEADINGS, widths)
    for path, reason, *rest in rows:
        cells = (_folded(path, widths[0]), textwrap.wrap(reason, widths[1]), *([one] for one in rest))
        for line in zip_longest(*cells, fillvalue=""):
            yield _line(line, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _folded(path: str, width: int) -> list[str]:
    """Break a path before its dots, and a name that is longer than a line wherever the line ends."""
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
    """Return the text without what could move a terminal's cursor: names come from whoever wrote the manifest."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

"""Text for a terminal: styles, marks, tables and sparklines, with a form without colour and one in ASCII.

Nothing here writes: a screen is a text made of typed values, a width and what the terminal can show.
"""

import shutil
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, Self, TextIO

from msgspec import Struct

from serinus.cli.output import printable
from serinus.engine.view.checks import Mark

NARROWEST: Final = 40
WIDEST_TEXT: Final = 120
"""A sentence that runs over a wider line is hard to read."""

_PIPE_WIDTH: Final = 80
_ASCII: Final = str.maketrans({"…": "~", "·": ".", "\N{EN DASH}": "-", "\N{EM DASH}": "-", "→": ">"})


class Style(Enum):
    """How a text stands out; the values are parameters of SGR (ECMA-48, 8.3.117)."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    GOOD = "32"
    BAD = "1;31"
    WARNING = "33"
    ACTIVE = "36"


class Span(Struct, frozen=True):
    """A piece of a line in one style."""

    text: str
    style: Style = Style.PLAIN

    @property
    def cells(self) -> int:
        """Columns of the terminal that it takes."""
        return cells(printable(self.text))


Line = tuple[Span, ...]


class Look(Struct, frozen=True, kw_only=True):
    """What the terminal can show.

    Attributes:
        width: columns.
        colour: whether styles are shown.
        wide_charset: whether it shows more than ASCII.
    """

    width: int
    colour: bool
    wide_charset: bool

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str]) -> Self:
        """Return what this stream can show: no colour into a pipe, with NO_COLOR, or on a dumb terminal."""
        terminal = stream.isatty()
        width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if terminal else _PIPE_WIDTH
        if environment.get("COLUMNS", "").isdecimal():
            width = int(environment["COLUMNS"]) or width
        colour = terminal and not environment.get("NO_COLOR") and environment.get("TERM", "") not in {"", "dumb"}
        # Python writes UTF-8 in the locale C, too: who asks for that locale has a terminal that may not show it.
        plain = environment.get("LC_ALL", "") in {"C", "POSIX"}
        wide = (stream.encoding or "").lower().replace("-", "") == "utf8" and not plain
        return cls(width=max(NARROWEST, width), colour=colour, wide_charset=wide)


def cells(text: str) -> int:
    """Return how many columns a printable text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_width(letter) for letter in text)


def _width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1


def fit(text: str, width: int) -> str:
    """Return the text cut to so many columns, with an ellipsis where it was longer."""
    text = printable(text)
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for letter in text:
        used += _width(letter)
        if used >= width:
            break
        kept += letter
    return f"{kept}…"


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most so many columns; a longer word is broken."""
    lines, line = [], ""
    for word in printable(text).split():
        rest = word
        if line and cells(line) + 1 + cells(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        while cells(rest) > width:
            head = fit(rest, width + 1)[:-1]
            lines.append(head)
            rest = rest[len(head) :]
        line = rest
    return [*lines, line] if line or not lines else lines


# ---- signs ------------------------------------------------------------------------------------------

_SIGNS: Final = {
    Mark.GOOD: ("✔", "+", Style.GOOD),
    Mark.BAD: ("✖", "x", Style.BAD),
    Mark.ACTIVE: ("◌", "o", Style.ACTIVE),
    Mark.HELD: ("‖", "=", Style.WARNING),
    Mark.WARNING: ("⚠", "!", Style.WARNING),
    Mark.NONE: ("·", ".", Style.DIM),
}
_BARS: Final = ("▁▂▃▄▅▆▇█", "_.:-=+*#")


def mark_span(mark: Mark, look: Look) -> Span:
    """Return the sign of a mark; in ASCII where the terminal shows no other."""
    wide, plain, style = _SIGNS[mark]
    return Span(wide if look.wide_charset else plain, style)


def sparkline(levels: Sequence[float | None], look: Look, most: int) -> str:
    """Return the last levels as bars, one column each; the highest bar is the limit, a blank means no figure."""
    bars = _BARS[0 if look.wide_charset else 1]
    last = levels[-most:] if most > 0 else ()
    return "".join(" " if level is None else bars[min(7, int(7 * level))] for level in last)


# ---- output -----------------------------------------------------------------------------------------


def render(lines: Iterable[Line], look: Look) -> str:
    """Return the lines as text, each ended; controls in them are shown as what they are, never sent."""
    return "".join(_render_line(line, look) + "\n" for line in lines)


def _render_line(line: Line, look: Look) -> str:
    parts = []
    for span in line:
        text = printable(span.text.replace("\n", " ").replace("\t", " "))
        if not look.wide_charset:
            text = text.translate(_ASCII).encode("ascii", "replace").decode()
        styled = look.colour and span.style is not Style.PLAIN and text.strip()
        parts.append(f"\x1b[{span.style.value}m{text}\x1b[0m" if styled else text)
    return "".join(parts).rstrip() if not look.colour else "".join(parts)


def as_width(lines: Iterable[Line], width: int) -> list[Line]:
    """Return the lines cut to the width, as the last resort on a narrow terminal."""
    return [_cut(line, width) for line in lines]


def _cut(line: Line, width: int) -> Line:
    kept: list[Span] = []
    left = width
    for span in line:
        if span.cells > left:
            return (*kept, Span(fit(span.text, left), span.style)) if left > 1 else tuple(kept)
        kept.append(span)
        left -= span.cells
    return tuple(kept)

"""Terminal output: lines with the time since the start and, on a terminal, a live line below them."""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TextIO


class Style(StrEnum):
    """ANSI graphic renditions (ECMA-48, SGR)."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


_CLEAR_LINE: Final = "\r\x1b[2K"


class Terminal:
    """Writes the output: in colour on a terminal unless NO_COLOR is set, otherwise plain."""

    def __init__(self, out: TextIO | None = None, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._out = sys.stdout if out is None else out
        self.live = self._out.isatty() and variables.get("TERM", "") != "dumb"
        # https://no-color.org: any non-empty value
        self._colours = self.live and not variables.get("NO_COLOR")
        self._start = time.monotonic()
        self._live_line = ""

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def heading(self, text: str) -> None:
        """Write a heading."""
        self._write(f"\n{self.style(f'━━ {text}', Style.BOLD)}\n")

    def line(self, text: str, *styles: Style) -> None:
        """Write a line with the time."""
        minutes, tenths = divmod(int(self.elapsed() * 10), 600)
        stamp = self.style(f"{minutes:2}:{tenths / 10:04.1f}", Style.DIM)
        self._write(f"{stamp}  {self.style(text, *styles)}\n")

    def command(self, command: str, output: str) -> None:
        """Show a command and its output."""
        self._write(f"\n{self.style(f'$ {command}', Style.CYAN)}\n{output.rstrip()}\n\n")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write aligned rows; the first is the heading."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for number, row in enumerate(rows):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self._write(f"  {self.style(text, Style.BOLD) if number == 0 else text}\n")

    def show(self, text: str) -> None:
        """Replace the live line; does nothing unless the output is a terminal."""
        if self.live:
            self._live_line = text[: shutil.get_terminal_size().columns - 1]
            self._out.write(f"{_CLEAR_LINE}{self.style(self._live_line, Style.DIM)}")
            self._out.flush()

    def close(self) -> None:
        """Remove the live line."""
        if self._live_line:
            self._live_line = ""
            self._out.write(_CLEAR_LINE)
            self._out.flush()

    def style(self, text: str, *styles: Style) -> str:
        """Return the text in these styles, if colours are enabled."""
        return f"\x1b[{';'.join(styles)}m{text}\x1b[0m" if self._colours and styles else text

    def _write(self, text: str) -> None:
        self._out.write(_CLEAR_LINE if self._live_line else "")
        self._out.write(text)
        if self._live_line:
            self._out.write(self.style(self._live_line, Style.DIM))
        self._out.flush()

"""What a person types and sees in a story, held against the page of the documentation that tells it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_KEPT: Final = re.compile(r"\b\d+\.\d+\.\d+\b|\bv\d+(?:-\d+)*\b")
_COMMIT: Final = re.compile(r"\b[0-9a-f]{7}\b|\b[0-9a-f]{40}\b")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_BLOCK: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)


@dataclass(slots=True)
class Transcript:
    """Commands and their outputs, in order; each is written to a file at once."""

    file: Path
    blocks: list[str] = field(default_factory=list)

    def add(self, command: str, output: str) -> None:
        """Record a command with what it printed."""
        lines = [line.rstrip() for line in output.rstrip().splitlines()]
        self.blocks.append("\n".join([f"$ {command}", *lines]))
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text("\n\n".join(self.blocks) + "\n", encoding="utf-8")

    def missing_in(self, page: str) -> list[str]:
        """Return the blocks that the page does not have, in this order; figures, times and hashes may differ."""
        told = masked("\n".join(_BLOCK.findall(page)))
        missing, place = [], 0
        for block in self.blocks:
            found = told.find(masked(block), place)
            if found < 0:
                missing.append(block)
            else:
                place = found
        return missing


def masked(text: str) -> str:
    """Return a text without what differs from run to run: figures other than versions, hashes, widths of columns."""
    parts: list[str] = []
    last = 0
    for kept in _KEPT.finditer(text):
        parts += [_plain(text[last : kept.start()]), kept[0]]
        last = kept.end()
    parts.append(_plain(text[last:]))
    return re.sub(r"[ \t]+", " ", "".join(parts))


def _plain(text: str) -> str:
    return _NUMBER.sub("N", _COMMIT.sub("HASH", text))

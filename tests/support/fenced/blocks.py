"""The fenced blocks of a page of Markdown, and the commands in them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHELLS: Final = frozenset({"sh", "bash"})
"""In these every line is a command; in ``console`` only what stands behind the prompt is one."""

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\S*)(?P<rest>.*)$")
_TITLE: Final = re.compile(r'title="([^"]+)"')
_PROMPT: Final = "$ "
_SEPARATORS: Final = frozenset({"|", "||", "&&", ";", "&", "(", ")", "{", "}", "|&", ";;"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, relative to the repository.
        line: of its first line, from 1.
        language: what stands behind the fence, such as ``yaml``.
        text: its lines, without the indentation of a list.
        title: the file that it is, from ``title="rollout.yaml"`` behind the language; empty where it is none.
    """

    page: str
    line: int
    language: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One program that is called.

    Attributes:
        place: the page and the line on which the command begins.
        words: the program and its arguments, without assignments before it and redirections after it.
    """

    place: str
    words: Sequence[str]


class UnreadableCommandError(Exception):
    """A command that a shell would not read to its end."""


def blocks_of(page: Path, root: Path) -> Iterator[Block]:
    """Yield the blocks of a page; a block that is not closed ends with the page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    name, number = str(page.relative_to(root)), 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if opened is None:
            continue
        first, indent = number, opened["indent"]
        while number < len(lines) and lines[number].strip() != "```":
            number += 1
        inside = [line.removeprefix(indent) for line in lines[first:number]]
        number += 1
        titled = _TITLE.search(opened["rest"])
        yield Block(name, first + 1, opened["language"], "\n".join(inside), titled[1] if titled else "")


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block of a shell or a console; nothing of others.

    Raises:
        UnreadableCommandError: a quotation or a continued line has no end.
    """
    for line, text in logical_lines(block):
        place = f"{block.page}:{line}"
        try:
            words = list(_shell(text))
        except ValueError as problem:
            raise UnreadableCommandError(f"{place}: {problem}: {text}") from problem
        yield from (Command(place, part) for part in _parts(words))


def logical_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Yield each command line with the number of its first line; continued lines are joined."""
    lines = block.text.splitlines()
    number = 0
    while number < len(lines):
        first, text = number, lines[number]
        number += 1
        if block.language == "console":
            if not text.startswith(_PROMPT):
                continue
            text = text.removeprefix(_PROMPT)
        elif block.language not in SHELLS:
            return
        while number < len(lines) and _goes_on(text):
            joined = text.removesuffix("\\")
            text = f"{joined}{'' if joined != text else chr(10)}{lines[number]}"
            number += 1
        yield block.line + first, text


def _goes_on(text: str) -> bool:
    if text.endswith("\\") or text.rstrip().endswith(("|", "&&")):
        return True
    try:
        list(_shell(text))
    except ValueError:
        return True
    return False


def _shell(text: str) -> shlex.shlex:
    words = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>")
    words.whitespace_split = True
    return words


def _parts(words: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    redirected = False
    for word in (*words, ";"):
        if redirected:
            redirected = False
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            redirected = True
            if part and part[-1].isdigit():
                part.pop()
        elif word in _SEPARATORS:
            if any(not _ASSIGNMENT.match(before) for before in part):
                yield _without_assignments(part)
            part = []
        else:
            part.append(word)


def _without_assignments(words: Sequence[str]) -> list[str]:
    first = next(index for index, word in enumerate(words) if not _ASSIGNMENT.match(word))
    return list(words[first:])

"""`kubectl_complete-serinus`: what may come next on a command line, for kubectl's own completion of plugins.

The protocol is that of Cobra (its "__complete" command): a line for each candidate, with its explanation after a tab,
and a last line with a colon and a sum of directives.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from serinus.cli.kubectl import KubectlError, Place, run_kubectl
from serinus.cli.output import printable
from serinus.cli.rollouts.options import RESOURCE

NO_FILES: Final = ":4"
"""Cobra's ShellCompDirectiveNoFileComp."""

_MOST_NAMES: Final = 1000

Names = Callable[[Place], Iterable[str]]
"""Returns the names of the Rollouts in a place."""


def main() -> int:
    """Print the candidates for the last of the arguments, which may be empty; return 0, as a shell wants no errors."""
    words = sys.argv[1:]
    for line in candidates(words, rollout_names):
        print(line)
    print(NO_FILES)
    return 0


def rollout_names(place: Place) -> list[str]:
    """Return the names of the Rollouts; none where kubectl fails."""
    try:
        text = run_kubectl(["get", RESOURCE, *place.words, "--output=name", "--request-timeout=2s"])
    except (KubectlError, subprocess.SubprocessError):
        return []
    return [line.rpartition("/")[2] for line in text.splitlines()[:_MOST_NAMES]]


def candidates(words: Sequence[str], names: Names) -> list[str]:
    """Return what the last word may become, as lines of the protocol; ``words`` come after ``kubectl serinus``."""
    from serinus.cli.main import build_parser  # noqa: PLC0415 - it imports this package's commands

    *before, begun = words or [""]
    parser: argparse.ArgumentParser = build_parser(before[0] if before else None)
    place, waits, given = Place(), None, 0
    for word in before:
        if waits is not None:
            place = _placed(place, waits, word)
            waits = None
            continue
        children = _children(parser)
        if word.startswith("-"):
            option, _, value = word.partition("=")
            waits = _option(parser, option) if not value else None
            place = _placed(place, _option(parser, option), value) if value else place
        elif word in children:
            parser, given = children[word], 0
        else:
            given += 1
    found = _of_option(waits) if waits is not None else _next(parser, begun, given, place, names)
    return [_line(word, text) for word, text in found if word.startswith(begun)]


def _placed(place: Place, option: argparse.Action | None, value: str) -> Place:
    if option is not None and option.dest == "namespace":
        return Place(namespace=value, kube_context=place.kube_context)
    if option is not None and option.dest == "context":
        return Place(namespace=place.namespace, kube_context=value)
    return place


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    """Return the option of this spelling if it takes a value."""
    found = next((one for one in _actions(parser) if word in one.option_strings), None)
    return found if found is not None and found.nargs != 0 else None


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse has no other way to ask


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [one for one in _actions(parser) if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001 - likewise
    return {word: child for group in groups for word, child in group.choices.items()}


def _next(
    parser: argparse.ArgumentParser, begun: str, given: int, place: Place, names: Names
) -> Iterator[tuple[str, str]]:
    for group in _actions(parser) if given == 0 else ():
        if isinstance(group, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for choice in group._choices_actions:  # noqa: SLF001 - likewise
                yield choice.dest, choice.help or ""
    if begun.startswith("-"):
        for action in _actions(parser):
            for spelling in action.option_strings:
                yield spelling, action.help or ""
    elif given == 0 and any(one.metavar == "NAME" and not one.option_strings for one in _actions(parser)):
        for name in names(place):
            yield name, ""


def _of_option(option: argparse.Action) -> Iterator[tuple[str, str]]:
    for choice in option.choices or ():
        yield str(choice), ""


def _line(word: str, text: str) -> str:
    shown = " ".join(printable(text).split())
    return f"{word}\t{shown}" if shown else word

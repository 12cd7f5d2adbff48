"""Plays the demo in a cluster that a kubeconfig names: looks, asks, plays, removes."""

import asyncio
import sys
from typing import Final

from demo import director
from demo.cluster import Kubectl
from demo.given import checks
from demo.given.access import pinned
from demo.given.checks import Found
from demo.given.options import Options
from demo.given.pace import minutes
from demo.given.stage import ready_scene, settings_of
from demo.stagehand import fresh_folder
from demo.terminal import Style, Terminal
from serinus.cli.check.line import Line, State

NOT_READY: Final = 2
"""Exit status where something is missing; nothing was changed."""

_MARKS: Final = {State.OK: "✔", State.WARNING: "!", State.FAILED: "✖", State.UNKNOWN: "?"}
_STYLES: Final = {State.OK: Style.GREEN, State.WARNING: Style.YELLOW, State.FAILED: Style.RED, State.UNKNOWN: Style.DIM}


def run(options: Options, terminal: Terminal) -> int:
    """Play the demo and return the exit status: 0 only if every claim holds.

    Raises:
        DemoError: the cluster cannot be read, or the folder not written.
    """
    with pinned(options.kubeconfig, options.context) as kubectl:
        terminal.heading("Is the cluster ready?")
        found = asyncio.run(checks.look(kubectl, options))
        for line in found.lines:
            _show(line, terminal)
        if found.missing or found.source is None:
            terminal.line("something is missing; nothing was changed", Style.RED)
            return NOT_READY
        if not _agreed(options, found, found.source.scrape_interval.seconds, terminal):
            terminal.line("nothing was changed")
            return NOT_READY
        return _play(options, found, found.source.scrape_interval.seconds, kubectl, terminal)


def _play(options: Options, found: Found, scrape: float, kubectl: Kubectl, terminal: Terminal) -> int:
    settings = settings_of(options, scrape)
    fresh_folder(settings.folder)
    return director.run(settings, ready_scene(options, found, settings, kubectl, terminal), terminal)


def _show(line: Line, terminal: Terminal) -> None:
    terminal.line(f"{_MARKS[line.state]} {line.name}: {line.said}", _STYLES[line.state])
    if line.remedy:
        terminal.line(f"    {line.remedy}")


def _agreed(options: Options, found: Found, scrape: float, terminal: Terminal) -> bool:
    """Say what will be done, and ask if a person can be asked."""
    first = f"removes the namespace {options.namespace} of an earlier demo, and makes" if found.leftover else "makes"
    last = "leaves it" if options.keep else "removes it in the end"
    terminal.line(f"The demo {first} the namespace {options.namespace} with everything of its own in it, and {last}.")
    terminal.line(f"It sends {options.rate:g} requests/s to {options.gateway_url} and nowhere else.")
    terminal.line(f"With scrapes every {scrape:g} s it takes about {minutes(scrape, options.rate)} minutes.")
    if options.yes:
        return True
    if not sys.stdin.isatty():
        terminal.line("Say --yes to begin: this is not a terminal, so nobody can be asked.", Style.RED)
        return False
    return input("Begin? [y/N] ").strip().lower() in {"y", "yes"}

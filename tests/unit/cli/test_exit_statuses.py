"""docs/reference/command-line.md has the exit statuses of every command, as the commands themselves state them."""

import re
from pathlib import Path

import click

from serinus.cli.command import STATUSES, Statuses
from support.command_lines import commands

PAGE = Path("docs/reference/command-line.md")


def stated() -> dict[str, Statuses]:
    return {words: dict(command.statuses) for words, command in commands()}


def rows() -> dict[str, Statuses]:
    """Return what the table on the page says, by command."""
    found: dict[str, Statuses] = {}
    for line in PAGE.read_text().splitlines():
        if match := re.fullmatch(r"\| `([a-z -]+)` \|(.*)\|(.*)\|(.*)\|(.*)\|", line):
            cells = [cell.strip() for cell in match.groups()]
            statuses = {number: cells[number + 1] or STATUSES[number] for number in STATUSES}
            more = re.findall(r"(\d+): ([^;]+)", cells[4])
            found[cells[0]] = statuses | {int(number): meaning for number, meaning in more}
    return found


def test_the_table_says_what_each_command_states() -> None:
    own = {command: statuses for command, statuses in stated().items() if statuses != STATUSES}
    assert rows() == own


def test_all_other_commands_are_listed_as_having_the_usual_statuses() -> None:
    text = PAGE.read_text()
    listed = text.partition("all commands that are not in the table:")[2].partition("\n## ")[0]
    usual = sorted(command for command, statuses in stated().items() if statuses == STATUSES)
    assert re.findall(r"`([a-z -]+)`", listed) == usual


def test_the_usual_statuses_are_those_of_the_page() -> None:
    found = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    assert {int(number): meaning for number, meaning in found.items() if int(number) < 100} == STATUSES


def test_help_ends_with_the_exit_statuses() -> None:
    for words, command in commands():
        shown = " ".join(command.get_help(click.Context(command)).split())
        assert all(meaning in shown for meaning in command.statuses.values()), words

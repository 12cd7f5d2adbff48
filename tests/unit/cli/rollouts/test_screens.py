"""Every screen of the commands about Rollouts, as it was looked at: golden/ has one file for each."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from serinus.api.rollout_status import RolloutStatus
from serinus.cli.rollouts.explain import queries_of
from serinus.cli.rollouts.explain_text import explain_lines
from serinus.cli.rollouts.list_text import history_lines, list_lines
from serinus.cli.rollouts.status_text import status_lines
from serinus.cli.screen import Look, cells, render
from serinus.engine.view.explanation import explanation_of
from serinus.engine.view.rollout import run_view, view_of
from serinus.engine.view.standing import ORDER, Subject, standing_of
from support.builders import NOW
from support.golden import check_golden
from support.screens import HISTORY, STATES, a_status, a_subject, healthy, invalid, rolled_back

GOLDEN = Path(__file__).parent / "golden"
PLAIN = Look(width=80, colour=False, wide_charset=True)
LOOKS = {
    "80": PLAIN,
    "50": Look(width=50, colour=False, wide_charset=True),
    "120": Look(width=120, colour=False, wide_charset=True),
    "ascii": Look(width=80, colour=False, wide_charset=False),
    "colour": Look(width=80, colour=True, wide_charset=True),
}
SGR = re.compile("\x1b\\[[0-9;]*m")


def status_screen(subject: Subject, look: Look, *, wide: bool = False) -> str:
    return render(status_lines(view_of(subject, NOW), NOW, look, wide=wide), look)


def explain_screen(subject: Subject, look: Look, *, everything: bool = False) -> str:
    explained = explanation_of(subject, NOW, everything=everything)
    return render(explain_lines(explained, queries_of(explained, subject), NOW, look), look)


@pytest.mark.parametrize("state", STATES)
def test_status_of_a_rollout_in_each_state(state: str) -> None:
    check_golden(GOLDEN / f"status-{state}.txt", status_screen(a_subject(STATES[state]()), PLAIN))


@pytest.mark.parametrize("look", ["50", "120", "ascii", "colour"])
def test_status_on_other_terminals(look: str) -> None:
    check_golden(GOLDEN / f"status-rolled-back-{look}.txt", status_screen(a_subject(rolled_back()), LOOKS[look]))


def test_status_says_more_where_it_is_asked_to() -> None:
    check_golden(GOLDEN / "status-progressing-wide.txt", status_screen(a_subject(a_status()), PLAIN, wide=True))


def test_status_of_a_spec_that_the_operator_has_not_seen() -> None:
    check_golden(GOLDEN / "status-unseen.txt", status_screen(a_subject(healthy(), generation=8), PLAIN))


def test_status_of_a_spec_that_cannot_be_followed() -> None:
    subject = a_subject(invalid(), spec=None, spec_problem="spec.stages[1].traffic: write 5%")
    check_golden(GOLDEN / "status-invalid.txt", status_screen(subject, PLAIN))


def test_status_of_a_rollout_that_nobody_has_looked_at() -> None:
    check_golden(GOLDEN / "status-new.txt", status_screen(a_subject(RolloutStatus(), generation=1), PLAIN))


@pytest.mark.parametrize(
    "state", ["progressing", "rolled-back", "aborted", "quarantined", "without-metrics", "awaiting-approval", "healthy"]
)
def test_explain_in_each_state(state: str) -> None:
    check_golden(GOLDEN / f"explain-{state}.txt", explain_screen(a_subject(STATES[state]()), PLAIN))


def test_explain_all_conditions_in_ascii() -> None:
    screen = explain_screen(a_subject(rolled_back()), LOOKS["ascii"], everything=True)
    check_golden(GOLDEN / "explain-all-ascii.txt", screen)


@pytest.mark.parametrize("form", ["50", "80", "120", "wide"])
def test_the_list_of_rollouts(form: str) -> None:
    subjects = [a_subject(make(), name=f"model-{state}") for state, make in STATES.items()]
    subjects.sort(key=lambda one: (ORDER[standing_of(one)], one.key))
    rows = [(view_of(one, NOW), NOW - timedelta(days=21)) for one in subjects]
    look = LOOKS.get(form, PLAIN)
    lines = list_lines(rows, NOW, look, everywhere=form in {"120", "wide"}, wide=form == "wide")
    check_golden(GOLDEN / f"list-{form}.txt", render(lines, look))


@pytest.mark.parametrize("look", ["50", "80", "120"])
def test_the_history_of_a_rollout(look: str) -> None:
    lines = history_lines([run_view(run) for run in HISTORY], NOW, LOOKS[look])
    check_golden(GOLDEN / f"history-{look}.txt", render(lines, LOOKS[look]))


@pytest.mark.parametrize("width", range(40, 161, 7))
@pytest.mark.parametrize("state", STATES)
def test_no_line_is_wider_than_the_terminal(state: str, width: int) -> None:
    for colour in (False, True):
        look = Look(width=width, colour=colour, wide_charset=True)
        for line in status_screen(a_subject(STATES[state]()), look, wide=True).splitlines():
            assert cells(SGR.sub("", line)) <= width, line


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_control() -> None:
    for look in LOOKS.values():
        for screen in (status_screen, explain_screen):
            shown = SGR.sub("", screen(a_subject(STATES["hostile"]()), look))
            assert not [letter for letter in shown if letter < " " and letter != "\n"], shown
            assert "\u202e" not in shown


def test_the_form_in_ascii_is_ascii() -> None:
    for make in STATES.values():
        assert status_screen(a_subject(make()), LOOKS["ascii"]).isascii()


def test_colour_is_the_only_difference_that_it_makes() -> None:
    for make in STATES.values():
        coloured = status_screen(a_subject(make()), LOOKS["colour"])
        lines = [line.rstrip() for line in SGR.sub("", coloured).splitlines()]
        assert lines == status_screen(a_subject(make()), PLAIN).splitlines()

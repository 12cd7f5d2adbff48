"""`serinus list` and `history`: what gives way on a narrow terminal, and what is said where nothing is found."""

from datetime import timedelta
from itertools import pairwise

import pytest

from serinus.api.rollout_status import Phase, RolloutStatus, RunResult
from serinus.cli import main
from serinus.cli.rollouts.list_text import history_lines, list_lines
from serinus.cli.screen import Look, Span, cells, render
from serinus.cli.table import Column, table
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.view.checks import Mark
from serinus.engine.view.rollout import RunView, view_of
from support.builders import NOW
from support.screens import HISTORY, STATES, a_status, a_subject, an_object, healthy, invalid, rolled_back
from support.scripted_kubectl import ScriptedKubectl

WIDTHS = range(40, 161)
LONG_NAME = "fraud-detector-of-the-payments-platform-in-western-europe"
SENTENCE = "error_rate 16.3% > 0.5% (1,843 requests) at 5% traffic, and latency_p95 412ms > 200ms (1,843 requests)."


def a_list(
    *statuses: RolloutStatus, width: int, everywhere: bool = True, wide: bool = False, name: str = "fraud-detector"
) -> list[str]:
    look = Look(width=width, colour=False, wide_charset=True)
    rows = [(view_of(a_subject(status, name=name), NOW), NOW - timedelta(days=21)) for status in statuses]
    return render(list_lines(rows, NOW, look, everywhere=everywhere, wide=wide), look).splitlines()


def a_history(*reasons: str, width: int) -> list[str]:
    look = Look(width=width, colour=False, wide_charset=True)
    runs = [
        RunView(
            run=12,
            version="2.3.1",
            mark=Mark.BAD,
            result=RunResult.ROLLED_BACK.value,
            reason=reason,
            started_at=NOW - timedelta(minutes=40),
            ended_at=NOW - timedelta(minutes=20),
        )
        for reason in reasons
    ]
    return render(history_lines(runs, NOW, look), look).splitlines()


# ---- the table --------------------------------------------------------------------------------------


def test_a_column_is_never_wider_than_what_it_holds() -> None:
    columns = [Column(head="NAME", least=20), Column(head="REASON")]
    [_, row] = table(columns, [[Span("fraud"), Span("Analyzing")]], 15)
    assert "".join(span.text for span in row) == "fraud  Analyzing"


def test_what_gives_way_first_is_written_down() -> None:
    columns = [Column(head="A", wrap=True), Column(head="STAGE", short="S", word=True), Column(head="C")]
    rows = [[Span("one two three"), Span("2/3 canary"), Span("9")]]

    def shown(width: int) -> list[str]:
        lines = table(columns, rows, width, gaps=(1,), order=(("STAGE", 3), ("C", 0), ("A", 7)))
        return ["".join(span.text for span in line).rstrip() for line in lines]

    assert shown(26) == ["A             STAGE      C", "one two three 2/3 canary 9"]
    assert shown(25) == ["A             S   C", "one two three 2/3 9"]
    assert shown(17) == ["A             S", "one two three 2/3"]
    assert shown(16) == ["A            S", "one two      2/3", "three"]


# ---- list -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_phase_weight_and_reason_are_whole_or_not_there_the_reason_always(width: int, everywhere: bool) -> None:  # noqa: FBT001 - a parameter of the test
    for reason in WaitReason:
        status = a_status(reason=reason.value, phase=Phase.ROLLING_BACK)
        head, row = a_list(status, width=width, everywhere=everywhere, name=LONG_NAME)
        assert reason.value in row, row
        assert cells(row) <= width
        assert "…" not in head
        assert ("RollingBack" in row) == ("PHASE" in head), row
        assert (" 5% " in row) == ("WEIGHT" in head), row
        assert "WEIGHT" in head or width < 60, head


@pytest.mark.parametrize("width", WIDTHS)
def test_the_columns_depend_on_the_width_not_on_the_state(width: int) -> None:
    heads = {tuple(a_list(make(), width=width)[0].replace("NAMESPACE", "NS").split()) for make in STATES.values()}
    assert len(heads) == 1, heads


def test_what_matters_least_on_call_goes_first() -> None:
    heads = [set(a_list(a_status(), width=width)[0].replace("NAMESPACE", "NS").split()) for width in WIDTHS]
    gone = [more - fewer for fewer, more in pairwise(heads) if more - fewer]
    assert all(fewer <= more for fewer, more in pairwise(heads))
    assert [one for lost in reversed(gone) for one in sorted(lost)] == [
        "AGE",
        "STABLE",
        "STAGE",
        "CANDIDATE",
        "WEIGHT",
        "PHASE",
    ]


def test_the_name_of_the_stage_gives_way_before_any_other_name_is_cut() -> None:
    assert "2/3 canary" in a_list(a_status(), width=100)[1]
    [row] = [line for line in a_list(rolled_back(), width=80) if "fraud-detector " in line]
    assert "…" not in row
    assert " 2/3 " in row


@pytest.mark.parametrize("status", [a_status(), rolled_back(), healthy()])
def test_blanks_are_used_before_anything_is_cut(status: RolloutStatus) -> None:
    for width in (60, 80, 120):
        assert "…" not in "".join(a_list(status, width=width, name="fraud-detector"))


def test_the_wide_form_is_as_wide_as_what_it_says() -> None:
    head, row = a_list(rolled_back(), width=40, wide=True)
    assert head.split() == [
        *("NAMESPACE", "NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "STAGE", "REASON", "AGE"),
        *("SINCE", "JUDGED", "TRAFFIC", "NEXT"),
    ]
    assert "…" not in row
    assert row.endswith("set spec.version, or run kubectl serinus retry fraud.")
    assert a_list(rolled_back(), width=300, wide=True) == [head, row]


def test_the_wide_form_is_asked_for_with_an_option(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.returns({"items": [an_object(rolled_back())]})
    assert main(["list", "-A"]) == 0
    short = capsys.readouterr().out
    assert main(["list", "-A", "-o", "wide"]) == 0
    wide = capsys.readouterr().out
    assert "kubectl serinus retry fraud." in wide
    assert "kubectl serinus retry fraud." not in short


# ---- nothing is found -------------------------------------------------------------------------------


def in_namespace(kubectl: ScriptedKubectl, answer: str) -> None:
    """Let kubectl answer so where it is asked for the namespace of the kubeconfig."""
    program = kubectl.folder / "kubectl"
    case = 'case "$*" in\n'
    program.write_text(program.read_text().replace(case, f"{case}  config*) {answer} ;;\n"))
    kubectl.returns({"items": []})


NOTHING = "No Rollouts found in namespace {}; -A looks in all of them.\n"


@pytest.mark.parametrize(
    ("words", "answer", "said"),
    [
        (["-n", "ml"], "exit 1", NOTHING.format("ml")),
        ([], "printf ml-prod", NOTHING.format("ml-prod")),
        ([], "exit 0", NOTHING.format("default")),
        ([], "echo broken >&2; exit 1", NOTHING.format("default")),
        (["-A"], "printf ml-prod", "No Rollouts found in any namespace.\n"),
        (["-A", "-n", "ml"], "printf ml-prod", "No Rollouts found in any namespace.\n"),
    ],
)
def test_an_empty_list_says_where_it_looked(
    kubectl: ScriptedKubectl, words: list[str], answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    in_namespace(kubectl, answer)
    assert main(["list", *words]) == 0
    assert capsys.readouterr() == ("", said)


def test_kubectl_is_asked_for_the_namespace_of_the_context_that_was_given(kubectl: ScriptedKubectl) -> None:
    in_namespace(kubectl, "printf ml-prod")
    assert main(["list", "--context", "prod"]) == 0
    assert kubectl.asked[1].startswith("config view --minify")
    assert "--context prod" in kubectl.asked[1]


def test_a_rollout_that_cannot_be_read_was_found(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns({"items": [{**an_object(invalid(), name="odd"), "status": {"phase": "Odd"}}]})
    assert main(["list"]) == 0
    assert "No Rollouts found" not in capsys.readouterr().err


# ---- history ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_the_reason_of_a_run_is_never_cut(width: int) -> None:
    lines = a_history(SENTENCE, "Every stage passed.", width=width)
    start = lines[0].index("REASON")
    assert " ".join(line[start:] for line in lines[1:]) == f"{SENTENCE} Every stage passed."
    assert max(map(cells, lines)) <= width


def test_the_end_of_a_run_makes_room_for_the_reason_before_anything_else_does() -> None:
    reason = "error_rate 16.3% > 0.5% (45 requests)."
    full, day, none = (a_history(reason, width=width) for width in (94, 86, 80))
    assert ["ENDED" in lines[0] for lines in (full, day, none)] == [True, True, False]
    assert f"{HISTORY[0].ended_at:%H:%MZ}" not in day[1]
    assert "2026-11-23 13:40Z" in full[1]
    assert "2026-11-23 " in day[1]
    assert all(len(lines) == 2 for lines in (full, day, none))
    assert "AGO" in none[0]
    assert "TOOK" in none[0]

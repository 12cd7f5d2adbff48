"""The commands that wait: what the operator's answer was, and the exit status for it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from serinus.api.names import Command
from serinus.api.rollout_status import PastRun, Pause, Phase, RollbackReason, RolloutStatus, RunResult, StageApproval
from serinus.cli.context import CliContext
from serinus.cli.main import run as run_words
from serinus.engine.view.command_effect import Effect, GivenCommand, effect_of
from support.builders import NOW
from support.screens import a_status, an_object, awaiting_approval, healthy, paused, rolled_back
from support.scripted_kubectl import ScriptedKubectl


@pytest.fixture(autouse=True)
def _before(kubectl: ScriptedKubectl) -> None:
    kubectl.returns(an_object(a_status()))


class FixedClock:
    """A clock that stands still."""

    def now(self) -> Any:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def run(*words: str) -> int:
    return run_words(words, CliContext(clock=FixedClock()))


def token(verb: str) -> str:
    return f"{verb} ({NOW:%Y-%m-%dT%H:%M:%SZ})"


def handled(status: RolloutStatus, verb: str, **fields: Any) -> dict[str, Any]:
    return an_object(structs.replace(status, last_handled={verb: token(verb)}, **fields))


PAUSED = structs.replace(paused(), paused=Pause(reason=token("pause"), at=NOW))
APPROVAL = StageApproval(stage="canary", token=token("promote"), at=NOW)
BACK = rolled_back()
assert BACK.rollback is not None
ABORTED = structs.replace(
    BACK, rollback=structs.replace(BACK.rollback, reason=RollbackReason.ABORTED, decided_at=NOW + timedelta(seconds=1))
)


@pytest.mark.parametrize(
    ("verb", "after", "expected"),
    [
        ("pause", PAUSED, 0),
        ("resume", a_status(), 0),
        ("promote", a_status(approvals=(APPROVAL,)), 0),
        ("promote", healthy(), 0),
        ("promote", structs.replace(awaiting_approval(), approvals=(APPROVAL,)), 4),
        ("promote", structs.replace(rolled_back(), approvals=(APPROVAL,)), 2),
        ("abort", ABORTED, 0),
        ("rollback", ABORTED, 0),
        ("retry", a_status(run=13, run_started_at=NOW), 0),
    ],
)
def test_the_outcome_is_shown_and_decides_the_exit_status(
    kubectl: ScriptedKubectl, verb: str, after: RolloutStatus, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.returns(an_object(paused() if verb == "resume" else a_status()))
    kubectl.shows(an_object(a_status()), handled(after, verb))
    assert run(verb, "fraud") == expected
    said = capsys.readouterr().out
    assert f"serinus.dev/{verb}={token(verb)}" in said
    assert f"fraud  {after.phase.value}" in said
    assert kubectl.asked[0].startswith("annotate rollouts.serinus.dev fraud --overwrite")


def test_an_abort_is_waited_for_until_the_gateway_has_accepted_it(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    going = structs.replace(ABORTED, phase=Phase.ROLLING_BACK)
    kubectl.shows(handled(going, "abort"), handled(ABORTED, "abort"))
    assert run("abort", "fraud") == 0
    assert re.findall(r"fraud  (\w+)", capsys.readouterr().out) == ["RolledBack"]


def test_a_command_that_was_ignored_says_why_and_fails(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.has_events(
        {
            "reason": "CommandIgnored",
            "note": "Run 1, 2.3.1: promote was ignored: old.",
            "eventTime": "2026-11-23T13:00:00.000000Z",
        },
        {
            "reason": "CommandIgnored",
            "note": "Run 1, 2.3.1: promote was ignored: no run.",
            "eventTime": "2026-11-23T14:00:01.000000Z",
        },
        {"reason": "CommandIgnored", "note": "abort was ignored: other.", "eventTime": "2026-11-23T14:00:02.000000Z"},
    )
    kubectl.shows(handled(a_status(), "promote"))
    assert run("promote", "fraud") == 1
    assert capsys.readouterr().err == f"serinus: promote was ignored: no run.\n{a_status().summary}\n"


def test_a_command_that_is_ignored_again_for_the_same_reason_says_so_again(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.has_events(
        {
            "reason": "CommandIgnored",
            "note": "Run 1, 2.3.1: promote was ignored: no run.",
            "eventTime": "2026-11-23T13:00:00.000000Z",
            "series": {"count": 2, "lastObservedTime": "2026-11-23T14:00:01.000000Z"},
        }
    )
    kubectl.shows(handled(a_status(), "promote"))
    assert run("promote", "fraud") == 1
    assert capsys.readouterr().err.startswith("serinus: promote was ignored: no run.\n")


def test_a_rollback_of_what_serves_is_seen_although_another_version_is_wanted(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator puts such a rollback away at once: the history has it."""
    past = PastRun(
        run=12,
        version="2.3.0",
        result=RunResult.ROLLED_BACK,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1),
        reason=f"Rollback asked for by ada: {token('rollback')}.",
    )
    after = healthy()
    kubectl.returns(an_object(healthy()))
    kubectl.shows(handled(after, "rollback", history=(past, *after.history)))
    assert run("rollback", "fraud") == 0
    assert "had no effect" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["resume", "promote", "abort", "pause"])
def test_a_command_that_came_after_a_rollback_says_that_the_version_was_rolled_back(
    kubectl: ScriptedKubectl, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    note = f"Run 12, 2.3.1: {verb} was ignored: it is not paused."
    kubectl.has_events({"reason": "CommandIgnored", "note": note, "eventTime": "2026-11-23T14:00:01.000000Z"})
    kubectl.returns(an_object(rolled_back()))
    kubectl.shows(handled(rolled_back(), verb))
    assert run(verb, "fraud") == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [f"serinus: {verb} was ignored: it is not paused.", rolled_back().summary]
    assert "2.3.1 was rolled back at" in said[1]


def test_without_a_summary_the_rollback_itself_is_said(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serinus.cli.rollouts.acknowledge._TICK", 0.01)
    kubectl.shows(handled(rolled_back(), "pause", summary=""))
    assert run("pause", "fraud") == 1
    at = f"{BACK.rollback.decided_at:%H:%M:%SZ}" if BACK.rollback is not None else ""
    assert f"\n2.3.1 was rolled back at {at}: " in capsys.readouterr().err


def test_without_an_event_a_command_without_effect_fails_all_the_same(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serinus.cli.rollouts.acknowledge._TICK", 0.01)
    kubectl.shows(handled(a_status(), "pause"))
    assert run("pause", "fraud") == 1
    assert "was acknowledged and had no effect" in capsys.readouterr().err


def test_an_operator_that_does_not_answer_is_a_timeout(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.shows(an_object(a_status()))
    assert run("pause", "fraud", "--timeout", "1s") == 3
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "serinus: pause is written, and the operator has not acted on it within 1 s: is it running?"
    assert len(said) <= 3
    assert "`serinus check`" in said[1]
    assert "`kubectl get lease -A`" in said[1]
    assert "`kubectl -n serinus-system get pods`" in said[1]
    assert "weights change by hand only" in said[2]
    assert "docs/how-to/break-glass.md, The operator is down" in said[2]


def test_a_rollback_that_the_gateway_has_not_accepted_yet_needs_no_hand(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.shows(handled(structs.replace(ABORTED, phase=Phase.ROLLING_BACK), "abort"))
    assert run("abort", "fraud", "--timeout", "1s") == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nobody_waits_where_that_was_asked(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pause", "fraud", "--no-wait") == 0
    assert len(kubectl.asked) == 1
    assert "kubectl serinus status fraud" in capsys.readouterr().out


def given(verb: Command, before: RolloutStatus) -> GivenCommand:
    return GivenCommand(command=verb, token=token(verb.value), before=before)


def test_another_token_is_not_this_command() -> None:
    status = structs.replace(PAUSED, last_handled={"pause": "another"})
    assert effect_of(given(Command.PAUSE, a_status()), status) is Effect.PENDING


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        (Command.ABORT, a_status(), rolled_back()),
        (Command.ABORT, ABORTED, ABORTED),
        (Command.ROLLBACK, healthy(), healthy()),
        (Command.RETRY, a_status(), a_status()),
        (Command.RESUME, a_status(), a_status()),
        (Command.PROMOTE, healthy(), healthy()),
        (Command.PROMOTE, a_status(), a_status()),
        (Command.PAUSE, a_status(), paused()),
    ],
)
def test_what_was_so_before_is_not_the_effect_of_a_command(
    verb: Command, before: RolloutStatus, after: RolloutStatus
) -> None:
    status = structs.replace(after, last_handled={verb.value: token(verb.value)})
    assert effect_of(given(verb, before), status) is Effect.NONE

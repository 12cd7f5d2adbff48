"""`serinus status`, `list`, `history` and `explain`: what they ask kubectl, their forms, and their exit statuses."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml

from serinus.api.rollout_status import RolloutStatus
from serinus.cli import main
from serinus.cli.rollouts.read import subject_of
from serinus.cli.rollouts.show import redrawn
from serinus.cli.rollouts.status_text import status_lines
from serinus.cli.screen import Look, render
from serinus.engine.view.rollout import view_of
from support.builders import NOW
from support.screens import STATES, a_status, an_object, awaiting_approval, healthy, invalid, paused, rolled_back
from support.scripted_kubectl import ScriptedKubectl

STATUSES = [
    (healthy(), 0),
    (a_status(), 0),
    (RolloutStatus(observed_generation=7), 0),
    (rolled_back(), 2),
    (invalid(), 2),
    (paused(), 4),
    (awaiting_approval(), 4),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
def test_the_exit_status_says_where_the_rollout_stands(
    kubectl: ScriptedKubectl, status: RolloutStatus, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.returns(an_object(status))
    assert main(["status", "fraud", "-n", "ml-prod", "--context", "prod"]) == expected
    words = "get rollouts.serinus.dev fraud --namespace ml-prod --context prod --output=json"
    assert kubectl.asked == [words]
    assert f"fraud  {status.phase.value}" in capsys.readouterr().out


def test_a_spec_that_the_operator_has_not_seen_is_neither_good_nor_bad(kubectl: ScriptedKubectl) -> None:
    for status in (healthy(), rolled_back(), paused()):
        kubectl.returns(an_object(status, generation=8))
        assert main(["status", "fraud"]) == 0


def test_a_screen_into_a_pipe_has_no_colour(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns(an_object(rolled_back()))
    main(["status", "fraud"])
    assert "\x1b" not in capsys.readouterr().out


def test_the_object_can_be_had_for_programs(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns(an_object(healthy()))
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert main(["status", "fraud", "-o", form]) == 0
        found = read(capsys.readouterr().out)
        assert found["status"]["phase"] == "Healthy"
        assert "managedFields" not in found["metadata"]
    assert main(["status", "fraud", "-o", "name"]) == 0
    assert capsys.readouterr().out == "rollout.serinus.dev/fraud\n"


def test_kubectls_own_message_is_shown_without_the_log_of_its_libraries(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    log = 'E1129 16:56:32.778969    2108 memcache.go:265] "Unhandled Error"\n'
    kubectl.fails(log + "Error from server (Forbidden): rollouts.serinus.dev is forbidden\n")
    assert main(["status", "fraud"]) == 1
    assert capsys.readouterr().err == "serinus: Error from server (Forbidden): rollouts.serinus.dev is forbidden\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "did not print JSON"),
        ("[]", "did not print an object"),
        ("{}", "metadata.name"),
        ('{"metadata": {"name": "fraud", "creationTimestamp": "yesterday"}}', "metadata.creationTimestamp"),
        (json.dumps({**an_object(healthy()), "status": {"phase": "Odd"}}), "status.phase"),
    ],
)
def test_an_answer_that_cannot_be_read_names_the_field(
    kubectl: ScriptedKubectl, answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.prepare("object", answer)
    assert main(["status", "fraud"]) == 1
    assert said in capsys.readouterr().err


def test_a_spec_that_cannot_be_read_does_not_hide_the_status(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.returns({**an_object(invalid()), "spec": {"stages": []}})
    assert main(["status", "fraud"]) == 2
    assert "Invalid" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["-n=ml"], ["--watch"], ["Fraud"], ["a/b"]])
def test_what_is_no_name_is_refused_before_kubectl_runs(kubectl: ScriptedKubectl, words: list[str]) -> None:
    for verb in ("status", "history", "explain"):
        assert main([verb, "--", *words]) == 2
    assert not (kubectl.folder / "asked").exists()


# ---- following --------------------------------------------------------------------------------------


def test_watching_ends_when_the_run_is_over(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.shows(an_object(a_status()), an_object(rolled_back()))
    assert main(["status", "fraud", "-w"]) == 2
    said = capsys.readouterr().out
    assert said.index("fraud  Progressing") < said.index("fraud  RolledBack")
    assert len(kubectl.asked) == 1
    assert "--watch" in kubectl.asked[0]


def test_a_pipe_gets_a_screen_only_where_something_is_new(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.shows(an_object(a_status()), an_object(a_status()), an_object(a_status()), an_object(healthy()))
    assert main(["status", "fraud", "-w"]) == 0
    assert capsys.readouterr().out.count("Serving") == 2


def test_watching_waits_for_the_spec_as_it_is_now(kubectl: ScriptedKubectl) -> None:
    kubectl.shows(an_object(healthy(), generation=8), an_object(rolled_back(), generation=7))
    assert main(["status", "fraud", "-w"]) == 2


@pytest.mark.parametrize(("status", "expected"), [(a_status(), 3), (awaiting_approval(), 4)])
def test_watching_ends_at_its_time(
    kubectl: ScriptedKubectl, status: RolloutStatus, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.shows(an_object(status))
    assert main(["status", "fraud", "-w", "--timeout", "1s"]) == expected
    assert "not over within 1 s" in capsys.readouterr().err


def test_watching_a_rollout_that_is_deleted_is_an_error(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.shows(an_object(a_status()), kind="DELETED")
    assert main(["status", "fraud", "-w"]) == 1
    assert "was deleted" in capsys.readouterr().err


def test_a_refused_watch_is_not_tried_again(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.fails("", status=1)
    assert main(["status", "fraud", "-w"]) == 1
    assert len(kubectl.asked) == 1
    assert "serinus: " in capsys.readouterr().err


def test_a_watch_that_the_api_server_ends_is_begun_anew(
    kubectl: ScriptedKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serinus.cli.rollouts.follow._PAUSE", 0.0)
    kubectl.shows(an_object(a_status()), endless=False)
    assert main(["status", "fraud", "-w", "--timeout", "1s"]) == 3
    assert len(kubectl.asked) > 1


def test_a_timeout_without_watch_is_refused(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "fraud", "--timeout", "1s"]) == 2
    assert "--timeout needs --watch" in capsys.readouterr().err


def test_a_screen_is_drawn_over_the_one_before_without_scrolling() -> None:
    assert redrawn("one\ntwo\n", 2) == "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J"
    assert "three" in redrawn("one\ntwo\nthree\n", None)
    cut = redrawn("one\ntwo\nthree\nfour\n", 3)
    assert cut.count("\n") == 3
    assert "(2 more lines: make the window higher)" in cut


@pytest.mark.parametrize("status", [a_status(), awaiting_approval(), paused()])
def test_where_the_window_is_low_the_commands_stay(status: RolloutStatus) -> None:
    look = Look(width=80, colour=False, wide_charset=True)
    subject = subject_of(an_object(status))
    whole, low = (status_lines(view_of(subject, NOW), NOW, look, rows=rows) for rows in (None, 21))
    assert len(low) <= 21 < len(whole)
    assert low[-1] == whole[-1]
    assert "History" in render(whole, look)
    assert "History" not in render(low, look)
    assert status_lines(view_of(subject, NOW), NOW, look, rows=len(whole)) == whole


# ---- list, history, explain -------------------------------------------------------------------------


def test_the_list_begins_with_what_needs_a_person(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    states = {"a-good": healthy(), "b-runs": a_status(), "c-bad": rolled_back(), "d-waits": paused()}
    kubectl.returns({"items": [an_object(status, name=name) for name, status in states.items()]})
    assert main(["list", "-A"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[2] for row in rows] == ["d-waits", "c-bad", "b-runs", "a-good"]
    assert kubectl.asked == ["get rollouts.serinus.dev --all-namespaces --output=json"]


def test_one_rollout_that_cannot_be_read_does_not_hide_the_others(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {**an_object(healthy(), name="odd"), "status": {"phase": "Odd"}}
    kubectl.returns({"items": [odd, an_object(healthy()), "x"]})
    assert main(["list", "-o", "name"]) == 0
    said = capsys.readouterr()
    assert said.out == "rollout.serinus.dev/fraud\n"
    assert "Rollout odd is left out: status.phase" in said.err


def test_an_empty_list_and_an_empty_history_say_so(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.returns({"items": []})
    assert main(["list"]) == 0
    assert capsys.readouterr().err == "No Rollouts found in namespace default; -A looks in all of them.\n"
    kubectl.returns(an_object(invalid()))
    assert main(["history", "fraud"]) == 0
    assert "No run of fraud has ended yet" in capsys.readouterr().err


def test_history_can_be_had_for_programs(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns(an_object(healthy()))
    assert main(["history", "fraud", "-o", "json"]) == 0
    assert [run["run"] for run in json.loads(capsys.readouterr().out)] == [11, 10, 9]
    assert main(["history", "fraud", "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["history"][0]["result"] == "Promoted"


def test_explain_prints_the_query_in_one_line(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns(an_object(rolled_back()))
    assert main(["explain", "fraud"]) == 0
    [query] = [line for line in capsys.readouterr().out.splitlines() if "increase(" in line]
    assert 'envoy_cluster_name="ml-prod_fraud-v2-3-1_80"' in query
    assert 'le=~"200([.]0)?"' in query


def test_explain_can_be_had_for_programs(kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.returns(an_object(rolled_back()))
    assert main(["explain", "fraud", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert main(["explain", "fraud", "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == data

    [decided] = data["conditions"]
    assert (data["version"], decided["metric"], decided["verdict"]) == ("2.3.1", "latency_p95", "Breach")
    assert decided["evidence"] >= decided["needed"]
    assert "increase(" in decided["queries"][0]["promql"]


@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_every_explanation_is_json(
    kubectl: ScriptedKubectl, capsys: pytest.CaptureFixture[str], make: Callable[[], RolloutStatus]
) -> None:
    kubectl.returns(an_object(make()))
    assert main(["explain", "fraud", "--all", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data["headline"]
    assert set(data) == {"headline", "waits", "version", "begin", "end", "conditions"}


# ---- how fast it starts -----------------------------------------------------------------------------


def test_a_command_that_reads_one_object_loads_no_slow_library() -> None:
    slow = {"numpy", "kubernetes", "aiohttp", "asyncio", "requests", "yaml", "jinja2", "rich", "boto3", "kopf", "ssl"}
    code = f"import sys; import serinus.cli.rollouts.status;print(sorted({slow!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"

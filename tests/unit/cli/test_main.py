"""The command line: its calls of kubectl, its messages, and the exit statuses that scripts rely on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serinus import __version__
from serinus.cli import main

KUBECTL = """#!/bin/sh
printf '%s\\n' "$@" > "$0.asked"
[ -n "{words}" ] && echo "{words}" >&2
exit {status}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which there is only what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("SERINUS_CONFIG", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def a_kubectl(folder: Path, *, status: int = 0, words: str = "") -> Path:
    program = folder / "kubectl"
    program.write_text(KUBECTL.format(status=status, words=words))
    program.chmod(0o755)
    return folder / "kubectl.asked"


def test_a_verb_annotates_the_rollout_with_the_reason_and_the_time(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = a_kubectl(path)
    assert main(["abort", "fraud", "-n", "ml", "--context", "prod", "--reason", "complaints", "--no-wait"]) == 0
    words = asked.read_text().splitlines()
    assert words[:4] == ["annotate", "rollouts.serinus.dev", "fraud", "--overwrite"]
    assert re.fullmatch(r"serinus\.dev/abort=complaints \(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)", words[4])
    assert words[5:] == ["serinus.dev/reason=complaints", "--namespace", "ml", "--context", "prod"]
    told = capsys.readouterr().out
    assert words[4] in told
    assert "kubectl serinus status fraud" in told


@pytest.mark.parametrize("verb", ["promote", "pause", "resume", "abort", "retry", "rollback"])
def test_without_a_reason_the_verb_is_the_reason_and_kubectl_chooses_the_namespace(path: Path, verb: str) -> None:
    asked = a_kubectl(path)
    assert main([verb, "fraud", "--no-wait"]) == 0
    words = asked.read_text().splitlines()
    assert words[4].startswith(f"serinus.dev/{verb}={verb} (")
    # What a command before has left must not stand beside this one.
    left = {"promote": ["serinus.dev/override-"], "rollback": ["serinus.dev/override-", "serinus.dev/rollback-to-"]}
    assert words[5:] == ["serinus.dev/reason-", *left.get(verb, [])]


def test_a_rollback_can_name_its_target(path: Path) -> None:
    asked = a_kubectl(path)
    assert main(["rollback", "fraud", "--to", "v2.2.4", "--reason", "clients complain", "--no-wait"]) == 0
    assert asked.read_text().splitlines()[5:] == [
        "serinus.dev/reason=clients complain",
        "serinus.dev/override-",
        "serinus.dev/rollback-to=2.2.4",
    ]


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_an_override_is_written_beside_its_command_with_the_reason_and_the_time(path: Path, verb: str) -> None:
    asked = a_kubectl(path)
    assert main([verb, "fraud", "--override", "--reason", "payments are down", "--no-wait"]) == 0
    words = asked.read_text().splitlines()
    token = words[4].partition("=")[2]
    assert token.startswith("payments are down (")
    assert words[5:7] == ["serinus.dev/reason=payments are down", f"serinus.dev/override={token}"]


@pytest.mark.parametrize("words", [["promote", "fraud"], ["rollback", "fraud"], ["promote", "fraud", "--reason", " "]])
def test_an_override_without_a_reason_is_refused(
    path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = a_kubectl(path)
    assert main([*words, "--override"]) == 2
    assert "--override needs --reason" in capsys.readouterr().err
    assert not asked.exists()


def test_a_registry_without_a_cluster_has_no_approvals_to_override(capsys: pytest.CaptureFixture[str]) -> None:
    registry = "dynamodb://serinus?region=eu-central-1"
    assert main(["rollback", "fraud", "--registry", registry, "--override", "--reason", "payments are down"]) == 2
    assert "a registry without a cluster has no approvals" in capsys.readouterr().err


def test_kubectls_own_message_is_shown_and_the_exit_status_is_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_kubectl(path, status=3, words="Error from server (NotFound): no such rollout")
    assert main(["abort", "fraud"]) == 1
    assert "serinus: Error from server (NotFound): no such rollout" in capsys.readouterr().err


def test_a_silent_failure_of_kubectl_is_reported_by_its_exit_status(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_kubectl(path, status=3)
    assert main(["abort", "fraud"]) == 1
    assert "kubectl failed with exit status 3" in capsys.readouterr().err


def test_a_missing_kubectl_is_reported_with_a_remedy(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["abort", "fraud"]) == 1
    assert "kubectl is not on PATH: install it" in capsys.readouterr().err


def test_a_kubectl_that_never_answers_times_out(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = path / "kubectl"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    monkeypatch.setattr("serinus.cli.kubectl.TIMEOUT", 0.3)
    assert main(["abort", "fraud"]) == 1
    assert "kubectl did not answer within 0.3 s" in capsys.readouterr().err


def test_a_kubectl_that_cannot_be_started_prints_no_traceback(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path / "kubectl").write_bytes(b"\x7fELF but not really")
    (path / "kubectl").chmod(0o755)
    assert main(["abort", "fraud"]) == 1
    assert "kubectl could not be started" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["abort"], ["abort", "a", "b"], ["run", "--log-format", "xml"]])
def test_wrong_usage_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Usage: serinus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("versions", "status", "said"),
    [
        ([__version__], 0, f"operator  {__version__} (serinus-system/serinus): the same\n"),
        (["0.0.9"], 1, "operator  0.0.9 (serinus-system/serinus): another: use the same version of both\n"),
        ([""], 1, "operator  unknown (serinus-system/serinus): another"),
        ([], 1, "no Deployment of the chart is in the cluster"),
    ],
)
def test_the_version_is_compared_with_that_of_the_operator(
    path: Path, versions: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [{"app.kubernetes.io/version": version} for version in versions]
    items = [{"metadata": {"namespace": "serinus-system", "name": "serinus", "labels": one}} for one in labels]
    program = path / "kubectl"
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'items': items})}'\n")
    program.chmod(0o755)
    assert main(["version", "--operator"]) == status
    told = capsys.readouterr()
    assert told.out.startswith(f"client    {__version__}\n")
    assert said in told.out + told.err

    assert main(["version", "--operator", "-o", "json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert (found["client"], found["same"]) == (__version__, status == 0)
    assert [one["version"] for one in found["operators"]] == versions


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("writers: 0", "writers"),
        ("{}", "no metric source is set: name at least `sources.default.url`"),
        ("sources: {", "cannot be read as YAML"),
    ],
)
def test_run_with_an_invalid_configuration_exits_with_1_and_a_message(
    path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = path / "config.yaml"
    config.write_text(text)
    assert main(["run", "--config", str(config)]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_run_with_a_missing_configuration_exits_with_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(path / "nowhere.yaml")]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_message_is_one_line_of_the_text_log_whoever_wrote_it() -> None:
    import logging  # noqa: PLC0415 - likewise

    from serinus.cli.run import _TextLines  # noqa: PLC0415 - it loads the operator's libraries

    record = logging.LogRecord("a", logging.INFO, "f", 1, "%s", ("x\x1b[2J\r\n2026-01-01 ERROR: forged",), None)
    line = _TextLines().format(record)
    assert line.endswith("INFO a: x\ufffd[2J\ufffd 2026-01-01 ERROR: forged")
    assert len(line.splitlines()) == 1


def test_a_line_of_the_json_log_is_one_object_even_with_a_traceback() -> None:
    import logging  # noqa: PLC0415 - only this test speaks of logs

    from serinus.cli.run import _JsonLines  # noqa: PLC0415 - likewise: it loads the operator's libraries

    problem = ValueError("two\nlines")
    trouble = (ValueError, problem, None)
    record = logging.LogRecord("serinus", logging.ERROR, "file", 1, "it %s", ("broke",), trouble)
    line = _JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("ERROR", "it broke")
    assert "ValueError: two" in found["exception"]


# ---- what no command is asked for ----------------------------------------------------------------


def test_an_argument_that_is_not_utf_8_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "list", "fraud\udcff"]) == 2
    assert "an argument is not UTF-8: 'fraud\\udcff'" in capsys.readouterr().err


def test_what_others_wrote_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "\x1b[2J\x9b1m\u202e"]) == 2
    # click leaves out what is meant for a terminal, and the rest is shown.
    assert "(\\u009b1m\\u202e)" in capsys.readouterr().err


def test_an_interrupted_command_ends_as_shells_have_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("serinus.cli.version.echo", interrupt)
    assert main(["version"]) == 130
    # The terminal has echoed ^C: the message begins on a line of its own.
    assert capsys.readouterr().err == "\nserinus: interrupted\n"


@pytest.mark.parametrize(
    ("encoding", "target", "said"),
    [
        ("utf-8", "/dev/full", "the result could not be written to standard output: No space left on device"),
        ("ascii", "/dev/null", "the result has characters that ascii lacks: set PYTHONIOENCODING=utf-8"),
    ],
)
def test_a_result_that_cannot_be_written_is_a_failure_without_a_traceback(
    encoding: str, target: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "fraud.yaml"
    file.write_text(
        "{apiVersion: serinus.dev/v1alpha1, kind: ModelVersion, spec: {model: fraud, version: 1.0.0, "
        "signature: {profile: columnar, inputs: [{name: höhe, dtype: int64}], outputs: []}}}"
    )
    newer = tmp_path / "newer.yaml"
    newer.write_text(file.read_text().replace("1.0.0", "1.0.1").replace("höhe", "größe"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": encoding}
    with Path(target).open("w") as output:
        words = [sys.executable, "-m", "serinus", "diff", str(file), str(newer)]
        done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, f"serinus: {said}\n")

"""``serinus simulate``: its options, its forms, and what it refuses."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from xml.dom import minidom

import pytest
import yaml

from serinus.cli import main
from serinus.cli.simulate import command
from serinus.cli.simulate.prometheus import Place
from serinus.cli.simulate.recording import Recording
from serinus.errors import ConfigurationError
from support.manifests.builders import rollout

QUICKSTART: Final = "examples/quickstart/40-rollout.yaml"
BEGAN: Final = datetime(2026, 11, 29, 14, 0, tzinfo=UTC)
SHORT: Final = ("--rate", "100/s", "--runs", "5", "--set", "canary.duration=5m; production.bake=1m")


def simulate(*words: str, file: str = QUICKSTART) -> int:
    return main(["simulate", "-f", file, *words])


def a_rollout(folder: Path, *stages: dict[str, Any], name: str = "fraud", **spec: Any) -> str:
    file = folder / "rollout.yaml"
    raw = {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "model": "fraud",
            "version": "2.0.0",
            "route": {"httpRoute": {"name": "fraud"}},
            "stages": [*stages],
            **spec,
        },
    }
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return str(file)


def a_recording(folder: Path, bad: list[int], *, as_list: bool = False, **header: Any) -> str:
    """50 requests a tick of 15 s, of which these failed."""
    first = {"kind": "SerinusRecording", "model": "fraud", "version": "2.0.0", "began": BEGAN.isoformat()}
    entries: list[dict[str, Any]] = [first | {"scrapeInterval": "15s"} | header]
    for number, count in enumerate(bad, start=1):
        at = (BEGAN + number * timedelta(seconds=15)).isoformat()
        slow = {"candidate": {"requests": 50}, "stable": {"requests": 950}}
        errors = {"candidate": {"requests": 50, "bad": count}, "stable": {"requests": 950, "bad": 1}}
        entries.append({"at": at, "figures": {"error_rate": errors, "latency_p95 > 200ms": slow}})
    file = folder / "recording.jsonl"
    file.write_text(json.dumps(entries) if as_list else "\n".join(map(json.dumps, entries)), encoding="utf-8")
    return str(file)


AT: Final = "2026-11-29T14:00:15Z"


def a_tick(question: str, **figures: float) -> dict[str, Any]:
    return {"at": AT, "figures": {question: {"candidate": figures}}}


def test_a_table_has_the_plan_as_written_beside_the_other_one_in_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulate(*SHORT, "--errors", "0.1%") == 0

    told = capsys.readouterr()
    assert told.err == ""
    assert max(map(len, told.out.splitlines())) <= 80
    assert re.search(r"^ +as written +canary\.duration=5m;$", told.out, re.MULTILINE)
    assert re.search(r"^promoted +100% \(56\.6-100\.0%\) +100% \(56\.6-100\.0%\)$", told.out, re.MULTILINE)
    assert re.search(r"^- at minute +45, 45 +6, 6$", told.out, re.MULTILINE)
    assert "Promoted by minute (% of all runs)" in told.out


def test_the_same_seed_gives_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for seed in ("3", "3", "4"):
        assert simulate(*SHORT, "--errors", "20%", "--seed", seed, "-o", "json") == 0
        told.append(capsys.readouterr().out)

    assert told[0] == told[1] != told[2]
    found = json.loads(told[0])
    assert [one["name"] for one in found["alternatives"]] == ["as written", SHORT[-1]]
    assert found["alternatives"][0]["ends"]["RolledBack"]["share"] == 1.0
    assert found["alternatives"][0]["causes"][0]["condition"] == "error_rate > 0.5%"


def test_processes_give_what_one_process_gives(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--rate", "100/s", "--errors", "30%", "--runs", "150", "-o", "json")
    assert simulate(*words) == 0
    parallel = capsys.readouterr().out
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert simulate(*words) == 0

    assert capsys.readouterr().out == parallel


def test_the_smallest_regression_is_searched_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--rate", "200/s", "--runs", "4", "--set", "canary.duration=2m", "--find", "-o", "json") == 0

    smallest = json.loads(capsys.readouterr().out)["alternatives"][1]["smallestFound"]
    assert 0.005 < smallest["errors"] < 0.1
    assert 0.05 < smallest["slow share"] < 0.5


@pytest.mark.parametrize("form", ["svg", "html"])
def test_a_picture_or_page_is_whole_escaped_and_loads_nothing(
    form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stages = (
        {"name": "canary", "traffic": "5%", "duration": "5m", "abortOn": ["error_rate > 0.5%"]},
        {"name": "production", "traffic": "100%", "abortOn": ["error_rate > 0.5%"]},
    )
    file = a_rollout(tmp_path, *stages, name="<script>alert(1)</script>\x07")

    assert simulate("--rate", "100/s", "--runs", "2", "--set", "canary.duration=4m", "-o", form, file=file) == 0

    told = capsys.readouterr().out
    assert "<script>" not in told
    assert "\x07" not in told
    assert "//" not in told.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme:dark" in told
    assert "<polyline" in told
    if form == "svg":
        assert minidom.parseString(told).documentElement is not None  # noqa: S318 - it is our own


@pytest.mark.parametrize("as_list", [False, True], ids=["lines", "list"])
def test_a_recording_is_rolled_back_at_its_tick_and_with_another_limit_it_is_not(
    as_list: bool,  # noqa: FBT001 - a parameter of the test
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = a_recording(tmp_path, [0, 0, 12, 12, 12, 12, 0, 0], as_list=as_list)

    assert simulate("--recording", file, "--set", "abortOn[1]=error_rate > 60%", "-o", "json") == 0

    written, other = json.loads(capsys.readouterr().out)["alternatives"]
    assert (written["end"], written["condition"]) == ("RolledBack", "error_rate > 0.5%")
    assert written["decidedAt"].startswith("2026-11-29T14:01:15")
    assert ("error_rate > 0.5%", "Breach") in {(one["condition"], one["verdict"]) for one in written["verdicts"]}
    assert (other["end"], other["decidedAt"]) == ("Undecided", None)


def test_a_recordings_table_says_when_on_what_and_how_each_condition_was_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert simulate("--recording", a_recording(tmp_path, [0, 0, 12, 12, 12])) == 0

    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for words in (
        r"^decision +rolled back in canary$",
        r"^at minute +1\.25$",
        r"^at tick +14:01:15\.000Z$",
        r"^error_rate > 0\.5% +TooFewRequests from min 0\.2; Breach from min 1\.2$",
        r"^Evidence by minute \(E, logarithmic\)$",
        r"^  \. 800 is a breach$",
        r"^  \| 1\.25 min: rolled back in canary$",
    ):
        assert re.search(words, told, re.MULTILINE), (words, told)


def test_what_is_recorded_again_is_the_same_recording(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    assert simulate("--recording", a_recording(tmp_path, [0, 3, 12]), "--record", str(copy), "-o", "json") == 0
    first = capsys.readouterr().out

    assert simulate("--recording", str(copy), "-o", "json") == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--recording", "missing.jsonl"), "missing.jsonl cannot be read: No such file or directory"),
        (("--rate", "1/s", "--set", "x.duration=1m"), "no stage x; the plan has staging, canary, production"),
        (("--rate", "1/s", "--set", "canary.abortOn[4]=error_rate > 1%"), "stage canary has 2 lines in abortOn"),
        (
            ("--rate", "1/s", "--set", "canary.abortOn[0]=error_rate > 1"),
            "--set canary.abortOn[0]=error_rate > 1.stages",
        ),
        (("--rate", "1/s", "--set", "canary.speed=1"), "--set canary.speed=1.stages[1]"),
        (
            ("--rate", "1/s", "--set", "abortOn[0]=drift > 1"),
            "drift > 1: a named query has no value in synthetic traffic",
        ),
        (("--rate", "1/s", "--stage", "staging"), "no stage with traffic is called staging: the plan has canary"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_simulated_is_refused_with_the_option(
    words: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*words) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert problem in told.err


PROMETHEUS = ("--prometheus", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "Missing parameter: '--rate' or '--recording' or '--prometheus'."),
        (("--rate", "1/s", "--recording", "x"), "'--recording' cannot be given together with '--rate'."),
        (("--rate", "1/s", *PROMETHEUS), "'--prometheus' cannot be given together with '--rate'."),
        (PROMETHEUS, "--prometheus needs --from and --candidate-backend, and best --stable-backend as well."),
        ((*PROMETHEUS, "--from", "1h"), "--prometheus needs --from and --candidate-backend"),
        ((*PROMETHEUS, "--candidate-backend", "a:1"), "--prometheus needs --from and --candidate-backend"),
        (
            (*PROMETHEUS, "--candidate-backend", "a"),
            "invalid Service and port 'a': write name:port",
        ),
        (
            (*PROMETHEUS, "--stable-backend", "a:b"),
            "invalid Service and port 'a:b': write",
        ),
        (("--rate", "1/s", "--candidate-backend", ":1"), "invalid Service and port ':1'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_has_status_2(words: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(*words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert problem in told.err


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--rate", "0/s", "invalid rate '0/s': write 10/s, 300/m or 5000/h"),
        ("--rate", "10", "invalid rate '10'"),
        ("--errors", "101%", "invalid share '101%': write a percentage from 0% to 100%"),
        ("--errors", "0.5", "invalid share '0.5'"),
        ("--p95", "0s", "it must be longer than 0s"),
        ("--p95", "fast", "invalid duration 'fast'"),
        ("--runs", "0", "write a whole number from 1 to 100,000"),
        ("--bursts", "1001", "write a whole number from 1 to 1,000"),
    ],
)
def test_an_amount_that_is_malformed_is_wrong_usage(
    option: str, value: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(option, value) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["{}"], "line 1: Object missing required field `kind`"),
        (["[]"], "is empty: a recording begins with a line with kind SerinusRecording"),
        (["not JSON"], "line 1: JSON is malformed"),
        ([None], "has no ticks after its first line"),
        ([None, {"at": AT}], "line 2: Object missing required field `figures`"),
        ([None, a_tick("errors", requests=1)], "there are no figures for"),
        ([None, a_tick("a b", requests=1)], "'a b' is no question"),
        ([None, a_tick("error_rate")], "give one of requests"),
        ([None, a_tick("error_rate", requests=-1)], ">= 0"),
        ([None, {"at": AT, "figures": {}}, {"at": AT, "figures": {}}], "line 3: at: the ticks must be in order"),
        ([{"scrapeInterval": "soon"}, {"at": AT, "figures": {}}], "line 1: scrapeInterval: invalid duration"),
    ],
)
def test_what_is_no_recording_is_refused_naming_line_and_field(
    lines: list[Any], problem: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    header = {
        "kind": "SerinusRecording",
        "model": "m",
        "version": "1",
        "began": "2026-11-29T14:00:00Z",
        "scrapeInterval": "15s",
    }
    texts = [
        one if isinstance(one, str) else json.dumps(header | (one or {}) if number == 0 else one)
        for number, one in enumerate(lines)
    ]
    file = tmp_path / "r.jsonl"
    file.write_text("\n".join(texts), encoding="utf-8")

    assert simulate("--recording", str(file)) == 1
    assert problem in capsys.readouterr().err


def test_a_rollout_is_chosen_by_name_among_several(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = yaml.safe_load(Path(QUICKSTART).read_text(encoding="utf-8"))
    other = document | {"metadata": {"name": "other"}}
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump_all([document, other]), encoding="utf-8")

    assert simulate("--rate", "1/s", file=str(file)) == 1
    assert "these Rollouts: fraud-detector, other. Name one of them with --rollout" in capsys.readouterr().err
    assert simulate(*SHORT, "--rollout", "other", "-o", "json", file=str(file)) == 0
    assert json.loads(capsys.readouterr().out)["rollout"] == "other"


def test_the_command_line_is_read_without_the_engines_numerics() -> None:
    assert not {"numpy", "produce"} & set(vars(command))


@pytest.mark.parametrize("line", ["ttft_p95 > 1s", "abort_rate > 1%", "tokens_per_second < 20"])
def test_what_only_a_model_server_tells_is_not_made_up(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = rollout({"spec.metrics": {"preset": "vllm"}, "spec.stages[1].abortOn": [line]})
    file = tmp_path / "rollout.yaml"
    file.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert simulate("--rate", "1/s", file=str(file)) == 1
    assert f"{line}: what a model server tells has no value in synthetic traffic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "given", "asked"), [("demo", (), "demo"), ("demo", ("-n", "ml"), "ml"), ("", (), "default")]
)
def test_the_backends_are_in_the_namespace_of_the_manifest(
    written: str, given: tuple[str, ...], asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[Place] = []

    async def read(place: Place, *_: object) -> Recording:
        places.append(place)
        raise ConfigurationError("enough")

    monkeypatch.setattr("serinus.cli.simulate.produce.read_prometheus", read)
    file = Path(a_rollout(tmp_path, {"name": "all", "traffic": "100%", "abortOn": ["error_rate > 1%"]}))
    if written:
        file.write_text(file.read_text().replace("metadata:", f"metadata:\n  namespace: {written}", 1))
    words = ("--prometheus", "http://127.0.0.1:9", "--from", "1h", "--candidate-backend", "a:1", *given)
    assert main(["simulate", "-f", str(file), *words]) == 1
    assert [place.namespace for place in places] == [asked]

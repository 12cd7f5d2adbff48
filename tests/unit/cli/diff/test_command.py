"""``serinus diff``: the lookup of versions, the output, and the exit statuses that pipelines rely on."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.cli import main

_EXAMPLES: Final = str(Path(__file__).resolve().parents[4] / "examples" / "schema")
_KUBECTL: Final = """#!/bin/sh
printf '%s\\n' "$@" > "$0.asked"
cat "$0.answer"
echo "{words}" >&2
exit {status}
"""


def serinus(*words: str) -> int:
    return main(["diff", *words])


def a_version(version: str, *, model: str = "fraud", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{model}-v{version}"},
        "spec": {"model": model, "version": version, **spec},
    }


def a_signature(*inputs: dict[str, Any]) -> dict[str, Any]:
    return {"profile": "columnar", "inputs": list(inputs), "outputs": [{"name": "score", "dtype": "float32"}]}


AMOUNT: Final = {"name": "amount", "dtype": "float64"}


def a_file(folder: Path, name: str, *documents: dict[str, Any]) -> str:
    file = folder / name
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return str(file)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_a_large_enough_version_step_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert serinus("v2.2.4", "v2.3.0", "-f", _EXAMPLES) == 0
    told = capsys.readouterr().out
    assert told.startswith("fraud-detector 2.2.4 -> 2.3.0\n")
    assert "Declared: minor. Required: minor." in told
    assert "Accepted (Compatible): 2.3.0 is a minor step from 2.2.4, and minor is enough." in told


def test_a_version_step_that_is_too_small_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert serinus("2.3.0", "2.4.0", "-f", _EXAMPLES) == 1
    told = capsys.readouterr().out
    assert "Declared: minor. Required: major." in told
    assert "Number it 3.0.0 or higher" in " ".join(told.split())


def test_a_chat_models_versions_are_judged_by_the_policy_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(Path(_EXAMPLES).parent / "chat")
    assert serinus("1.0.0", "1.1.0", "-f", folder) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Required: minor" in told
    assert "Metrics (WithinTolerance)" in told
    assert "lineage.hyperparameters.rank" in told.replace(" ", "")


def test_a_build_after_a_release_is_compared_with_it_and_its_number_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = a_file(tmp_path, "1.2.3.yaml", a_version("1.2.3", signature=a_signature(AMOUNT)))
    new = a_file(tmp_path, "next.yaml", a_version("1.2.3-4-gabcdef0", signature=a_signature()))
    assert serinus(old, new) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "1.2.3-4-gabcdef0 would take over the clients of 1.2.3" in told
    assert "By SemVer 1.2.3-4-gabcdef0 comes before 1.2.3" in told


def test_the_policy_of_a_file_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = a_file(tmp_path, "old.yaml", a_version("1.0.0", signature=a_signature(AMOUNT)))
    new = a_file(tmp_path, "new.yaml", a_version("1.1.0", signature=a_signature()))
    spec = {"versioning": {"enforcement": "Warn"}}
    model = {"apiVersion": "serinus.dev/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}, "spec": spec}
    policy = a_file(tmp_path, "model.yaml", model)
    assert serinus(old, new) == 1
    assert serinus(old, new, "--policy", policy) == 0
    assert "The Model's policy is Warn." in " ".join(capsys.readouterr().out.split())
    assert serinus(old, new, "--policy", old) == 2


def test_json_has_the_verdict_and_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert serinus("2.3.0", "2.4.0", "-f", _EXAMPLES, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["model"], answer["old"], answer["new"]) == ("fraud-detector", "2.3.0", "2.4.0")
    assert (answer["accepted"], answer["reason"], answer["wayBack"]) == (False, "BumpTooSmall", "Unsafe")
    assert (answer["declared"], answer["required"]) == ("minor", "major")
    assert answer["changes"][0]["rule"] == "I16"
    assert {type(one["rollbackSafe"]) for one in answer["changes"]} == {bool}


def test_changes_that_no_client_notices_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = a_file(tmp_path, "old.yaml", a_version("1.0.0", signature=a_signature(AMOUNT)))
    new = a_file(tmp_path, "new.yaml", a_version("1.0.1", signature=a_signature({**AMOUNT, "dtype": "double"})))
    assert serinus(old, new) == 0
    told = capsys.readouterr().out
    assert "Nothing that matters to a client has changed." in told
    assert "WHERE" not in told
    assert "Rollback: safe, clients of 1.0.1 can go back to 1.0.0." in told


def test_without_signatures_the_changes_are_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_file(tmp_path, "both.yaml", a_version("1.0.0"), a_version("1.1.0", signature=a_signature(AMOUNT)))
    assert serinus("1.0.0", "1.1.0", "-f", file) == 0
    told = capsys.readouterr().out
    assert "1.0.0 states no signature, so nobody can say what 1.1.0 changes." in told
    assert "Nothing that matters" not in told


@pytest.mark.parametrize("columns", [60, 80, 100, 120])
def test_twenty_changes_with_long_paths_fit_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [f"aggregated_transaction_features.window_{number}.merchant_category_code" for number in range(19)]
    before = [{"name": name, "dtype": "int32"} for name in [*names, "x" * 200]]
    old = a_file(tmp_path, "old.yaml", a_version("1.0.0", signature=a_signature(*before)))
    after = [{**one, "dtype": "string"} for one in before]
    new = a_file(tmp_path, "new.yaml", a_version("1.1.0", signature=a_signature(*after)))
    assert serinus(old, new) == 1
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns
    assert told.count("I8") == 21  # once in the verdict
    whole = "".join(line.split(" ")[0] for line in told.splitlines())
    assert f"inputs.{names[7]}.dtype" in whole
    assert f"inputs.{'x' * 200}.dtype" in whole


def test_a_field_name_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spiteful = {"name": "amount\x1b[2J", "dtype": "float64"}
    old = a_file(tmp_path, "old.yaml", a_version("1.0.0", signature=a_signature(spiteful)))
    new = a_file(tmp_path, "new.yaml", a_version("1.1.0", signature=a_signature()))
    assert serinus(old, new) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_a_folder_may_hold_other_kinds_lists_and_dates(tmp_path: Path) -> None:
    dated = a_version("1.1.0", governance={"reviewBy": "2027-01-01"}, signature=a_signature(AMOUNT))
    listed = {"apiVersion": "v1", "kind": "List", "items": [a_version("1.0.0", signature=a_signature(AMOUNT))]}
    (tmp_path / "deep").mkdir()
    a_file(tmp_path / "deep", "list.yml", {"apiVersion": "v1", "kind": "Service", "metadata": {}}, listed)
    text = yaml.safe_dump(dated).replace("'2027-01-01'", "2027-01-01")
    (tmp_path / "dated.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("{", encoding="utf-8")
    assert serinus("1.0.0", "v1.1.0", "-f", str(tmp_path)) == 0


def test_a_version_of_the_cluster_is_compared_with_an_unregistered_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {"apiVersion": "v1", "kind": "List", "items": [a_version("1.0.0", signature=a_signature(AMOUNT))]}
    asked = _a_kubectl(tmp_path, monkeypatch, json.dumps(stored))
    new = a_file(tmp_path, "new.yaml", a_version("1.1.0", signature=a_signature()))
    assert serinus("1.0.0", new, "-n", "ml", "--context", "prod") == 1
    words = asked.read_text(encoding="utf-8").splitlines()
    assert words[:3] == ["get", "modelversions.serinus.dev,models.serinus.dev", "--output=json"]
    assert words[-4:] == ["--namespace", "ml", "--context", "prod"]


def test_kubectls_own_message_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _a_kubectl(tmp_path, monkeypatch, "", status=1, words="connection refused")
    assert serinus("1.0.0", "1.1.0") == 2
    assert capsys.readouterr().err == "serinus: connection refused\n"


def test_a_missing_kubectl_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert serinus("1.0.0", "1.1.0") == 2
    assert "kubectl is not on PATH: install it, or name files with -f" in capsys.readouterr().err


def test_invalid_json_from_kubectl_is_an_error_and_not_an_empty_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _a_kubectl(tmp_path, monkeypatch, "Welcome!")
    assert serinus("1.0.0", "1.1.0") == 2
    assert "kubectl's output is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["1.0.0", "1.9.0"], "no ModelVersion 1.9.0 in"),
        (["1.1.0", "1.0.0"], "1.0.0 comes before 1.1.0: write the older version first"),
        (["1.0.0", "nothing.yaml"], "nothing.yaml is neither a version such as v2.3.0 nor a file"),
        (["2.0.0", "2.1.0"], "2.0.0 is a version of credit, fraud: choose one by --model"),
        (["3.0.0", "3.1.0"], "fraud 3.0.0 exists more than once, with different specs"),
        (["1.0.0", "5.0.0"], "fraud and credit are different models"),
    ],
)
def test_versions_that_cannot_be_compared_exit_with_2_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    documents = [a_version("1.0.0"), a_version("1.1.0"), a_version("2.0.0"), a_version("2.0.0", model="credit")]
    documents += [a_version("2.1.0"), a_version("3.0.0"), a_version("3.0.0", changes="other"), a_version("3.1.0")]
    file = a_file(tmp_path, "all.yaml", *documents, a_version("5.0.0", model="credit"))
    assert serinus(*words, "-f", file) == 2
    assert sentence in capsys.readouterr().err


def test_the_model_option_selects_one_of_several_models(tmp_path: Path) -> None:
    documents = [a_version(number, model=model) for number in ("2.0.0", "2.1.0") for model in ("fraud", "credit")]
    assert serinus("2.0.0", "2.1.0", "-f", a_file(tmp_path, "all.yaml", *documents), "--model", "credit") == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid YAML"),
        ("\xff", "is not valid YAML"),
        (yaml.safe_dump(a_version("1.0.0", signature={"profile": "cubist"})), "spec.signature"),
        (yaml.safe_dump(a_version("1.0")), "spec.version"),
        ("kind: Service", "contains 0 ModelVersions"),
        (yaml.safe_dump_all([a_version("1.0.0"), a_version("1.1.0")]), "contains 2 ModelVersions"),
    ],
)
def test_an_invalid_file_is_reported_with_its_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, sentence: str
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(content, encoding="latin-1")
    assert serinus(str(file), str(file)) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "odd.yaml" in told


def _a_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, status: int = 0, words: str = "") -> Path:
    place = folder / "bin"
    place.mkdir()
    program = place / "kubectl"
    program.write_text(_KUBECTL.format(status=status, words=words), encoding="utf-8")
    program.chmod(0o755)
    (place / "kubectl.answer").write_text(answer, encoding="utf-8")
    monkeypatch.setenv("PATH", str(place), prepend=":")
    return place / "kubectl.asked"

"""``serinus registry`` and ``serinus rollback``: changes and reads of a registry without a cluster, and refusals."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.api.audit_record import AuditEvent, RolloutReference
from serinus.cli.main import run as run_words
from support.audit.trails import MODEL, Trail, a_trail
from support.registry.memory import MemoryStore
from support.registry.place import Fault, audit_entry

FLEET = ("--registry", "dynamodb://fleet?endpoint=http://127.0.0.1:9&region=eu-central-1")
WHY = ("--reason", "complaints of merchants")


@pytest.fixture
def trail() -> Trail:
    """1.1.0 serves, 1.0.0 served well before it, 2.0.0 is only registered."""
    return a_trail([("promote", "1.0.0"), ("promote", "1.1.0")])


def serving(trail: Trail) -> str:
    return trail.head.production.version if trail.head.production is not None else ""


def manifest(version: str = "3.0.0", **changed: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"fraud-v{version}", "labels": {"team": "payments"}, **changed.pop("metadata", {})},
        "spec": {"model": "fraud", "version": version, **changed},
    }


def a_file(folder: Path, *documents: Any) -> str:
    file = folder / "versions.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


# ---- rollback ---------------------------------------------------------------------------------


def test_a_rollback_goes_to_the_last_good_version_and_says_so(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("rollback", "ml/fraud", *FLEET, *WHY) == 0
    assert serving(trail) == "1.0.0"
    told = capsys.readouterr().out
    assert "ml/fraud: rolled back from 1.1.0 to 1.0.0, record #6" in told
    assert "1.1.0 is quarantined" in told
    record = trail.records[6]
    assert (record["event"], record["version"], record["to"]) == ("RolledBack", "1.1.0", "1.0.0")
    assert record["reason"] == "complaints of merchants"
    assert record["actor"]["authentication"] == "None"
    assert record["recordedBy"]["instance"].startswith("cli@")


def test_a_rollback_goes_to_the_named_version(trail: Trail) -> None:
    assert trail.run("registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY) == 0
    assert trail.run("rollback", "ml/fraud", "--to", "v1.0.0", *FLEET, *WHY) == 0
    assert serving(trail) == "1.0.0"


def test_a_rollback_goes_to_no_version_that_has_never_served(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("rollback", "ml/fraud", "--to", "v2.0.0", *FLEET, *WHY) == 1
    told = capsys.readouterr().out
    assert (
        "2.0.0 has never been in production here, so that nothing is known of it: go back to 1.0.0, or promote it"
        in told
    )
    assert serving(trail) == "1.1.0"


def test_a_change_repeated_with_the_same_id_is_made_once(trail: Trail) -> None:
    again = ("--id", str(uuid.uuid4()))
    for _ in range(3):
        assert trail.run("rollback", "ml/fraud", *FLEET, *WHY, *again) == 0
    assert trail.head.audit.sequence == 6
    assert trail.records[6]["id"] == again[1]


def test_an_ambiguous_change_says_how_to_retry_it(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    class Unsure(Trail):
        def open(self) -> MemoryStore:
            return MemoryStore(self.data, faults=[None, None, None, *[Fault.TIMED_OUT_BEFORE] * 4000])

    assert Unsure(trail.data).run("registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY) == 1
    told = capsys.readouterr().out
    assert "Try again with --id" in told
    again = told.split("--id ")[1].split(":")[0]
    assert trail.run("registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY, "--id", again) == 0
    assert serving(trail) == "2.0.0"


@pytest.mark.parametrize("words", [["rollback", "ml/fraud"], ["registry", "promote", "ml/fraud", "2.0.0"]])
def test_without_a_reason_nothing_is_done(trail: Trail, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for why in ([], ["--reason", "bad"], ["--reason", "  short     "]):
        assert trail.run(*words, *FLEET, *why) == 2
        assert "in at least 10 characters" in capsys.readouterr().out
    assert trail.head.audit.sequence == 5


@pytest.mark.parametrize("words", [["rollback", "ml/fraud"], ["registry", "promote", "ml/fraud", "2.0.0"]])
def test_a_model_managed_by_a_rollout_is_changed_only_by_force(
    trail: Trail, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    started = audit_entry(AuditEvent.ROLLOUT_STARTED, version="2.0.0", rollout=RolloutReference(name="ml/fraud"))
    asyncio.run(trail.registry.record(MODEL, started))
    assert trail.run(*words, *FLEET, *WHY) == 1
    assert "the Rollout ml/fraud moves the traffic" in capsys.readouterr().out
    assert serving(trail) == "1.1.0"
    assert trail.run(*words, *FLEET, *WHY, "--force") == 0
    assert serving(trail) != "1.1.0"
    details = trail.records[7]["details"]
    assert (details["forced"], details["managedBy"]) == ("true", "ml/fraud")


def test_a_change_with_an_outdated_generation_is_refused(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("rollback", "ml/fraud", *FLEET, *WHY, "--generation", "1") == 1
    assert "generation 2, not 1" in capsys.readouterr().out
    assert trail.run("rollback", "ml/fraud", *FLEET, *WHY, "--generation", "2") == 0


KUBECTL = """#!/bin/sh
printf '%s\\n' "$@" > "$0.asked"
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "kubectl.asked"


def test_in_a_cluster_a_rollback_annotates_the_rollout(trail: Trail, kubectl: Path) -> None:
    """The exact annotations are tested in test_main.py."""
    assert trail.run("rollback", "fraud", "-n", "ml", "--context", "prod", "--reason", "complaints", "--no-wait") == 0
    words = kubectl.read_text().splitlines()
    assert words[:3] == ["annotate", "rollouts.serinus.dev", "fraud"]
    assert any(word.startswith("serinus.dev/rollback=complaints (") for word in words)
    assert trail.head.audit.sequence == 5


@pytest.mark.parametrize("words", [["--force"], ["--generation", "3"], ["--id", str(uuid.UUID(int=1))]])
def test_in_a_cluster_options_for_a_registry_are_refused(
    trail: Trail, kubectl: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("rollback", "fraud", *WHY, *words) == 2
    assert "for a registry without a cluster" in capsys.readouterr().out
    assert not kubectl.exists()


# ---- promote and release ----------------------------------------------------------------------


def test_promote_makes_a_registered_version_the_production_version(trail: Trail) -> None:
    assert trail.run("registry", "promote", "ml/fraud", "v2.0.0", *FLEET, *WHY) == 0
    assert serving(trail) == "2.0.0"
    assert trail.records[6]["digest"] == trail.data[MODEL].versions["2.0.0"].digest


def test_promoting_an_unregistered_version_is_refused(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("registry", "promote", "ml/fraud", "2.0.1", *FLEET, *WHY) == 1
    assert "fraud 2.0.1 is not registered" in capsys.readouterr().out
    assert serving(trail) == "1.1.0"


def test_a_version_that_was_rolled_back_serves_again_only_after_its_release(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    trail.run("rollback", "ml/fraud", *FLEET, *WHY)
    assert trail.run("registry", "promote", "ml/fraud", "1.1.0", *FLEET, *WHY) == 1
    assert "was rolled back" in capsys.readouterr().out
    assert trail.run("registry", "release", "ml/fraud", "1.1.0", *FLEET, *WHY) == 0
    assert trail.run("registry", "release", "ml/fraud", "1.1.0", *FLEET, *WHY) == 1
    assert "is not quarantined" in capsys.readouterr().out
    assert trail.run("registry", "promote", "ml/fraud", "1.1.0", *FLEET, *WHY) == 0
    assert trail.run("audit", "verify", "ml/fraud", *FLEET) == 0


def test_a_release_repeated_with_the_same_id_is_made_once(trail: Trail) -> None:
    trail.run("rollback", "ml/fraud", *FLEET, *WHY)
    again = ("--id", str(uuid.uuid4()))
    for _ in range(2):
        assert trail.run("registry", "release", "ml/fraud", "1.1.0", *FLEET, *WHY, *again) == 0
    assert trail.head.audit.sequence == 7


def test_a_yanked_version_serves_again_only_after_the_yank_is_taken_back(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert trail.run("registry", "yank", "ml/fraud", "v2.0.0", *FLEET, "--reason", "trained on stolen data") == 0
        assert "ml/fraud: 2.0.0 never serves again, record #6" in capsys.readouterr().out
    assert trail.run("registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY) == 1
    assert "yanked: trained on stolen data" in capsys.readouterr().out
    assert trail.run("registry", "unyank", "ml/fraud", "2.0.0", *FLEET, *WHY) == 0
    assert "ml/fraud: 2.0.0 may serve again, record #7" in capsys.readouterr().out
    assert trail.run("registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY) == 0
    assert [(trail.records[number]["event"], trail.records[number]["reason"]) for number in (6, 7)] == [
        ("VersionYanked", "trained on stolen data"),
        ("VersionUnyanked", "complaints of merchants"),
    ]
    assert trail.run("audit", "verify", "ml/fraud", *FLEET) == 0


def test_a_yank_needs_a_reason_and_a_registered_version(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("yank", "unyank"):
        assert trail.run("registry", verb, "ml/fraud", "2.0.0", *FLEET) == 2
        assert "explain the change in at least 10 characters" in capsys.readouterr().out
        assert trail.run("registry", verb, "ml/fraud", "9.9.9", *FLEET, *WHY) == 1
        assert "9.9.9 is not registered" in capsys.readouterr().out


def test_in_a_cluster_a_yank_annotates_the_model_version_as_its_user(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("serinus.cli.registry.yank.run_kubectl", ran.append)
    assert trail.run("registry", "yank", "fraud", "2.0.0", "-n", "ml", *WHY) == 0
    assert trail.run("registry", "unyank", "fraud", "2.0.0", "-n", "ml", *WHY) == 0
    usual = ["annotate", "modelversions.serinus.dev", "fraud-v2.0.0", "--overwrite"]
    why = ["serinus.dev/reason=complaints of merchants", "--namespace", "ml"]
    assert ran == [
        [*usual, "serinus.dev/yanked=complaints of merchants", *why],
        [*usual, "serinus.dev/yanked-", *why],
    ]
    assert "kubectl describe mv fraud-v2.0.0 --namespace ml" in capsys.readouterr().out
    assert trail.head.audit.sequence == 5


@pytest.mark.parametrize(
    "words",
    [["promote", "fraud", "2.0.0", *WHY], ["release", "fraud", "2.0.0", *WHY], ["register", "-f", "absent.yaml"]],
)
def test_in_a_cluster_only_the_operator_writes(
    trail: Trail, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("registry", *words) == 2
    assert "apply a ModelVersion and a Rollout" in capsys.readouterr().out


# ---- register ---------------------------------------------------------------------------------


def test_a_file_of_versions_is_registered_once(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    governance = {"reviewBy": "2027-01-31"}
    file = a_file(tmp_path, manifest("3.0.0", governance=governance), manifest("3.1.0"))
    assert trail.run("registry", "register", "-f", file, "-n", "ml", *FLEET) == 0
    assert trail.run("registry", "register", "-f", file, "-n", "ml", *FLEET) == 0
    told = capsys.readouterr().out
    assert "3.1.0 is registered, record #7" in told
    assert "3.1.0 is already registered with the same spec" in told
    assert trail.head.audit.sequence == 7
    entry = trail.data[MODEL].versions["3.0.0"]
    assert entry.labels == (("team", "payments"),)
    assert entry.spec.governance is not None


def test_a_day_that_is_not_quoted_stays_text_as_with_kubectl(trail: Trail, tmp_path: Path) -> None:
    file = tmp_path / "v.yaml"
    file.write_text(yaml.safe_dump(manifest(governance={"reviewBy": "DAY"})).replace("DAY", "2027-01-31"))
    assert trail.run("registry", "register", "-f", str(file), "-n", "ml", *FLEET) == 0


def test_a_known_version_with_another_spec_is_refused(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("registry", "register", "-f", a_file(tmp_path, manifest("1.0.0")), "-n", "ml", *FLEET) == 1
    assert "A version never changes" in capsys.readouterr().out


def field(name: str, dtype: str = "float64") -> dict[str, Any]:
    return {"name": name, "dtype": dtype}


def signed(version: str, *inputs: str, **more: Any) -> dict[str, Any]:
    signature = {"profile": "columnar", "inputs": [field(name) for name in inputs], "outputs": [field("score")]}
    return manifest(version, signature=signature, **more)


def test_a_version_step_too_small_for_its_schema_is_refused_unless_waived(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("-n", "ml", *FLEET)
    assert trail.run("registry", "register", "-f", a_file(tmp_path, signed("5.0.0", "amount")), *words) == 0
    broken = signed("5.1.0", "amount", "country")
    assert trail.run("registry", "register", "-f", a_file(tmp_path, broken), *words) == 1
    told = capsys.readouterr().out
    assert "5.1.0 is not registered" in told
    assert "serinus.dev/waive-schema" in told
    assert "5.1.0" not in trail.data[MODEL].versions
    waived = signed("5.1.0", "amount", "country", metadata={"annotations": {"serinus.dev/waive-schema": "one client"}})
    assert trail.run("registry", "register", "-f", a_file(tmp_path, waived), *words) == 0
    last = trail.records[trail.head.audit.sequence]
    assert (last["event"], last["reason"]) == ("SchemaWaived", "one client")
    assert "inputs.country" in last["details"]


def test_fields_that_the_policy_requires_must_be_present(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "model.yaml"
    wanted = {"apiVersion": "serinus.dev/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}}
    policy.write_text(yaml.safe_dump({**wanted, "spec": {"require": {"digest": True}}}))
    words = ("register", "-f", a_file(tmp_path, manifest()), "-n", "ml", *FLEET, "--policy", str(policy))
    assert trail.run("registry", *words) == 1
    told = capsys.readouterr().out
    assert "spec.artifact.digest" in told
    assert "waive" not in told


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({**manifest(), "kind": "Rollout"}, "must be a ModelVersion of serinus.dev/v1alpha1"),
        ({**manifest(), "metadata": None}, "metadata is missing"),
        (manifest(metadata={"name": "fraud"}), "metadata.name: must be fraud-v3.0.0"),
        (manifest(colour="red"), "spec"),
        (manifest(metadata={"labels": {"a": 1}}), "metadata.labels: must map names to strings"),
        ([1], "must be a ModelVersion"),
    ],
)
def test_a_wrong_manifest_is_refused_by_the_name_of_its_field(
    trail: Trail, tmp_path: Path, document: Any, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("registry", "register", "-f", a_file(tmp_path, document), *FLEET) == 1
    assert problem in capsys.readouterr().out
    assert trail.head.audit.sequence == 5


@pytest.mark.parametrize("content", ["", "a: [", "---\n---\n", "!!python/object:os.system x", "a: &x [*x, *x]"])
def test_a_file_that_holds_no_version_is_refused(trail: Trail, tmp_path: Path, content: str) -> None:
    file = tmp_path / "v.yaml"
    file.write_text(content)
    assert trail.run("registry", "register", "-f", str(file), *FLEET) == 1


# ---- reading ----------------------------------------------------------------------------------


def test_models_and_versions_are_listed(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("registry", "list") == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["MODEL", "PRODUCTION", "SINCE", "RECORDS"]
    assert line.split()[:2] == ["ml/fraud", "1.1.0"]
    assert trail.run("registry", "list", "ml/fraud") == 0
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        ["ml/fraud", "2.0.0", "Registered"],
        ["ml/fraud", "1.1.0", "Production"],
        ["ml/fraud", "1.0.0", "Superseded"],
    ]


def listed(trail: Trail, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert trail.run("registry", "list", *words, "-o", "json") == 0
    return [json.loads(line)["version"] for line in capsys.readouterr().out.splitlines()]


def test_versions_are_filtered(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    digest = trail.data[MODEL].versions["1.0.0"].digest
    assert listed(trail, capsys, "ml/fraud", "--stage", "Production") == ["1.1.0"]
    assert listed(trail, capsys, "ml/fraud", "--major", "1") == ["1.1.0", "1.0.0"]
    assert listed(trail, capsys, "--digest", digest) == ["1.0.0"]
    assert listed(trail, capsys, "ml/fraud", "--label", "team=none") == []
    assert trail.run("registry", "list", "ml/fraud", "--label", "team=none") == 0
    assert capsys.readouterr().err == "No versions found.\n"
    assert Trail().run("registry", "list") == 0
    assert capsys.readouterr().err == "No models found.\n"
    assert trail.run("registry", "list", "--major", "1") == 2
    assert "name a MODEL" in capsys.readouterr().out


def test_production_prints_the_version_alone_for_scripts(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("registry", "production", "ml/fraud") == 0
    assert capsys.readouterr().out == "1.1.0\n"
    assert trail.run("registry", "production", "ml/fraud", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["generation"] == 2
    assert trail.run("registry", "production", "ml/freud") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "no version of ml/freud is in production" in told.err


def test_a_version_is_printed_as_the_manifest_that_registers_it(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("registry", "get", "ml/fraud", "v2.0.0") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["metadata"] == {"name": "fraud-v2.0.0", "namespace": "ml"}
    assert shown["status"]["stage"] == "Registered"
    fresh = Trail()
    assert fresh.run("registry", "register", "-f", a_file(tmp_path, shown), *FLEET) == 0
    assert fresh.data[MODEL].versions["2.0.0"].spec_hash == shown["status"]["specHash"]
    assert trail.run("registry", "get", "ml/fraud", "9.0.0") == 1


def test_history_is_the_audit_log(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("registry", "history", "ml/fraud", "--event", "Promoted") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


# ---- what no registry could read again ----------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"namespace": 7}, "metadata.namespace: must be a string: write '7' in quotes"),
        ({"namespace": "a/b"}, "a name and a namespace have at most 63 lower-case letters"),
        ({"namespace": "ML"}, "a name and a namespace have at most 63 lower-case letters"),
        ({"annotations": ["serinus.dev/waiver"]}, "metadata.annotations: must map names to strings"),
        ({"annotations": {"serinus.dev/waiver": True}}, "metadata.annotations: must map names to strings"),
        ({"labels": {"team": 7}}, "metadata.labels: must map names to strings"),
    ],
)
def test_metadata_that_no_registry_could_read_again_is_not_registered(
    metadata: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Trail()
    file = a_file(tmp_path, manifest(metadata=metadata))
    assert empty.run("registry", "register", "-f", file, *FLEET, *WHY) == 1
    told = capsys.readouterr().out
    assert said in told
    assert file in told
    assert not empty.data


def test_the_reason_of_a_yank_does_not_control_the_terminal(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    poison = "\x1b[2J\x1b]0;it leaks customers\x07"
    assert trail.run("registry", "yank", "ml/fraud", "2.0.0", *FLEET, "--reason", poison) == 0
    for words in (
        ["registry", "promote", "ml/fraud", "2.0.0", *FLEET, *WHY],
        ["registry", "list", "ml/fraud", *FLEET],
        ["registry", "get", "ml/fraud", "2.0.0", *FLEET],
        ["audit", "log", "ml/fraud", *FLEET],
    ):
        run_words(words, trail.context())
        said = capsys.readouterr()
        assert "it leaks customers" in said.out + said.err, words
        assert "\x1b" not in said.out + said.err, words


# ---- a training script's own JSON ----------------------------------------------------------------


def test_plain_metadata_is_registered_as_it_is(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = {
        "model_id": "fraud-v3.0.0",
        "framework": "pytorch==2.1.0",
        "training_duration": "3h 24m",
        "metrics": {"auc_roc": 0.96},
        "stage": "production",
    }
    file = tmp_path / "metadata.json"
    file.write_text(json.dumps(metadata))
    assert trail.run("registry", "register", str(file), *FLEET, "-n", "ml", *WHY) == 0
    told = "".join(capsys.readouterr())
    assert "ml/fraud: 3.0.0 is registered" in told
    assert "left out: stage (a version's stage follows from its Rollout)" in told
    entry = asyncio.run(trail.registry.get(MODEL, "3.0.0"))
    assert entry is not None
    assert [(metric.name, metric.value) for metric in entry.spec.metrics] == [("auc_roc", "0.96")]
    assert serving(trail) == "1.1.0"


def test_worse_metrics_need_a_word_which_is_recorded(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(version: str, value: str, **metadata: Any) -> str:
        return a_file(tmp_path, manifest(version, metrics=[{"name": "f1", "value": value}], metadata=metadata))

    assert trail.run("registry", "register", measured("3.0.0", "0.91"), *FLEET, "-n", "ml", *WHY) == 0
    assert trail.run("registry", "promote", "ml/fraud", "3.0.0", *FLEET, *WHY) == 0
    policy = tmp_path / "model.yaml"
    tolerance = {"name": "f1", "better": "Higher", "worseBy": "0.01"}
    spec = {"metrics": {"tolerances": [tolerance]}}
    policy.write_text(yaml.safe_dump({**manifest(), "kind": "Model", "metadata": {"name": "fraud"}, "spec": spec}))
    words = ("registry", "register", measured("3.1.0", "0.8"), "--policy", str(policy), *FLEET, "-n", "ml", *WHY)
    assert trail.run(*words) == 1
    assert "f1 is 0.8 (production: 0.91, tolerance 0.01)" in capsys.readouterr().out
    measured("3.1.0", "0.8", annotations={"serinus.dev/accept-worse-metrics": "half the latency"})
    assert trail.run(*words) == 0
    accepted = [one for one in trail.records.values() if one["event"] == "WorseMetricsAccepted"]
    assert [(one["version"], one["reason"]) for one in accepted] == [("3.1.0", "half the latency")]

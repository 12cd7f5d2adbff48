"""The locks, the licences and the bill of materials (SBOM)."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

_ROOT: Final = Path(__file__).resolve().parents[2]
_HASH: Final = f"--hash=sha256:{'ab' * 32}"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = spec_from_file_location("audit_dependencies", _ROOT / "tools" / "audit_dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_entry_of_every_lock_is_one_version_with_hashes(audit: ModuleType) -> None:
    assert {lock.name for lock in audit.LOCKS} == {lock.name for lock in _ROOT.glob("requirements*.lock")}
    assert min(len(audit.pins(_ROOT / lock)) for lock in audit.LOCKS) > 0


@pytest.mark.parametrize(
    "entry", ["six", "six>=1.17", f"six {_HASH}", "six==1.17.0", "six==1.17.0 --hash=md5:00", f"https://x/six {_HASH}"]
)
def test_an_entry_without_a_version_or_a_hash_is_refused(audit: ModuleType, tmp_path: Path, entry: str) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text(f"# a comment\nyarl==1.25.1 \\\n    {_HASH}\n{entry}\n", encoding="utf-8")
    with pytest.raises(audit.LockError, match="needs one version and its SHA-256"):
        audit.pins(lock)


def test_the_operators_dependencies_are_under_licences_of_the_list(audit: ModuleType) -> None:
    assert audit.problems_of_licences() == []


def test_a_licence_that_is_not_in_the_list_is_a_problem(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LICENCES", audit.LICENCES - {"MPL-2.0"})
    assert audit.problems_of_licences() == ["certifi is under MPL-2.0"]


def test_what_pip_says_of_a_withdrawn_version_is_a_problem(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "WARNING: The candidate selected for download or install is a yanked version: 'six' candidate (1.0)\n"
    answer = subprocess.CompletedProcess([], 0, "", told)
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: answer)
    assert audit.withdrawn() == ["yanked version: 'six' candidate (1.0)"]


def test_it_is_said_that_vulnerabilities_were_not_checked(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "withdrawn", list)
    monkeypatch.setattr(audit.shutil, "which", lambda _: None)
    assert audit.main() == 0
    assert "Known vulnerabilities NOT checked: pip-audit is not installed." in capsys.readouterr().out


def test_a_known_vulnerability_is_a_failure(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "withdrawn", list)
    monkeypatch.setattr(audit.shutil, "which", lambda _: "pip-audit")
    found = {"name": "six", "version": "1.0", "vulns": [{"id": "PYSEC-1"}]}
    unknown = {"name": "yarl", "version": "1.0", "skip_reason": "not found"}
    answer = subprocess.CompletedProcess([], 1, json.dumps({"dependencies": [found, unknown]}), "")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: answer)
    assert audit.main() == 1
    told = capsys.readouterr()
    assert told.err == "six 1.0: PYSEC-1\n"
    assert "NOT checked: the advisory database does not know yarl." in told.out


def test_the_bill_of_materials_is_the_operators_lock(audit: ModuleType, tmp_path: Path) -> None:
    output = tmp_path / "sbom.json"
    program = Path(sys.executable).with_name("cyclonedx-py")
    options = ["requirements", "requirements-run.lock", "--pyproject", "pyproject.toml", "--output-reproducible"]
    subprocess.run([program, *options, "--output-file", output], cwd=_ROOT, check=True, capture_output=True)
    bill = json.loads(output.read_text(encoding="utf-8"))
    assert bill["metadata"]["component"]["name"] == "serinus"
    listed = {(one["name"].lower(), one["version"]) for one in bill["components"]}
    assert listed == {(pin.name, pin.version) for pin in audit.pins(_ROOT / audit.RUN_LOCK)}
    assert [
        one["name"]
        for one in bill["components"]
        if not any(part.get("hashes") for part in one.get("externalReferences", ()))
    ] == []

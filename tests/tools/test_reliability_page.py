"""The page of docs/reliability.md says what a result says."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RESULT = {"API 503": {"cases": 1234, "failures": 1}, "killed after a write": {"cases": 300, "failures": 0}}
DETAILS = {
    "points": 1534,
    "possible": 17000,
    "runs": 420,
    "seed": 7,
    "seconds": 1800,
    "stories": {"promote": 800, "breach": 733},
    "unreached": 12,
    "seconds_to_safety": {"cases": 200, "p50": 0.5, "p99": 2.5, "p100": 4.0},
    "failed": {"promote/API 503/PATCH httproutes/3": ["rollout.phase: 'Progressing' instead of 'Healthy'"]},
}

SOAK = {
    "seed": 3,
    "rollouts": 200,
    "simulated_hours": 168.0,
    "seconds": 2400,
    "versions_tried": 4321,
    "runs": 4000,
    "promotions": 2000,
    "rollbacks": 1900,
    "good_versions_judged": 1800,
    "false_aborts": 2,
    "faults": {"operator killed": 33, "clock set": 0},
    "failed_calls": {"409": 70},
    "wrong_outcomes": ["5.688 h m002 trail in order: a record is missing"],
    "memory_kib_per_day": {"slope": 12.0, "low": -3.5, "high": 27.5, "samples": 80, "resident_mib": 210.4},
    "queues": {"rollouts": {"median": 0, "most": 4, "last": 0}},
}


def test_the_page_has_every_class_the_seed_and_each_failure(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    (tmp_path / "details.json").write_text(json.dumps(DETAILS))

    page = subprocess.run(
        [sys.executable, ROOT / "tools/generate_reliability.py", tmp_path], capture_output=True, check=True, text=True
    ).stdout

    assert "| API 503 | 1,234 | 1 |" in page
    assert "| killed after a write | 300 | 0 |" in page
    assert "| `make test-faults` | 7 | 1,534 of 17,000 possible | 420 | 30 min |" in page
    assert "p50 0.5 s, p99 2.5 s, longest 4.0 s" in page
    assert "partial" not in page
    assert "- `promote/API 503/PATCH httproutes/3`: rollout.phase: 'Progressing' instead of 'Healthy'" in page
    assert "A simulated week" not in page


def test_the_page_has_the_soak_where_there_is_one(tmp_path: Path) -> None:
    for folder in (".faults", ".soak"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".faults" / "result.json").write_text(json.dumps(RESULT))
    (tmp_path / ".faults" / "details.json").write_text(json.dumps(DETAILS))
    (tmp_path / ".soak" / "result.json").write_text(json.dumps(SOAK))

    page = subprocess.run(
        [sys.executable, ROOT / "tools/generate_reliability.py", tmp_path / ".faults"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout

    assert "| API 503 | 1,234 | 1 |" in page
    assert "| `make soak` | 3 | 4,321 | 4,000 | 2,000 | 1,900 | 2 of 1,800 | 1 | 40 min |" in page
    assert "| operator killed | 33 |" in page
    assert "| clock set |" not in page
    assert "210 MiB at\nthe end, +12 KiB a simulated day (95 % interval -4 to +28, 80 samples)" in page
    assert "| rollouts | 0 | 4 | 0 |" in page
    assert "- 5.688 h m002 trail in order: a record is missing" in page

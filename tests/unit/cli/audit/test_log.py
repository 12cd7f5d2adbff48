"""``serinus audit log``, ``export``, ``prune`` and ``keygen``: their output and the files that they write."""

import asyncio
import csv
import json
import stat
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from serinus.api.audit_record import Actor, ActorKind, AuditEvent, Authentication, OnBehalfOf, RolloutReference
from serinus.api.model import ModelSpec
from serinus.api.names import ObjectKey
from serinus.audit.signing_keys import fingerprint, load_private_key, load_public_keys
from serinus.errors import RefusedError
from support.audit.trails import MODEL, Trail, a_trail
from support.registry.memory import MemoryStore
from support.registry.place import START, audit_entry

NOBODY = Actor(name="bob", kind=ActorKind.UNKNOWN, authentication=Authentication.NONE)
CONTROLLER = Actor(
    name="system:serviceaccount:argocd:argocd-application-controller",
    kind=ActorKind.SERVICE_ACCOUNT,
    authentication=Authentication.ADMISSION,
)


@pytest.fixture
def trail() -> Trail:
    """Six records, then four of which each has something that others have not."""
    found = a_trail()
    odd = [
        audit_entry(AuditEvent.PAUSED, version="1.1.0", actor=NOBODY, reason="\x1b[31mred\nand a second line"),
        audit_entry(
            AuditEvent.ROLLOUT_STARTED,
            version="2.0.0",
            traffic="0%",
            actor=CONTROLLER,
            rollout=RolloutReference(name="fraud", run=12, stage="staging"),
            on_behalf_of=OnBehalfOf(name="ada@example.org", commit="0a1b2c3"),
        ),
        audit_entry(AuditEvent.POLICY_CHANGED, at=START + timedelta(days=2), reason='=HYPERLINK("http://evil")'),
        audit_entry(
            AuditEvent.COMMAND_IGNORED,
            reason="",
            message="There is nothing to resume.",
            actor=Actor(name="unverified", kind=ActorKind.UNKNOWN, authentication=Authentication.NONE),
        ),
    ]
    for one in odd:
        asyncio.run(found.registry.record(MODEL, one))
    return found


def log(trail: Trail, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert trail.run("audit", "log", str(MODEL), *words) == 0
    return capsys.readouterr().out.splitlines()


# ---- log --------------------------------------------------------------------------------------


def test_each_record_is_one_line_the_newest_last(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    heading, *lines = log(trail, capsys)
    assert heading.split() == ["TIME", "(UTC)", "#", "EVENT", "VERSION", "ACTOR", "REASON"]
    assert [int(line.split()[2]) for line in lines] == list(range(1, 11))
    assert lines[5].split()[3:6] == ["RolledBack", "1.1.0", "→"]
    assert lines[9].endswith("There is nothing to resume.")


def test_an_unverified_name_is_marked_and_a_long_name_keeps_its_end(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = log(trail, capsys)
    assert "  unverified: bob  " in lines[7]
    assert "  …-application-controller  " in lines[8]
    assert "  unverified  " in lines[10]
    assert "alice@example.com" in lines[1]
    assert "unverified" not in lines[1]


def test_a_record_cannot_control_the_terminal(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    line = log(trail, capsys)[7]
    assert line.endswith(r"\x1b[31mred\nand a second line")


def test_the_wide_form_shortens_nothing_and_shows_run_hash_and_author(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    line = log(trail, capsys, "-o", "wide")[8]
    assert CONTROLLER.name in line
    assert " 12/staging " in line
    assert " ada@example.org " in line
    assert trail.records[8]["hash"][:19] in line


def test_json_is_the_records_as_they_are_stored_one_a_line(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert [json.loads(line) for line in log(trail, capsys, "-o", "json")] == [
        trail.records[number] for number in sorted(trail.records)
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--event", "RolledBack"], [6]),
        (["--event", "RolledBack", "--event", "Paused"], [6, 7]),
        (["--version", "v1.1.0"], [2, 5, 6, 7]),
        (["--version", "1.0.0"], [1, 4, 6]),
        (["--actor", "bob"], [7]),
        (["--actor", "unverified"], [10]),
        (["--since", "2026-11-02"], [9]),
        (["--until", "2026-11-02T00:00+00:00", "--event", "PolicyChanged"], []),
        (["--since", "1h", "--event", "PolicyChanged"], [9]),
        (["--since", "2026-11-01T13:00+01:00", "--until", "2026-11-01T12:00:00.001Z", "--version", "2.0.0"], [3, 8]),
    ],
)
def test_filters_select_records(
    trail: Trail, capsys: pytest.CaptureFixture[str], words: list[str], numbers: list[int]
) -> None:
    assert [json.loads(line)["sequence"] for line in log(trail, capsys, "-o", "json", *words)] == numbers


def test_a_record_whose_time_cannot_be_read_is_not_hidden_by_a_filter_of_time(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    trail.records[2]["at"] = "long ago"
    trail.records[3] = {"sequence": 3, "actor": "nobody", "at": 7}
    shown = log(trail, capsys, "--since", "2027-01-01", "-o", "json")
    assert [json.loads(line)["sequence"] for line in shown] == [2, 3]
    assert len(log(trail, capsys)) == 11


@pytest.mark.parametrize(
    "words", [["--since", "yesterday"], ["--event", "Exploded"], ["-o", "xml"], ["--since", "2026-13-01"]]
)
def test_invalid_filters_are_wrong_usage(trail: Trail, words: list[str]) -> None:
    assert trail.run("audit", "log", "ml/fraud", *words) == 2


def test_an_empty_log_is_explained_on_stderr(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    assert trail.run("audit", "log", "ml/freud") == 0
    assert trail.run("audit", "log", "ml/fraud", "--actor", "eve") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "There is no record of freud in namespace ml" in told.err
    assert "No record of fraud in namespace ml matches the filters (10 in total)." in told.err


# ---- export -----------------------------------------------------------------------------------


def test_an_export_is_the_records_in_canonical_json_and_a_manifest_that_says_so(trail: Trail, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    assert trail.run("audit", "export", "ml/fraud", "-o", str(file)) == 0
    lines = file.read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [trail.records[number] for number in sorted(trail.records)]
    assert all(b'": ' not in line.replace(b'\\"', b"") for line in lines)
    manifest = json.loads((tmp_path / "trail.jsonl.manifest.json").read_text())
    assert manifest["sha256"] == f"sha256:{sha256(file.read_bytes()).hexdigest()}"
    assert (manifest["records"], manifest["firstSequence"], manifest["lastSequence"]) == (10, 1, 10)
    assert (manifest["firstHash"], manifest["lastHash"]) == (trail.records[1]["hash"], trail.records[10]["hash"])
    assert (manifest["file"], manifest["namespace"], manifest["model"]) == ("trail.jsonl", "ml", "fraud")
    assert manifest["bytes"] == file.stat().st_size
    assert list(tmp_path.glob("*.part")) == []


def test_the_same_records_make_the_same_file(trail: Trail, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert trail.run("audit", "export", "ml/fraud", "-o", str(tmp_path / name)) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_spreadsheet_gets_flat_columns_and_no_formula(trail: Trail, tmp_path: Path) -> None:
    file = tmp_path / "trail.csv"
    trail_formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "\uff201"]
    for text in trail_formulas:
        asyncio.run(trail.registry.record(MODEL, audit_entry(reason=text, details={"a": text})))
    assert trail.run("audit", "export", "ml/fraud", "--format", "csv", "-o", str(file)) == 0
    with file.open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 18
    assert rows[8]["reason"] == '\'=HYPERLINK("http://evil")'
    assert [row["reason"] for row in rows[10:]] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        r"\t=1",
        r"\r=1",
        "'\uff1d1",
        "'\uff201",
    ]
    assert rows[7]["onBehalfOf.name"] == "ada@example.org"
    assert rows[7]["rollout.run"] == "12"
    assert json.loads(rows[10]["details"]) == {"a": "=1+1"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_model_without_records_is_not_exported(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("audit", "export", "ml/freud", "-o", str(tmp_path / "x")) == 1
    assert "there is no record of ml/freud" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_reported_with_a_remedy(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trail.run("audit", "export", "ml/fraud", "-o", str(tmp_path / "absent" / "x")) == 1
    assert "cannot be written: No such file or directory; name another with -o" in capsys.readouterr().out


# ---- prune ------------------------------------------------------------------------------------


@pytest.fixture
def old(trail: Trail) -> Trail:
    trail.policy = ModelSpec(retention_days=30)
    trail.clock.at += timedelta(days=60)
    return trail


def test_without_a_retention_nothing_is_pruned_and_it_says_so(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trail.clock.at += timedelta(days=9999)
    for policy in (None, ModelSpec()):
        trail.policy = policy
        assert trail.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path), "--yes") == 0
        assert "has no spec.retentionDays: its records are kept for ever" in capsys.readouterr().out
    assert len(trail.records) == 10


def test_without_yes_the_removal_is_only_printed(
    old: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path / "kept")) == 0
    told = capsys.readouterr().out
    kept = (tmp_path / "kept").as_uri()
    assert f"10 records, #1 to #10, recorded until 2026-11-01, would go to {kept}\n" in told
    assert "do it with --yes" in told
    assert len(old.records) == 10
    assert not (tmp_path / "kept").exists()


def test_what_is_pruned_verifies_with_the_archive_from_the_first_record(
    old: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path), "--yes") == 0
    assert sorted(old.records) == [11]
    assert old.records[11]["reason"] == "Older than the 30 days of spec.retentionDays."
    capsys.readouterr()
    assert old.run("audit", "verify", "ml/fraud") == 0
    told = capsys.readouterr()
    assert told.out.startswith("ok: 1 record, head #11 sha256:")
    assert "give --archive" in told.err
    assert old.run("audit", "verify", "ml/fraud", "--archive", str(tmp_path)) == 0
    assert capsys.readouterr().out.startswith("ok: 11 records (10 of them archived), head #11")


def test_the_default_archive_is_that_of_the_last_removal(
    old: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old.run("audit", "prune", "ml/fraud", "--yes") == 1
    assert "--archive: name a folder or s3://" in capsys.readouterr().out
    assert old.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path), "--yes") == 0
    old.clock.at += timedelta(days=60)
    assert old.run("audit", "prune", "ml/fraud", "--yes") == 0
    assert sorted(old.records) == [12]


def test_a_trail_that_does_not_verify_is_not_pruned(old: Trail, tmp_path: Path) -> None:
    old.records[4]["reason"] = "nothing happened"
    assert old.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path), "--yes") == 1
    assert len(old.records) == 10
    assert list(tmp_path.iterdir()) == []


def test_a_role_that_may_not_remove_leaves_that_to_one_that_may(
    old: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with deploy/aws: the operator's role appends, the retention's role removes, and neither does both."""

    class Appender(MemoryStore):
        async def remove_records(self, model: ObjectKey, through: int) -> int:
            raise RefusedError(f"{model}: this role may not delete the records up to {through}")

    class Operator(Trail):
        def open(self) -> MemoryStore:
            return Appender(self.data)

    operator = Operator(old.data, old.clock, old.policy)
    assert operator.run("audit", "prune", "ml/fraud", "--archive", str(tmp_path), "--yes") == 1
    told = capsys.readouterr().out
    assert "ml/fraud: this role may not delete the records up to 10" in told
    assert "serinus audit prune ml/fraud --finish" in told
    assert len(old.records) == 11
    assert old.run("audit", "verify", "ml/fraud") == 0
    assert old.run("audit", "prune", "ml/fraud", "--finish") == 0
    assert sorted(old.records) == [11]


def test_before_limits_the_removal_but_never_extends_it(old: Trail, tmp_path: Path) -> None:
    assert old.run("audit", "prune", "ml/fraud", "--before", "2026-10-01", "--archive", str(tmp_path), "--yes") == 0
    assert len(old.records) == 10
    asyncio.run(old.registry.record(MODEL, audit_entry()))
    assert old.run("audit", "prune", "ml/fraud", "--before", "2099-01-01", "--archive", str(tmp_path), "--yes") == 0
    assert sorted(old.records) == [11, 12]


def test_without_a_cluster_the_policy_is_a_manifest(
    old: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "model.yaml"
    policy.write_text(
        "apiVersion: serinus.dev/v1alpha1\nkind: Model\nmetadata: {name: fraud}\nspec: {retentionDays: 90}\n"
    )
    fleet = ["--registry", "dynamodb://fleet", "--archive", str(tmp_path / "kept"), "--yes"]
    assert old.run("audit", "prune", "ml/fraud", *fleet) == 0
    assert "has no spec.retentionDays" in capsys.readouterr().out
    assert old.run("audit", "prune", "ml/fraud", *fleet, "--policy", str(policy)) == 0
    assert "which is too new" in capsys.readouterr().out
    old.clock.at += timedelta(days=60)
    assert old.run("audit", "prune", "ml/fraud", *fleet, "--policy", str(policy)) == 0
    assert sorted(old.records) == [11]
    assert old.run("audit", "prune", "ml/fraud", "--policy", str(policy)) == 2
    assert "--policy is for a registry without a cluster" in capsys.readouterr().out


# ---- keygen -----------------------------------------------------------------------------------


def test_a_private_key_is_readable_by_its_owner_only_and_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.pem"
    assert Trail().run("audit", "keygen", "-o", str(file)) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = load_private_key(file).public_key()
    assert list(load_public_keys([tmp_path / "key.pub.pem"])) == [fingerprint(public)]
    assert fingerprint(public) in capsys.readouterr().out
    before = file.read_bytes()
    assert Trail().run("audit", "keygen", "-o", str(file)) == 1
    assert file.read_bytes() == before


def test_a_private_key_given_for_a_public_one_is_refused_before_anything_is_asked(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.pem"
    trail.run("audit", "keygen", "-o", str(file))
    place = "s3://bucket/audit?region=eu-central-1&endpoint=http://127.0.0.1:9"
    assert trail.run("audit", "verify", "ml/fraud", "--checkpoints", place, "--public-key", str(file)) == 2
    assert "public key in PEM: use the .pub.pem that keygen wrote" in capsys.readouterr().err

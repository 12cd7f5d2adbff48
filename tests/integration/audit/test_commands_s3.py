"""The audit commands on a real S3 server: keys, checkpoints, forgery, retention into a bucket."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from serinus.api.model import ModelSpec
from serinus.audit.bucket import Place
from support.audit.trails import MODEL, Trail, a_trail, rewritten
from support.registry.place import audit_entry
from support.servers.locked_bucket import a_bucket, address, client


class CheckpointCommands:
    """A bucket for checkpoints, the operator's key, and the commands that use them."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.place: Place = a_bucket(endpoint)
        self.folder = folder
        self.key = folder / "key.pem"
        assert Trail().run("audit", "keygen", "-o", str(self.key)) == 0

    @property
    def options(self) -> tuple[str, ...]:
        return ("--checkpoints", address(self.place), "--public-key", str(self.folder / "key.pub.pem"))

    def write(self, trail: Trail) -> int:
        return trail.run("audit", "checkpoint", "--checkpoints", address(self.place), "--key-file", str(self.key))

    def verify(self, trail: Trail, *words: str) -> int:
        return trail.run("audit", "verify", *(words or (str(MODEL),)), *self.options)


@pytest.fixture
def checkpoints(endpoint: str, tmp_path: Path) -> CheckpointCommands:
    return CheckpointCommands(endpoint, tmp_path)


def test_a_trail_with_checkpoints_verifies_as_it_grows(
    checkpoints: CheckpointCommands, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = a_trail()
    for _ in range(3):
        assert checkpoints.write(trail) == 0
        asyncio.run(trail.registry.record(MODEL, audit_entry()))
    capsys.readouterr()
    assert checkpoints.verify(trail) == 0
    assert capsys.readouterr().out == f"ok: 9 records, head #9 {trail.head.audit.hash}, 3 checkpoints\n"


@pytest.mark.parametrize("first", [1, 4, 6])
def test_a_chain_that_was_written_anew_with_its_head_is_found(
    checkpoints: CheckpointCommands, first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = a_trail()
    checkpoints.write(trail)
    asyncio.run(trail.registry.record(MODEL, audit_entry()))
    forged = rewritten(trail, first, reason="approved by the board")
    assert forged.run("audit", "verify", str(MODEL)) == 0
    capsys.readouterr()
    assert checkpoints.verify(forged) == 1
    told = capsys.readouterr().out
    assert "#6  CheckpointDiffers" in told
    assert "the chain was written anew after the checkpoint was made" in told


def test_a_chain_whose_end_was_cut_off_with_its_head_is_found(checkpoints: CheckpointCommands) -> None:
    trail = a_trail()
    short = trail.copy()
    asyncio.run(trail.registry.record(MODEL, audit_entry()))
    checkpoints.write(trail)
    assert short.run("audit", "verify", str(MODEL)) == 0
    assert checkpoints.verify(short) == 1


def test_a_model_that_was_removed_altogether_is_missed(
    checkpoints: CheckpointCommands, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = a_trail()
    checkpoints.write(trail)
    assert checkpoints.verify(Trail(), "--all") == 1
    assert "ml/fraud: 1 finding in 0 records" in capsys.readouterr().out


def test_a_checkpoint_that_somebody_else_wrote_is_a_finding(
    checkpoints: CheckpointCommands, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = a_trail()
    checkpoints.write(trail)
    key = checkpoints.folder / "forger.pem"
    Trail().run("audit", "keygen", "-o", str(key))
    forged = rewritten(trail, 4, reason="approved by the board")
    forged.run("audit", "checkpoint", "--checkpoints", address(checkpoints.place), "--key-file", str(key))
    assert checkpoints.verify(forged) == 1
    told = capsys.readouterr().out
    assert "CheckpointUnsigned" in told
    assert "CheckpointDiffers" in told
    assert checkpoints.verify(trail) == 1


def test_an_export_is_options_checkpoints_without_the_registry(checkpoints: CheckpointCommands) -> None:
    trail = a_trail()
    checkpoints.write(trail)
    file = checkpoints.folder / "trail.jsonl"
    for one, status in ((trail, 0), (rewritten(trail, 3, reason="other"), 1)):
        assert one.run("audit", "export", str(MODEL), "-o", str(file)) == 0
        assert Trail().run("audit", "verify", "--file", str(file)) == 0
        assert Trail().run("audit", "verify", "--file", str(file), *checkpoints.options) == status


def test_a_bucket_that_cannot_be_asked_is_no_verdict(
    checkpoints: CheckpointCommands, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ("--public-key", str(checkpoints.folder / "key.pub.pem"))
    for place in (
        "s3://bucket/x?region=eu-central-1&endpoint=http://127.0.0.1:9",
        f"{address(checkpoints.place)}x&y=1",
        "x",
    ):
        assert a_trail().run("audit", "verify", str(MODEL), "--checkpoints", place, *key) == 2
    gone = address(elsewhere(checkpoints.place, "no-such-bucket"))
    assert a_trail().run("audit", "verify", str(MODEL), "--checkpoints", gone, *key) == 2
    assert "no-such-bucket" in capsys.readouterr().err


def elsewhere(place: Place, bucket: str) -> Place:
    return Place(bucket, place.prefix, place.s3)


def test_the_operators_configuration_says_where_checkpoints_go(checkpoints: CheckpointCommands, tmp_path: Path) -> None:
    config = tmp_path / "serinus.yaml"
    place = checkpoints.place
    s3 = f"{{region: {place.s3.region}, endpoint: '{place.s3.endpoint}'}}"
    where = f"bucket: {place.bucket}, prefix: {place.prefix}, keyFile: '{checkpoints.key}'"
    config.write_text(f"audit: {{checkpoints: {{{where}, s3: {s3}}}}}\n")
    trail = a_trail()
    assert trail.run("audit", "checkpoint", "--config", str(config)) == 0
    assert checkpoints.verify(trail) == 0
    config.write_text("sources: {}\n")
    assert trail.run("audit", "checkpoint", "--config", str(config)) == 1


# ---- retention --------------------------------------------------------------------------------


@pytest.fixture
def old() -> Trail:
    found = a_trail()
    found.policy = ModelSpec(retention_days=30)
    return found


def test_only_what_was_witnessed_is_pruned_and_all_of_it_verifies_from_the_bucket(
    old: Trail, checkpoints: CheckpointCommands, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = address(a_bucket(endpoint, locked=False, prefix="archive/"))
    prune = ("audit", "prune", str(MODEL), "--archive", archive, "--yes", *checkpoints.options)
    old.clock.at += timedelta(days=60)
    assert old.run(*prune) == 0
    assert "the checkpoints have seen no record after #0" in capsys.readouterr().out
    assert checkpoints.write(old) == 0
    assert old.run(*prune) == 0
    assert sorted(old.records) == [7]
    assert checkpoints.write(old) == 0
    assert checkpoints.verify(old) == 0
    capsys.readouterr()
    assert old.run("audit", "verify", str(MODEL), "--archive", archive, *checkpoints.options) == 0
    told = capsys.readouterr().out
    assert told.startswith("ok: 7 records (6 of them archived), head #7")
    assert told.endswith("2 checkpoints\n")
    assert old.head.audit.archive == archive


def test_an_archive_in_a_bucket_that_was_tampered_with_is_found(
    old: Trail, checkpoints: CheckpointCommands, endpoint: str
) -> None:
    place = a_bucket(endpoint, locked=False, prefix="archive/")
    old.clock.at += timedelta(days=60)
    assert old.run("audit", "prune", str(MODEL), "--archive", address(place), "--yes") == 0
    s3 = client(endpoint)
    name = {"Bucket": place.bucket, "Key": "archive/ml/fraud/000000000001-000000000006.jsonl"}
    content = s3.get_object(**name)["Body"].read()
    s3.put_object(**name, Body=content.replace(b"the story wants it", b"it was an accident", 1))
    assert old.run("audit", "verify", str(MODEL)) == 0
    assert old.run("audit", "verify", str(MODEL), "--archive", address(place)) == 1


def test_a_trail_that_contradicts_a_checkpoint_is_not_pruned(
    old: Trail, checkpoints: CheckpointCommands, tmp_path: Path
) -> None:
    checkpoints.write(old)
    forged = rewritten(old, 2, reason="other")
    forged.clock.at += timedelta(days=60)
    prune = ("audit", "prune", str(MODEL), "--archive", str(tmp_path / "kept"), "--yes")
    assert forged.run(*prune, *checkpoints.options) == 1
    assert len(forged.records) == 6

"""The page against signed checkpoints on a real S3 server: a proven chain, one written anew, a forged checkpoint."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from serinus.audit.bucket import Bucket, Place
from serinus.audit.checkpoint_writer import Checkpoints
from serinus.audit.signing_keys import new_key, private_pem, public_pem
from serinus.engine.audit.head import fold
from serinus.settings import CheckpointSettings
from support.audit.history_builder import History
from support.audit.report_cli import Auditor
from support.audit.sample_histories import a_first_version
from support.servers.locked_bucket import CREDENTIALS, a_bucket, address, cloud_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with cloud_server() as url:
        yield url


@pytest.fixture
def place(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return a_bucket(endpoint)


def witnessed(history: History, place: Place, folder: Path) -> tuple[str, ...]:
    """Put a checkpoint of the history away and return the options that hold a page against it."""
    key = new_key()
    (folder / "key.pem").write_bytes(private_pem(key))
    (folder / "key.pub.pem").write_bytes(public_pem(key.public_key()))
    settings = CheckpointSettings(
        bucket=place.bucket, prefix=place.prefix, key_file=str(folder / "key.pem"), s3=place.s3
    )

    async def write() -> None:
        checkpoints = Checkpoints(settings)
        await checkpoints.write([(history.model, history.head.audit)], history.now)
        await checkpoints.close()

    asyncio.run(write())
    return ("--checkpoints", address(place), "--public-key", str(folder / "key.pub.pem"))


def page(history: History, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = Auditor((history,)).ask("fraud-detector", "-o", "-", "--format", "markdown", *options)
    return status, capsys.readouterr().out


def test_a_chain_that_a_checkpoint_has_seen_is_proven(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = a_first_version()
    status, text = page(history.register("1.1.0"), witnessed(history, place, tmp_path), capsys)
    assert status == 0
    assert "verified, 4 records, 1 of them seen by checkpoints" in text
    assert "no checkpoint" not in text


def test_a_chain_that_was_written_anew_with_its_head_is_said_in_the_first_line(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = witnessed(a_first_version(), place, tmp_path)
    forged = History().register("1.0.0").adopt("1.0.0").register("1.0.1").wait(days=30)
    assert forged.head == fold(forged.records)
    status, text = page(forged, options, capsys)
    assert status == 1
    assert text.startswith("> **THE AUDIT CHAIN DOES NOT VERIFY: 1 finding.**")
    assert "CheckpointDiffers" in text


def test_a_checkpoint_that_nobody_trusted_has_signed_anchors_nothing_and_is_said(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = a_first_version()
    options = witnessed(history, place, tmp_path)

    async def forge() -> None:
        bucket = Bucket(place)
        await bucket.put_new("20260401T000000.000Z-forged.json", b"{}")
        await bucket.close()

    asyncio.run(forge())
    status, text = page(history, options, capsys)
    assert status == 1
    assert "First: CheckpointUnsigned" in text
    assert "missing or unreadable" not in text

"""Checkpoints and archives without a server: keys, addresses, folders. The rest is in tests/integration."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from serinus.api.names import ObjectKey
from serinus.audit.archive import BucketArchive, FolderArchive, open_archive
from serinus.audit.bucket import parse_place
from serinus.audit.checkpoint_writer import place_of
from serinus.audit.export import archive_folder
from serinus.audit.signing_keys import (
    fingerprint,
    load_private_key,
    load_public_keys,
    new_key,
    private_pem,
    public_pem,
)
from serinus.errors import ConfigurationError, ConflictError, NotFoundError
from serinus.settings import CheckpointSettings

# ---- keys -------------------------------------------------------------------------------------


def test_a_key_survives_a_round_trip(tmp_path: Path) -> None:
    key = new_key()
    (tmp_path / "key").write_bytes(private_pem(key))
    (tmp_path / "pub").write_bytes(public_pem(key.public_key()))
    assert load_private_key(tmp_path / "key").sign(b"x") == key.sign(b"x")
    assert set(load_public_keys([tmp_path / "pub"])) == {fingerprint(key.public_key())}


def test_keys_of_other_kinds_and_other_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    curve = generate_private_key(SECP256R1())
    private, public, text = tmp_path / "private", tmp_path / "public", tmp_path / "text"
    private.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    text.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    invalid_private = ((private, "not Ed25519"), (text, "unencrypted private key"), (tmp_path / "absent", "be read"))
    for file, words in invalid_private:
        with pytest.raises(ConfigurationError, match=words) as refused:
            load_private_key(file)
        assert "serinus audit keygen" in str(refused.value)
    invalid_public = ((public, "not Ed25519"), (text, "a public key in PEM"), (tmp_path / "absent", "cannot be read"))
    for file, words in invalid_public:
        with pytest.raises(ConfigurationError, match=words):
            load_public_keys([file])


# ---- addresses --------------------------------------------------------------------------------


def test_an_address_in_s3_says_bucket_prefix_and_service() -> None:
    place = parse_place("s3://audit/serinus/prod/?region=eu-central-1&endpoint=https://s3.example.org")
    assert (place.bucket, place.prefix) == ("audit", "serinus/prod/")
    assert (place.s3.region, place.s3.endpoint) == ("eu-central-1", "https://s3.example.org")
    assert str(place) == "s3://audit/serinus/prod/"
    assert parse_place("s3://audit").prefix == ""


@pytest.mark.parametrize("url", ["audit", "https://audit/x", "s3://", "s3:///x", "s3://audit/x?color=red"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_place(url)


def test_the_configured_prefix_is_normalized_to_a_folder() -> None:
    for prefix in ("audit", "audit/", "/audit/"):
        assert place_of(CheckpointSettings(bucket="b", key_file="k", prefix=prefix)).prefix == "audit/"
    assert place_of(CheckpointSettings(bucket="b", key_file="k", prefix="")).prefix == ""


def test_an_archive_is_a_folder_or_a_bucket(tmp_path: Path) -> None:
    assert isinstance(open_archive("s3://bucket/prefix"), BucketArchive)
    for address in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        archive = open_archive(address)
        assert isinstance(archive, FolderArchive)
        assert open_archive(archive.address).address == archive.address == (tmp_path / "a b").as_uri()
    with pytest.raises(ConfigurationError, match="a folder or s3://"):
        open_archive("ftp://host/x")


# ---- folders ----------------------------------------------------------------------------------


async def test_a_folder_stores_a_name_once(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path / "kept")
    file, back = tmp_path / "file", tmp_path / "back"
    file.write_text("one")
    await archive.put_new("ml/fraud/x", file)
    file.write_text("other")
    with pytest.raises(ConflictError):
        await archive.put_new("ml/fraud/x", file)
    await archive.fetch("ml/fraud/x", back)
    assert back.read_text() == "one"
    assert [name async for name in archive.names("ml/fraud/")] == ["ml/fraud/x"]
    assert [name async for name in archive.names("ml/other/")] == []
    with pytest.raises(NotFoundError):
        await archive.fetch("ml/fraud/y", back)


async def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        await FolderArchive(file / "below").put_new("x", file)
    assert stat.S_ISREG(file.stat().st_mode)


def test_models_of_different_namespaces_never_share_a_folder() -> None:
    keys = [ObjectKey("", "a"), ObjectKey("a", "b"), ObjectKey("b", "a"), ObjectKey("a", "a")]
    assert len({archive_folder(key) for key in keys}) == len(keys)

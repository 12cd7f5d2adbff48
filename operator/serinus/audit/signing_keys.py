"""The keys that sign checkpoints: Ed25519 in PEM files, and their fingerprints."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from serinus.errors import ConfigurationError

PublicKeys = Mapping[str, Ed25519PublicKey]
"""The trusted keys by fingerprint; more than one after a key was replaced."""


def new_key() -> Ed25519PrivateKey:
    """Return a new private key."""
    return Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the key in PEM (PKCS #8), unencrypted: its location must protect it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return the key in PEM (SubjectPublicKeyInfo)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return SHA-256 of the key's 32 bytes, as ``sha256:<hex>``."""
    return f"sha256:{sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()}"


def load_private_key(file: Path) -> Ed25519PrivateKey:
    """Read a private key; ConfigurationError with the remedy where the file contains none."""
    advice = "make one with serinus audit keygen"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as problem:
        raise ConfigurationError(f"the signing key {file} cannot be read: {problem.strerror}; {advice}") from problem
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ConfigurationError(f"{file} does not contain an unencrypted private key in PEM; {advice}") from problem
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{file} contains a private key that is not Ed25519; {advice}")
    return key


def load_public_keys(files: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Read the trusted keys by fingerprint; ConfigurationError where a file contains none."""
    keys = [_public_key(file) for file in files]
    return {fingerprint(key): key for key in keys}


def _public_key(file: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as problem:
        raise ConfigurationError(f"the public key {file} cannot be read: {problem.strerror}") from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise ConfigurationError(
            f"{file} does not contain a public key in PEM: use the .pub.pem that keygen wrote"
        ) from problem
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"{file} contains a public key that is not Ed25519")
    return key

"""Signs a request as Standard Webhooks 1.0 does (standardwebhooks.com): HMAC-SHA256 over id, time and body."""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from serinus.errors import RefusedError
from serinus.notifications.message import Message

PREFIX: Final = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""The length of a key that Standard Webhooks asks for."""

MOST_KEYS: Final = 3
"""While a key is replaced, the old one and the new one both sign."""


def read_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys of a file: one on each line.

    Raises:
        RefusedError: there is none, there are too many, or one has another form; the message has no part of it.
    """
    lines = text.split()
    if not 1 <= len(lines) <= MOST_KEYS:
        raise RefusedError(
            f"the file of signingKeyFrom has {len(lines)} keys: write 1 to {MOST_KEYS}, one on each line"
        )
    return tuple(map(_key, lines))


def _key(line: str) -> bytes:
    try:
        key = b64decode(line.removeprefix(PREFIX), validate=True) if line.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise RefusedError(
            f"a key in the file of signingKeyFrom has another form: write {PREFIX} and the base64 of "
            f"{LEAST_BYTES} to {MOST_BYTES} random bytes"
        )
    return key


def signature_headers(message: Message, keys: Sequence[bytes], at: datetime) -> Mapping[str, str]:
    """Return the headers of a request that is sent at this time, with one signature for each key."""
    seconds = str(int(at.timestamp()))
    signed = b".".join((message.id.encode(), seconds.encode(), message.body))
    signatures = (b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message.id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }

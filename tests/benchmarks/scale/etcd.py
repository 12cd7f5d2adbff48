"""Copies the stored objects of one model, as the operator left them, to thousands of models, in etcd itself.

Through the API server that would be fourteen writes a model, ten minutes for ten thousand. A copy has another name of
the same length, so that the lengths in stored protobuf stay right, uids of its own, and the hashes of its own specs.
The API server's caches follow etcd, so it serves the copies like any object. The hashes that chain the copied audit
records are those of the original: nothing that is measured verifies them.
"""

import base64
import re
import uuid
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks.scale.objects import spec_hashes
from localcluster.addresses import ETCD_PORT, LOOPBACK

_URL: Final = f"http://{LOOPBACK}:{ETCD_PORT}/v3/kv"
_PREFIX: Final = b"/registry/"
_UID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOST_OPERATIONS: Final = 120
"""etcd allows 128 in a transaction."""

_MOST_BYTES: Final = 900_000
"""etcd allows 1.5 MiB in a request."""

Pair = tuple[bytes, bytes]


async def stored(session: aiohttp.ClientSession, namespace: str, name: str) -> list[Pair]:
    """Return keys and values of all objects of the namespace whose key contains the name."""
    body = {"key": _text(_PREFIX), "range_end": _text(_PREFIX[:-1] + b"0")}
    answer = await _ask(session, "range", body)
    pairs = [(base64.b64decode(one["key"]), base64.b64decode(one["value"])) for one in answer["kvs"]]
    return [pair for pair in pairs if f"/{namespace}/".encode() in pair[0] and name.encode() in pair[0]]


async def copy(session: aiohttp.ClientSession, pairs: list[Pair], name: str, others: Iterable[str]) -> int:
    """Store a copy of the objects for each of the other names; return how many objects that are."""
    batch: list[Pair] = []
    count = size = 0
    for other in others:
        for pair in copied(pairs, name, other):
            batch.append(pair)
            count, size = count + 1, size + len(pair[1])
            if len(batch) == _MOST_OPERATIONS or size > _MOST_BYTES:
                await _put(session, batch)
                batch, size = [], 0
    await _put(session, batch)
    return count


def copied(pairs: Iterable[Pair], name: str, other: str) -> list[Pair]:
    """Return the copy for another name, which must have the same length."""
    assert len(name) == len(other), f"{name} and {other} differ in length"
    others = {
        old.encode(): new.encode()
        for old, new in ((name, other), *zip(spec_hashes(name), spec_hashes(other), strict=True))
    }

    def fresh(match: re.Match[bytes]) -> bytes:
        return others.setdefault(match[0], str(uuid.uuid4()).encode())

    parts = re.compile(b"|".join([*map(re.escape, others), _UID.pattern]))
    return [(key.replace(name.encode(), other.encode()), parts.sub(fresh, value)) for key, value in pairs]


async def _put(session: aiohttp.ClientSession, batch: list[Pair]) -> None:
    if batch:
        operations = [{"requestPut": {"key": _text(key), "value": _text(value)}} for key, value in batch]
        await _ask(session, "txn", {"success": operations})


async def _ask(session: aiohttp.ClientSession, what: str, body: object) -> Any:
    async with session.post(f"{_URL}/{what}", data=msgspec.json.encode(body)) as response:
        content = await response.read()
        assert response.status == 200, f"etcd: {response.status} {content[:300]!r}"
    return msgspec.json.decode(content)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

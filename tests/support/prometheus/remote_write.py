"""Writes native histograms and numbers into a running Prometheus: remote write 1.0, encoded by hand.

Protocol: https://prometheus.io/docs/specs/prw/remote_write_spec; messages: prompb/remote.proto and prompb/types.proto
of Prometheus; compression: Snappy's block format, as literals only.
"""

import struct
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, log2
from typing import Final, Self

from support.prometheus.server import EPOCH

_CUSTOM: Final = -53
"""The schema of native histograms with bounds of their own."""

_STALE: Final = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN that ends a series: a scrape failed, or did not have it."""

_VARINT, _FIXED, _BYTES = 0, 1, 2
_LITERAL: Final = 65_536


@dataclass(frozen=True, slots=True)
class Histogram:
    """A native histogram as a target would show it.

    Attributes:
        values: how many observations there were of each value.
        schema: its resolution.
        bounds: bounds of its own, instead of a schema.
    """

    values: Mapping[float, int]
    schema: int = 3
    bounds: Sequence[float] = ()

    def _index(self, value: float) -> int:
        if self.bounds:
            return sum(bound < value for bound in self.bounds)
        return ceil(log2(value) * 2.0**self.schema - 1e-9)

    def encoded(self, milliseconds: int) -> bytes:
        """Return it as a message with integer counts."""
        buckets: dict[int, int] = {}
        for value, count in self.values.items():
            buckets[self._index(value)] = buckets.get(self._index(value), 0) + count
        rising = sorted(buckets)
        gaps = [rising[0] if rising else 0, *(after - before - 1 for before, after in pairwise(rising))]
        spans = b"".join(_message(11, _number(1, _zigzag(gap)) + _number(2, 1)) for gap in gaps if rising)
        counts = [buckets[index] for index in rising]
        deltas = b"".join(_varint(_zigzag(after - before)) for before, after in pairwise([0, *counts]))
        total = sum(value * count for value, count in self.values.items())
        bounds = _message(16, b"".join(struct.pack("<d", bound) for bound in self.bounds)) if self.bounds else b""
        return b"".join(
            (
                _number(1, sum(counts)),
                _double(3, total),
                _number(4, _zigzag(_CUSTOM if self.bounds else self.schema)),
                _double(5, 0.0 if self.bounds else 2.0**-128),
                _number(6, 0),
                spans,
                _message(12, deltas),
                _number(15, milliseconds),
                bounds,
            )
        )


@dataclass(slots=True)
class WrittenPast:
    """Series to write, times in seconds after the start of every history."""

    _series: list[bytes] = field(default_factory=list)

    def add(
        self, name: str, labels: Mapping[str, str], samples: Iterable[tuple[float, float | Histogram | None]]
    ) -> Self:
        """Add one series with its samples in order; None ends it, until the next sample."""
        named = sorted({"__name__": name, **labels}.items())
        parts = [_message(1, _message(1, key.encode()) + _message(2, value.encode())) for key, value in named]
        for at, value in samples:
            milliseconds = round((EPOCH.timestamp() + at) * 1000)
            if isinstance(value, Histogram):
                parts.append(_message(4, value.encoded(milliseconds)))
            else:
                number = _STALE if value is None else struct.pack("<d", value)
                parts.append(_message(2, _fixed(1, number) + _number(2, milliseconds)))
        self._series.append(b"".join(parts))
        return self

    def write(self, url: str) -> None:
        """Send everything in one request."""
        body = _compressed(b"".join(_message(1, series) for series in self._series))
        request = urllib.request.Request(  # noqa: S310 - a server on loopback that the test started
            f"{url}/api/v1/write",
            data=body,
            headers={
                "Content-Encoding": "snappy",
                "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - likewise
            response.read()


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else -value * 2 - 1


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3 | _VARINT) + _varint(value)


def _double(tag: int, value: float) -> bytes:
    return _fixed(tag, struct.pack("<d", value))


def _fixed(tag: int, content: bytes) -> bytes:
    return _varint(tag << 3 | _FIXED) + content


def _message(tag: int, content: bytes) -> bytes:
    return _varint(tag << 3 | _BYTES) + _varint(len(content)) + content


def _compressed(content: bytes) -> bytes:
    chunks = (content[begin : begin + _LITERAL] for begin in range(0, len(content), _LITERAL))
    # The tag 61 announces a literal whose length less one follows in two bytes.
    return _varint(len(content)) + b"".join(b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk for chunk in chunks)

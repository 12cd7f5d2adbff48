"""A stand-in for Prometheus with generated series of Envoy: for each namespace the requests that its route sends.

A namespace has 200 requests a second, scraped every half second. It recognizes the operator's queries by what is in
them, and answers as Prometheus would from these series. What a version answered with is a property of the story.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from support.faultpoints.faults import METRICS, METRICS_REFUSALS, Fault, Point
from support.faultpoints.messages import Request, Response, read_request, reset

SCRAPE: Final = 0.5
RATE: Final = 200.0
_LOOKBACK: Final = 300.0
_SPAN: Final = re.compile(r"offset (\d+)ms")
_LABEL: Final = "envoy_cluster_name"
_PAUSE: Final = 2.0
Row = tuple[dict[str, str], float]


@dataclass(slots=True)
class Series:
    """The counters of one namespace's backends, as they were scraped.

    Attributes:
        shares: the share of each backend now, as the gateway has it.
        failing: the part of a backend's requests that end in a 5xx.
        delivered: by backend, when an answer arrived that counted its requests, and up to when.
    """

    begun: float
    shares: dict[str, float] = field(default_factory=dict)
    failing: Mapping[str, float] = field(default_factory=dict)
    delivered: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _at: list[float] = field(default_factory=list)
    _good: dict[str, list[float]] = field(default_factory=dict)
    _bad: dict[str, list[float]] = field(default_factory=dict)

    def set_shares(self, shares: Mapping[str, float]) -> None:
        """The gateway has new weights from now on."""
        self.advance(time.time())
        self.shares = dict(shares)

    def fail(self, backend: str, part: float) -> None:
        """This part of a backend's requests fails from now on."""
        self.advance(time.time())
        self.failing = {**self.failing, backend: part}

    def advance(self, now: float) -> None:
        """Scrape up to now."""
        while (next_at := self.begun + len(self._at) * SCRAPE) <= now:
            self._at.append(next_at)
            for backend in self.shares.keys() | self._good.keys():
                sent = RATE * SCRAPE * self.shares.get(backend, 0.0)
                failed = sent * self.failing.get(backend, 0.0)
                for column, grown in ((self._good, sent - failed), (self._bad, failed)):
                    values = column.setdefault(backend, [0.0] * (len(self._at) - 1))
                    values.append((values[-1] if values else 0.0) + grown)

    def _index(self, at: float) -> int:
        return min(len(self._at) - 1, int((at - self.begun) // SCRAPE))

    def newest(self, at: float) -> float | None:
        """The time of the newest sample at a time; None where there is none within Prometheus' lookback."""
        index = self._index(at)
        return self._at[index] if index >= 0 and at - self._at[index] <= _LOOKBACK else None

    def counters(self, backend: str, at: float) -> tuple[float, float]:
        """The good and the failed requests of a backend that were scraped by a time."""
        index = self._index(at)
        if index < 0:
            return 0.0, 0.0
        return self._good[backend][index], self._bad[backend][index]

    def known_by(self, backend: str, moment: float) -> float:
        """How many requests of a backend the operator had been told of by a moment."""
        until = max((until for at, until in self.delivered.get(backend, []) if at <= moment), default=None)
        return sum(self.counters(backend, until)) if until is not None else 0.0

    @property
    def backends(self) -> Iterable[str]:
        return tuple(self._good)


@dataclass(slots=True)
class Place:
    """What the server knows of one namespace."""

    series: Series
    points: tuple[Point, ...]
    queries: int = 0
    struck: dict[Point, float] = field(default_factory=dict)


class MetricsServer:
    """One server for all namespaces; the first part of a path is the namespace."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen, and return the URL."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader)) is not None:
                if not await self._serve(request, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the operator was killed or has given up, or everything is over
        finally:
            writer.close()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        namespace, _, verb = request.path.strip("/").partition("/api/v1/")
        place = self.places.get(namespace)
        if place is None:
            writer.write(Response(404, {}, b"{}").encoded())
            return False
        place.queries += 1
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        place.series.advance(time.time())
        rows = _matrix(place.series, form) if verb == "query_range" else _vector(place.series, form)
        response = Response(200, {"content-type": "application/json"}, json.dumps(rows).encode())
        here = (at for at in place.points if (at.call, at.number) == (METRICS, place.queries))
        struck = next(here, None)
        if struck is not None:
            place.struck[struck] = time.time()
            return await _disturbed(struck.fault, response, writer)
        writer.write(response.encoded())
        await writer.drain()
        _note_delivery(place.series, form)
        return True


def _note_delivery(series: Series, form: Mapping[str, str]) -> None:
    if "envoy_cluster_upstream_rq_xx" not in form["query"] or "rate(" in form["query"]:
        return
    until = min(float(form.get("time") or form["end"]), time.time())
    for backend in _asked(series, form["query"]):
        series.delivered.setdefault(backend, []).append((time.time(), until))


async def _disturbed(fault: Fault, response: Response, writer: asyncio.StreamWriter) -> bool:
    encoded = response.encoded()
    match fault:
        case Fault.METRICS_RESET:
            reset(writer)
            return False
        case Fault.METRICS_HALF_OPEN:
            await asyncio.sleep(30)
            return False
        case Fault.METRICS_SLOW:
            for begin in range(0, len(encoded), 40):
                writer.write(encoded[begin : begin + 40])
                await writer.drain()
                await asyncio.sleep(0.1)
        case Fault.METRICS_GARBAGE:
            writer.write(Response(200, response.headers, b"<html>\xff not what was asked").encoded())
        case Fault.METRICS_CUT_OFF:
            writer.write(encoded[: len(encoded) - 10])
            await writer.drain()
            return False
        case Fault.METRICS_EMPTY:
            writer.write(Response(200, response.headers, _empty(response.body)).encoded())
        case _:
            body = {"status": "error", "errorType": "internal", "error": "a fault that the test makes"}
            writer.write(Response(METRICS_REFUSALS[fault], {}, json.dumps(body).encode()).encoded())
    await writer.drain()
    return True


def _empty(body: bytes) -> bytes:
    answer = json.loads(body)
    answer["data"]["result"] = []
    return json.dumps(answer).encode()


def _asked(series: Series, query: str) -> list[str]:
    plain = query.replace("\\", "")
    return [backend for backend in series.backends if backend in plain]


def _vector(series: Series, form: Mapping[str, str]) -> dict[str, Any]:
    at = float(form["time"])
    result = [{"metric": labels, "value": [at, f"{value:.6f}"]} for labels, value in _rows(series, form["query"], at)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def _matrix(series: Series, form: Mapping[str, str]) -> dict[str, Any]:
    start, end, step = (float(form[name]) for name in ("start", "end", "step"))
    found: dict[str, tuple[dict[str, str], list[tuple[float, str]]]] = {}
    for index in range(int((end - start) / step + 1e-6) + 1):
        at = round(start + index * step, 3)
        for labels, value in _rows(series, form["query"], at):
            found.setdefault(json.dumps(labels), (labels, []))[1].append((at, f"{value:.6f}"))
    result = [{"metric": labels, "values": values} for labels, values in found.values()]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def _rows(series: Series, query: str, at: float) -> list[Row]:
    newest = series.newest(at)
    backends = _asked(series, query)
    if newest is None or not backends:
        return []
    if "scrape_duration_seconds" in query:
        fresh: list[Row] = [({_LABEL: backend}, newest) for backend in backends]
        return [*fresh, ({"serinus": "scrape"}, 0.01)]
    span = _SPAN.search(query)
    if "envoy_cluster_upstream_rq_xx" not in query or span is None or "rate(" in query:
        return []
    return _grown(series, query, backends, at, int(span[1]) / 1000)


def _grown(series: Series, query: str, backends: list[str], at: float, span: float) -> list[Row]:
    rows: list[Row] = []
    begun = series.newest(at - span)
    for backend in backends:
        after, before = series.counters(backend, at), series.counters(backend, at - span)
        for code, now, then in zip("25", after, before, strict=True):
            if now > 0:
                rows.append(({_LABEL: backend, "envoy_response_code_class": code}, now - then))
        if '"begun"' in query and begun is not None:
            rows.append(({_LABEL: backend, "serinus_part": "begun"}, begun))
    return rows

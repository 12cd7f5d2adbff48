"""The model server for any cluster, in one file that needs nothing but the standard library.

A ConfigMap holds it, and each pod gets it in an environment variable: no image has to be built, and no volume mounted.
The local cluster's server, :mod:`demo.modelserver`, shares the model and its faults.

POST /v2/models/fraud-detector/infer  {"amount": 12.5, "hour": 14, "merchant_risk": 0.1}
  -> 200 {"score": 0.03, "model": "fraud-detector", "version": "2.3.0"}, header x-served-by: 2.3.0
GET  /healthz                         -> 200
"""

import argparse
import itertools
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple, Protocol

MODEL: Final = "fraud-detector"
SERVED_BY: Final = "x-served-by"
INFER_PATH: Final = f"/v2/models/{MODEL}/infer"
PORT: Final = 8080
POD_IP: Final = "POD_IP"

_MAX_BODY_BYTES: Final = 16_384
_NIGHT_ENDS: Final = 6
_TYPICAL_AMOUNT: Final = math.log(60.0)
_LIMITS: Final[Mapping[str, tuple[type, float]]] = {
    "amount": (float, 1e9),
    "hour": (int, 23),
    "merchant_risk": (float, 1),
}
"""The fields of a request, each with its type and its greatest value; the least is 0."""

# The fractional part of the golden ratio: its multiples are evenly distributed over 0..1 on every scale (Weyl), so that
# 20 % means 20 % of any short run of requests, without randomness and without a pattern such as "every fifth".
_SPREAD: Final = 0.6180339887498949
_JITTER: Final = 0.1


class Payment(NamedTuple):
    """A payment: the amount in the card's currency, the hour (0 to 23), the merchant's risk (0 to 1)."""

    amount: float
    hour: int
    merchant_risk: float


def features_of(payment: Payment) -> tuple[float, ...]:
    """Return what the model multiplies by its weights."""
    amount = math.log(max(payment.amount, 0.01)) - _TYPICAL_AMOUNT
    night = 1.0 if payment.hour < _NIGHT_ENDS else 0.0
    return (1.0, amount, night, payment.merchant_risk, amount * payment.merchant_risk)


def probability(weights: Sequence[float], payment: Payment) -> float:
    """Return the probability that the payment is fraud, 0 to 1."""
    return 1.0 / (1.0 + math.exp(-sum(w * x for w, x in zip(weights, features_of(payment), strict=True))))


class Faulty(Protocol):
    """How a version misbehaves; :class:`demo.behaviour.Behaviour` describes the members."""

    @property
    def latency_seconds(self) -> float:
        """Duration of a slow request."""
        ...

    @property
    def slow_share(self) -> float:
        """The share of slow requests."""
        ...

    @property
    def failing_share(self) -> float:
        """The share of requests that are answered 500."""
        ...

    @property
    def after_requests(self) -> int:
        """Number of requests that are served normally first."""
        ...


@dataclass(frozen=True)
class Faults:
    """What a version of this server does wrong."""

    latency_seconds: float = 0.0
    failing_share: float = 0.0
    after_requests: int = 0
    slow_share: float = 1.0


@dataclass(frozen=True)
class Treatment:
    """The treatment of one request: it waits (seconds), then it is answered or fails."""

    wait: float
    fails: bool


def treatment(faulty: Faulty, number: int) -> Treatment:
    """Return the treatment of the request with this number, counted from 0."""
    if number < faulty.after_requests:
        return Treatment(0.0, fails=False)
    failing, slow, jitter = (_spread(number, lane) for lane in range(3))
    wait = faulty.latency_seconds * (1 - _JITTER + 2 * _JITTER * jitter) if slow < faulty.slow_share else 0.0
    return Treatment(wait, failing < faulty.failing_share)


def _spread(number: int, lane: int) -> float:
    """Return a value in [0, 1) for this request; the lanes are independent of each other."""
    return ((number + 1) * _SPREAD * (2 * lane + 1) + lane / 3) % 1.0


def payment_of(body: bytes) -> Payment:
    """Return the payment in a request.

    Raises:
        ValueError: the request is malformed; the message names the field.
    """
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - JSON of another type is a malformed request as well
    for name in fields:
        if name not in _LIMITS:
            raise ValueError(f"unknown field {name}")
    for name, (kind, most) in _LIMITS.items():
        if not _fits(fields.get(name), kind, most):
            raise ValueError(f"{name}: expected {kind.__name__} from 0 to {most:g}")
    return Payment(**fields)


def _fits(value: object, kind: type, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (kind is float or isinstance(value, int)) and 0 <= value <= most


class PortableServer(ThreadingHTTPServer):
    """Serves one version of the model until it is shut down."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], version: str, weights: Sequence[float], faults: Faults) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.version, self.weights, self.faults = version, tuple(weights), faults
        # next() of it is atomic: each request has a number of its own.
        self.numbers = itertools.count()
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two packets: the second would wait 40 ms for the acknowledgement of the first.
    disable_nagle_algorithm = True
    server: PortableServer

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, {"model": MODEL, "version": self.server.version})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "no such path"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "expected a short body with its length"})
            return
        body = self.rfile.read(int(length))
        if self.path != INFER_PATH:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "no such path"})
            return
        try:
            payment = payment_of(body)
        except ValueError as problem:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(problem)})
            return
        self._infer(payment)

    def _infer(self, payment: Payment) -> None:
        version = self.server.version
        planned = treatment(self.server.faults, next(self.server.numbers))
        time.sleep(planned.wait)
        if planned.fails:
            error = {"error": "the feature store did not answer", "version": version}
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, error)
            return
        score = round(probability(self.server.weights, payment), 6)
        self._answer(HTTPStatus.OK, {"score": score, "model": MODEL, "version": version})

    def _answer(self, status: HTTPStatus, content: Mapping[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header(SERVED_BY, self.server.version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no line for each request."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one version until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Serve one version of the model.")
    parser.add_argument("--version", required=True, help="such as 2.3.1")
    parser.add_argument("--weights", required=True, type=json.loads, help="the parameters of the model, a JSON list")
    parser.add_argument(
        "--host", default=os.environ.get(POD_IP, ""), help=f"the address to listen on; default ${POD_IP}"
    )
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--latency-under-traffic", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--failing-share", type=float, default=0.0, metavar="RATIO")
    parser.add_argument("--after-requests", type=int, default=0, help="number of requests to serve normally first")
    options = parser.parse_args(arguments)
    faults = Faults(options.latency_under_traffic, options.failing_share, options.after_requests)
    with PortableServer((options.host, options.port), options.version, options.weights, faults) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From a thread of its own: shutdown() waits for the loop that this thread runs.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"{MODEL} {options.version} serves on port {options.port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

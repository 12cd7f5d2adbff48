"""The model server: one version of the fraud detector over HTTP, whose behaviour can be degraded while it runs.

POST /v2/models/fraud-detector/infer  {"amount": 12.5, "hour": 14, "merchant_risk": 0.1}
  -> 200 {"score": 0.03, "model": "fraud-detector", "version": "2.3.0"}, header x-served-by: 2.3.0
GET  /healthz                         -> 200 once the model is trained
GET, PUT /control on the control port -> the behaviour as JSON (demo.behaviour.Behaviour)
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from demo.behaviour import Behaviour, behaviour_of
from demo.fraud import FraudModel, train
from demo.portable.server import INFER_PATH, MODEL, POD_IP, PORT, SERVED_BY, Payment, treatment

CONTROL_PORT: Final = 8081

_MAX_BODY_BYTES: Final = 16_384
_GRACE_SECONDS: Final = 3.0


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    amount: Annotated[float, Meta(ge=0)]
    hour: Annotated[int, Meta(ge=0, le=23)]
    merchant_risk: Annotated[float, Meta(ge=0, le=1)]


class InferAnswer(msgspec.Struct, frozen=True):
    """The body of a response."""

    score: float
    model: str
    version: str


class ModelServer:
    """Serves one trained version."""

    def __init__(self, version: str, model: FraudModel, behaviour: Behaviour) -> None:
        self._version = version
        self._model = model
        self._behaviour = behaviour
        self._served = 0

    def serving(self) -> web.Application:
        """Return the application for clients."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes([web.post(INFER_PATH, self._infer), web.get("/healthz", self._health)])
        return app

    def controlling(self) -> web.Application:
        """Return the application that reads and changes the behaviour."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes([web.get("/control", self._show), web.put("/control", self._change)])
        return app

    async def _infer(self, request: web.Request) -> web.Response:
        try:
            body = msgspec.json.decode(await request.read(), type=InferRequest)
        except msgspec.DecodeError as problem:
            return self._answer({"error": str(problem)}, status=400)
        planned = treatment(self._behaviour, self._served)
        self._served += 1
        if planned.wait:
            await asyncio.sleep(planned.wait)
        if planned.fails:
            return self._answer({"error": "the feature store did not answer", "version": self._version}, status=500)
        score = self._model.score(Payment(body.amount, body.hour, body.merchant_risk))
        return self._answer(InferAnswer(round(score, 6), MODEL, self._version))

    async def _health(self, _: web.Request) -> web.Response:
        return self._answer({"model": MODEL, "version": self._version, "auc": self._model.auc})

    async def _show(self, _: web.Request) -> web.Response:
        return self._answer(self._behaviour)

    async def _change(self, request: web.Request) -> web.Response:
        try:
            self._behaviour = msgspec.json.decode(await request.read(), type=Behaviour)
        except msgspec.DecodeError as problem:
            return self._answer({"error": str(problem)}, status=400)
        # after_requests counts from the change.
        self._served = 0
        return self._answer(self._behaviour)

    def _answer(self, body: object, *, status: int = 200) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(body),
            status=status,
            headers={"Content-Type": "application/json", SERVED_BY: self._version},
        )


@contextlib.asynccontextmanager
async def listening(server: ModelServer, host: str, port: int, control_port: int) -> AsyncIterator[None]:
    """Serve until the block ends."""
    runners = [
        web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_SECONDS)
        for app in (server.serving(), server.controlling())
    ]
    try:
        for runner, runner_port in zip(runners, (port, control_port), strict=True):
            await runner.setup()
            await web.TCPSite(runner, host, runner_port).start()
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one version until SIGTERM or SIGINT; requests in flight are answered."""
    options = _parser().parse_args(arguments)
    behaviour = behaviour_of(
        {
            "latencySeconds": options.latency_under_traffic,
            "failingShare": options.failing_share,
            "afterRequests": options.after_requests,
        }
    )
    asyncio.run(_serve(options, ModelServer(options.version, train(options.version), behaviour)))
    return 0


async def _serve(options: argparse.Namespace, server: ModelServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(server, options.host, options.port, options.control_port):
        print(f"{MODEL} {options.version} serves on {options.host}:{options.port}", flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.modelserver", description="Serve one version of the model.")
    parser.add_argument("--version", required=True, help="such as 2.3.1")
    pod = os.environ.get(POD_IP)
    parser.add_argument("--host", default=pod, required=not pod, help=f"the address to listen on; default ${POD_IP}")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--control-port", type=int, default=CONTROL_PORT)
    parser.add_argument("--latency-under-traffic", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--failing-share", type=float, default=0.0, metavar="RATIO")
    parser.add_argument("--after-requests", type=int, default=0, help="number of requests to serve normally first")
    return parser


if __name__ == "__main__":
    sys.exit(main())

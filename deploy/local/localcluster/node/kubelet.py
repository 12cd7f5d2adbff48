"""The kubelet's endpoint for logs, so that `kubectl logs` works."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from localcluster.addresses import KUBELET_PORT, NODE
from localcluster.certificates import Authority
from localcluster.node.pods import Pods

_POLL_SECONDS: Final = 0.2
_CHUNK: Final = 1 << 16


async def serve(pods: Pods, authority: Authority) -> web.AppRunner:
    """Serve the endpoint for the API server only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate("ca")))
    context.load_cert_chain(authority.certificate("server"), authority.key("server"))
    context.verify_mode = ssl.CERT_REQUIRED

    async def logs(request: web.Request) -> web.StreamResponse:
        return await _logs(pods, request)

    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, NODE, KUBELET_PORT, ssl_context=context).start()
    return runner


async def _logs(pods: Pods, request: web.Request) -> web.StreamResponse:
    path, query = request.match_info, request.query
    unknown = sorted(query.keys() - {"follow", "previous", "tailLines", "limitBytes"})
    if unknown:
        message = f"the local node does not offer logs with {', '.join(unknown)}"
        return web.Response(status=HTTPStatus.NOT_IMPLEMENTED, text=message)
    runner = pods.find(path["namespace"], path["pod"])
    container = path["container"]
    file = runner.log(container, previous=query.get("previous") == "true") if runner else None
    if runner is None or file is None:
        return web.Response(status=HTTPStatus.NOT_FOUND, text=f"container {container} has no log")
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    limit = int(query.get("limitBytes", "0"))
    start = _tail_start(file, int(query["tailLines"])) if "tailLines" in query else 0
    follow = query.get("follow") == "true"
    async for chunk in _content(file, start, lambda: follow and runner.writes(container, file)):
        await response.write(chunk[:limit] if limit else chunk)
        if limit and (limit := limit - len(chunk)) <= 0:
            break
    return response


async def _content(file: Path, start: int, grows: Callable[[], bool]) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(start)
        last_read = False
        while True:
            if chunk := stream.read(_CHUNK):
                yield chunk
            elif last_read:
                return
            elif grows():
                await asyncio.sleep(_POLL_SECONDS)
            else:
                # Read once more: output may have been written between the last read and the exit.
                last_read = True


def _tail_start(file: Path, lines: int) -> int:
    content = file.read_bytes()
    kept = content.splitlines(keepends=True)[-lines:] if lines > 0 else []
    return len(content) - sum(map(len, kept))

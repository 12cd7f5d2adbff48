"""A headless Chromium, driven through its debugging protocol (chromedevtools.github.io/devtools-protocol)."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

from support.kube.client import eventually

_OPTIONS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
_STARTED = "DevTools listening on "
_SECONDS = 60


class Tab:
    """One page of the browser.

    Attributes:
        complaints: what the page wrote to the console, or the browser refused to load or to run.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=_SECONDS)
            if message.get("id") == self._calls:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
                self.complaints.append(str(message["params"]))

    async def run(self, script: str) -> Any:
        """Evaluate an expression in the page; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(self, address: str, *, ready: str = "document.readyState === 'complete'") -> None:
        """Open an address and wait until the expression is true in it."""
        await self.call("Page.navigate", url=address)
        await self.until(ready)

    async def until(self, condition: str) -> None:
        """Wait until the expression is true in the page."""
        await eventually(lambda: self.run(condition), why=condition, within=_SECONDS)

    async def look(self, *, scheme: str, width: int) -> Self:
        """Have the page shown with this colour scheme, so many pixels wide."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        return self

    async def javascript(self, *, enabled: bool) -> None:
        """Switch the scripts of the pages that are opened from now on."""
        await self.call("Emulation.setScriptExecutionDisabled", value=not enabled)


@contextlib.asynccontextmanager
async def a_tab(profile: Path) -> AsyncIterator[Tab]:
    """Start the Chromium that the variable CHROMIUM names and yield its page."""
    process = await asyncio.create_subprocess_exec(
        os.environ["CHROMIUM"],
        *_OPTIONS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses its sandbox to root
        f"--user-data-dir={profile}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            host = await _debugging_host(process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{host}/json") as answer:
                tab = next(tab for tab in await answer.json() if tab["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                opened = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await opened.call(f"{domain}.enable")
                yield opened
    finally:
        process.kill()
        await process.wait()


async def _debugging_host(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if _STARTED in line:
            return line.split(_STARTED)[1].split("/")[2]
    raise AssertionError("Chromium ended before it could be driven")

"""How the cluster's Prometheus scrapes Envoy, which a test changes: its labels, its data, and what it is shown."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from localcluster.client import Cluster
from support.e2e.place import envoy_page

_JOB = "envoy"
_DATA = "data"
_COUNTER = re.compile(r"(envoy_cluster_upstream_rq_(?:total|xx|completed|time_bucket|time_count)\{[^}]*\}) (\d+)")
_HELD = 2
"""A dip is shown in this many scrapes: two, so that a tick between them sees it even where the ticks are late."""

_APART = 3
"""So many scrapes after a dip show the counters as they are before another one can begin."""


@dataclass(frozen=True, slots=True)
class Scraping:
    """The scrape configuration of the cluster's Prometheus, and its data."""

    cluster: Cluster

    async def relabel(self, **labels: str) -> None:
        """Add labels to the target Envoy, as an administrator who tidies up does."""
        config = self._read()
        self._job(config)["static_configs"][0]["labels"].update(labels)
        await self.load(config)

    async def through(self, proxy: str) -> None:
        """Scrape Envoy through an HTTP proxy, which changes no label."""
        config = self._read()
        self._job(config)["proxy_url"] = proxy
        await self.load(config)

    async def load(self, config: dict[str, Any]) -> None:
        """Let Prometheus use this configuration; it answers when it does."""
        self.cluster.state.joinpath("prometheus", "prometheus.json").write_text(json.dumps(config), encoding="utf-8")
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{self.cluster.prometheus_url}/-/reload") as response,
        ):
            assert response.status == 200, await response.text()

    def restart_empty(self) -> None:
        """Restart Prometheus without its data, as a pod without a volume that is moved to another node."""
        self.cluster.stop("prometheus")
        shutil.rmtree(self.cluster.state / "prometheus" / _DATA)
        self.cluster.start("prometheus")

    def _read(self) -> dict[str, Any]:
        text = self.cluster.state.joinpath("prometheus", "prometheus.json").read_text(encoding="utf-8")
        config: dict[str, Any] = json.loads(text)
        return config

    @staticmethod
    def _job(config: dict[str, Any]) -> dict[str, Any]:
        job: dict[str, Any] = next(one for one in config["scrape_configs"] if one["job_name"] == _JOB)
        return job


@asynccontextmanager
async def scraping(cluster: Cluster) -> AsyncIterator[Scraping]:
    """Let the block change the configuration; restore it afterwards."""
    control = Scraping(cluster)
    before = control._read()
    try:
        yield control
    finally:
        await control.load(before)


@dataclass(slots=True)
class DippingScrapes:
    """An HTTP proxy between Prometheus and Envoy that shows the counters of one cluster lower than they are.

    Attributes:
        cluster_name: of Envoy's cluster, as in its label.
        dips: how many there were.
    """

    cluster_name: str
    dips: int = 0
    _last: str = ""
    _left: int = 0
    _page: str = ""

    def dip(self) -> None:
        """Show every counter one lower than in the last scrape, in the next two scrapes; then as they are."""
        if not self._left:
            self._page = self._last
            self._left = _HELD + _APART
            self.dips += 1

    async def answer(self, _: web.Request) -> web.Response:
        """Answer one scrape."""
        page = await envoy_page()
        self._last = page
        if self._left > _APART:
            page = self._lowered(page)
        self._left = max(self._left - 1, 0)
        return web.Response(text=page, content_type="text/plain")

    def _lowered(self, page: str) -> str:
        before = {match[1]: int(match[2]) for match in _COUNTER.finditer(self._page) if self.cluster_name in match[1]}

        def show(match: re.Match[str]) -> str:
            value = before.get(match[1])
            return match[0] if value is None else f"{match[1]} {max(value - 1, 0)}"

        return _COUNTER.sub(show, page)


@asynccontextmanager
async def dipping(cluster_name: str) -> AsyncIterator[tuple[DippingScrapes, str]]:
    """Serve the proxy until the block ends; enter it with the proxy's URL."""
    scrapes = DippingScrapes(cluster_name)
    app = web.Application()
    app.router.add_get("/{path:.*}", scrapes.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, port = runner.addresses[0][:2]
        yield scrapes, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()

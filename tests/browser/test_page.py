"""The page in a real browser: no violation of axe-core, nothing that the policy refuses, live, and by keyboard."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serinus.clock import SystemClock
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.serve import PageServer, hosts_of, listening
from serinus.web.stream import Streams
from support.kube.listing import ListingApi
from support.web.browser import Tab, a_tab
from support.web.objects import API, a_cluster, rollout

FRAUD = "/rollouts/ml/fraud"
PAGES = ("/", "/?text=nothing+has+this", FRAUD, f"{FRAUD}?before=20", f"{FRAUD}/diff?old=2.2.4&new=2.3.1", "/?page=0")
AXE = "axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations))"
LIVE = "document.getElementById('state')?.textContent === 'live'"


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with a_tab(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def axe() -> str:
    return Path(os.environ["AXE"]).read_text(encoding="utf-8")


@pytest.fixture
def api() -> ListingApi:
    return a_cluster("<img src=x onerror=alert(1)>", others=150)


@pytest.fixture
async def address(api: ListingApi) -> AsyncIterator[str]:
    clock = SystemClock()
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        streams = Streams(clock)
        app = build_app(ClusterReader(api, clock), clock, hosts_of("127.0.0.1", port), streams)
        server = PageServer(app, streams)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        await serving


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_the_browser_refuses_nothing(
    tab: Tab, address: str, axe: str, scheme: str, width: int
) -> None:
    await tab.look(scheme=scheme, width=width)
    for path in PAGES:
        await tab.open(f"{address}{path}")
        await tab.run(f"{axe}; true")
        assert json.loads(await tab.run(AXE)) == [], path
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), path
    # The last page answers 400, which the browser reports; it reports nothing else.
    assert [complaint for complaint in tab.complaints if "400" not in complaint] == []


async def test_a_change_in_the_cluster_appears_without_a_reload(tab: Tab, address: str, api: ListingApi) -> None:
    await tab.open(f"{address}{FRAUD}", ready=LIVE)
    await tab.run("document.getElementById('chart-1-summary').click(); document.getElementById('trail-older').focus()")
    api.put(f"{API}/namespaces/ml/rollouts/fraud", rollout(summary="serving again"))
    await tab.until("document.getElementById('live').textContent.includes('serving again')")
    assert "serving again" in await tab.run("document.getElementById('note').textContent")
    assert await tab.run("document.activeElement.id") == "trail-older"
    assert await tab.run("document.getElementById('chart-1-figures').open")
    assert tab.complaints == []


async def test_updates_can_be_paused(tab: Tab, address: str) -> None:
    await tab.open(f"{address}/", ready=LIVE)
    await tab.run("document.getElementById('pause').click()")
    assert await tab.run("document.getElementById('state').textContent") == "paused"
    await tab.run("document.getElementById('pause').click()")
    await tab.until(LIVE)


async def test_the_page_is_whole_without_javascript(tab: Tab, address: str) -> None:
    await tab.javascript(enabled=False)
    await tab.open(f"{address}{FRAUD}", ready="document.getElementById('versions') !== null")
    assert await tab.run("document.getElementById('pause').hidden")
    assert await tab.run("getComputedStyle(document.getElementById('pause')).display") == "none"
    assert await tab.run("document.querySelectorAll('svg[role=img]').length") == 3

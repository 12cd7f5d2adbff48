"""The gate before the pages: which requests are answered, and the headers of every answer."""

import pytest
from starlette.types import ASGIApp

from serinus.errors import ConfigurationError
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.render import inline
from serinus.web.serve import check_loopback, hosts_of
from serinus.web.stream import Streams
from support.kube.clock import VirtualTime
from support.web.asgi import HOST, get
from support.web.objects import a_cluster


@pytest.fixture
def app() -> ASGIApp:
    clock = VirtualTime()
    return build_app(ClusterReader(a_cluster(), clock), clock, hosts_of("127.0.0.1", 8321), Streams(clock))


@pytest.mark.parametrize("host", [HOST, "localhost:8321", "LOCALHOST:8321", "[::1]:8321"])
async def test_the_page_is_served_under_the_names_of_this_machine(app: ASGIApp, host: str) -> None:
    assert (await get(app, "/", headers={"host": host})).status == 200


@pytest.mark.parametrize("host", ["evil.example:8321", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8321", ""])
async def test_another_host_is_refused_so_that_no_site_can_rebind_its_name(app: ASGIApp, host: str) -> None:
    answer = await get(app, "/", headers={"host": host})
    assert answer.status in {400, 421}
    assert "Rollouts" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
async def test_only_reads_are_answered(app: ASGIApp, method: str) -> None:
    assert (await get(app, "/", method=method)).status == 405


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_may_link_here_but_not_fetch(app: ASGIApp, site: str) -> None:
    fetched = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert (await get(app, "/live", headers=fetched)).status == 403
    assert (await get(app, "/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"})).status == 200


@pytest.mark.parametrize("target", [f"/?text={'x' * 2100}", f"/{'x' * 1100}"])
async def test_a_long_address_is_refused(app: ASGIApp, target: str) -> None:
    assert (await get(app, target)).status == 414


@pytest.mark.parametrize("target", ["/", "/rollouts/ml/fraud", "/nothing", "/favicon.svg", f"/{'x' * 1100}"])
async def test_every_answer_forbids_what_it_does_not_need(app: ASGIApp, target: str) -> None:
    headers = (await get(app, target)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


async def test_the_policy_admits_the_style_and_the_script_that_the_page_has(app: ASGIApp) -> None:
    body = (await get(app, "/")).body
    assert f"<style>{inline().style}</style>" in body
    assert f"<script>{inline().script}</script>" in body
    assert body.count("<script") == body.count("<style") == 1


async def test_a_websocket_is_not_answered(app: ASGIApp) -> None:
    async def never() -> dict[str, object]:
        raise AssertionError

    async def send(_: object) -> None:
        raise AssertionError

    await app({"type": "websocket"}, never, send)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "example.org", ""])  # noqa: S104 - refused
def test_an_address_that_others_reach_is_refused_with_the_remedy(address: str) -> None:
    with pytest.raises(ConfigurationError, match="reach it from elsewhere by ssh -L"):
        check_loopback(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_an_address_of_this_machine_is_admitted(address: str) -> None:
    check_loopback(address)
    assert f"[{address}]:1" in hosts_of(address, 1) or f"{address}:1" in hosts_of(address, 1)

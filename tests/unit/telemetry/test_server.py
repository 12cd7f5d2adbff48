"""The probes and the operator's own metrics, as requested by the kubelet and Prometheus."""

import socket

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from serinus.errors import ConfigurationError
from serinus.telemetry import Telemetry
from serinus.telemetry.server import CONTENT_TYPE, Probes, serve


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def nothing() -> bytes:
    return b""


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, response.headers.get("Content-Type", ""), await response.text()


async def test_each_probe_reports_the_current_state() -> None:
    state = {"live": True, "ready": False}
    probes = Probes(live=lambda: state["live"], ready=lambda: state["ready"], metrics=nothing)
    port = a_free_port()
    async with serve(probes, "127.0.0.1", port):
        assert (await get(port, "/livez"))[0] == 200
        assert (await get(port, "/readyz"))[0] == 503
        state.update(live=False, ready=True)
        assert (await get(port, "/livez"))[0] == 503
        assert (await get(port, "/readyz"))[0] == 200
        assert (await get(port, "/elsewhere"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(port, "/livez")


async def test_a_scrape_returns_valid_exposition_text() -> None:
    telemetry = Telemetry(CollectorRegistry())
    telemetry.rollbacks.labels("MetricBreached").inc()
    telemetry.objects.labels("Rollout").set(3)
    port = a_free_port()

    async def render() -> bytes:
        return telemetry.render()

    async with serve(Probes(live=bool, ready=bool, metrics=render), "127.0.0.1", port):
        status, kind, text = await get(port, "/metrics")
    assert (status, kind) == (200, CONTENT_TYPE)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    rollbacks = {sample.labels["reason"]: sample.value for sample in families["serinus_rollbacks"].samples}
    assert (rollbacks["MetricBreached"], rollbacks["TestFailed"]) == (1, 0)
    assert families["serinus_objects"].samples[0].labels == {"kind": "Rollout"}
    assert all(name.startswith("serinus_") for name in families)


async def test_an_address_in_use_is_an_error_and_leaves_nothing_open() -> None:
    probes = Probes(live=bool, ready=bool, metrics=nothing)
    port = a_free_port()
    async with serve(probes, "127.0.0.1", port):
        with pytest.raises(ConfigurationError, match="set httpHost and httpPort"):
            async with serve(probes, "127.0.0.1", port):
                raise AssertionError("both have the port")
        assert (await get(port, "/livez"))[0] == 503

"""The probes and the operator's own metrics, as the kubelet and Prometheus ask for them."""

import socket

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from serinus.errors import ConfigurationError
from serinus.telemetry import Telemetry
from serinus.telemetry.server import CONTENT_TYPE, Probes, serve


def a_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def asked(port: int, page: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
        session.get(f"http://127.0.0.1:{port}{page}") as answer,
    ):
        return answer.status, answer.headers.get("Content-Type", ""), await answer.text()


async def test_each_probe_answers_what_holds_at_that_moment() -> None:
    holds = {"live": True, "ready": False}
    probes = Probes(live=lambda: holds["live"], ready=lambda: holds["ready"], metrics=lambda: b"")
    port = a_free_port()
    async with serve(probes, "127.0.0.1", port):
        assert (await asked(port, "/livez"))[0] == 200
        assert (await asked(port, "/readyz"))[0] == 503
        holds.update(live=False, ready=True)
        assert (await asked(port, "/livez"))[0] == 503
        assert (await asked(port, "/readyz"))[0] == 200
        assert (await asked(port, "/elsewhere"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectionError):
        await asked(port, "/livez")


async def test_a_scrape_gets_what_prometheus_can_read() -> None:
    telemetry = Telemetry(CollectorRegistry())
    telemetry.rollbacks.labels("MetricBreached").inc()
    telemetry.objects.labels("Rollout").set(3)
    port = a_free_port()
    async with serve(Probes(live=bool, ready=bool, metrics=telemetry.render), "127.0.0.1", port):
        status, kind, text = await asked(port, "/metrics")
    assert (status, kind) == (200, CONTENT_TYPE)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["serinus_rollbacks"].samples[0].value == 1
    assert families["serinus_objects"].samples[0].labels == {"kind": "Rollout"}
    assert all(name.startswith("serinus_") for name in families)


async def test_an_address_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    probes = Probes(live=bool, ready=bool, metrics=bytes)
    port = a_free_port()
    async with serve(probes, "127.0.0.1", port):
        with pytest.raises(ConfigurationError, match="set httpHost and httpPort"):
            async with serve(probes, "127.0.0.1", port):
                raise AssertionError("both have the port")
        assert (await asked(port, "/livez"))[0] == 503

"""A real Prometheus with a backfilled history, and a fault-injecting proxy in front of it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from serinus.metrics import PrometheusSource
from support.prometheus.server import Prometheus
from support.prometheus.written_past import past, source
from support.servers.faultproxy import FaultProxy


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("prometheus"), history=past()) as running:
        yield running


@pytest.fixture
async def proxy(prometheus: Prometheus) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(prometheus.host, prometheus.port) as running:
        yield running


@pytest.fixture
async def through_proxy(proxy: FaultProxy) -> AsyncIterator[PrometheusSource]:
    made = source(proxy.url)
    yield made
    made.close()


@pytest.fixture
async def metrics(prometheus: Prometheus) -> AsyncIterator[PrometheusSource]:
    made = source(prometheus.url)
    yield made
    made.close()

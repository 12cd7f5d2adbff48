"""What the demo reads of an operator that is installed, and its own access to the cluster."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from demo.errors import DemoError
from demo.given.access import pinned
from demo.given.checks import prometheus, reached
from demo.given.operator import OperatorMeter, source_of
from demo.stagehand import stamped
from serinus.api.rollout_status import CurrentStage, Phase, RolloutStatus, StageState
from serinus.cli.check.line import State
from support.demo_kubectl import asked, kubectl_that_says

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def a_deployment(name: str = "serinus") -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name, "namespace": "serinus-system"}}]}


@pytest.mark.parametrize(
    ("source", "config", "said"),
    [
        ("default", "sources: {default: {url: http://p, scrapeInterval: 30s}}", "scraped every 30s"),
        ("other", "sources: {default: {url: http://p}}", "no metric source other"),
        ("default", "sources: {default: {ulr: http://p}}", "ulr"),
        ("default", "", "ConfigMap serinus-system/serinus"),
        ("default", "{jobTests: false, sources: {default: {url: http://p}}}", "creates no Jobs"),
        ("default", "{routers: [grpcRoute], sources: {default: {url: http://p}}}", "does not write HTTPRoutes"),
        (
            "default",
            "{registry: {kind: DynamoDB, dynamodb: {cluster: a}}, sources: {default: {url: http://p}}}",
            "not in the Kubernetes API",
        ),
    ],
)
async def test_the_scrape_interval_is_that_of_the_operators_configuration(
    tmp_path: Path, source: str, config: str, said: str
) -> None:
    answers = {"get deployments": a_deployment(), "get configmap serinus -n serinus-system": config}
    found, line = await source_of(kubectl_that_says(tmp_path, answers), source)

    assert said in line.said
    assert (found is not None) == (line.state is State.OK)


async def test_without_an_operator_there_is_no_source(tmp_path: Path) -> None:
    found, line = await source_of(kubectl_that_says(tmp_path, {"get deployments": {"items": []}}), "default")

    assert (found, line.state) == (None, State.FAILED)


def test_a_context_is_copied_for_the_time_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl_that_says(tmp_path, {"config view --raw --minify": {"current-context": "kind-demo"}})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pinned(tmp_path / "config", "kind-demo") as kubectl:
        copy = Path(kubectl.environment["KUBECONFIG"])
        assert json.loads(copy.read_text(encoding="utf-8")) == {"current-context": "kind-demo"}
        assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    assert not copy.parent.exists()
    assert asked(tmp_path)[0].endswith(f"--kubeconfig={tmp_path}/config --context=kind-demo")


def test_without_kubectl_the_demo_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match="kubectl is not on PATH"), pinned(tmp_path / "config", ""):
        pass


@asynccontextmanager
async def serving(result: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Serve a Prometheus that answers every query but that for a constant with this result."""

    async def answer(request: web.Request) -> web.Response:
        one = [{"metric": {}, "value": [0, "1"]}]
        return web.json_response({"data": {"result": one if request.query["query"] == "vector(1)" else result}})

    app = web.Application()
    app.add_routes([web.get("/api/v1/query", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("result", "state", "said"),
    [
        ([{"metric": {}, "value": [0, "12"]}], State.OK, "has 12 series of preset contour"),
        # A gateway that has no route has none.
        ([], State.UNKNOWN, "no series of preset contour yet"),
    ],
)
async def test_prometheus_is_asked_for_the_gateways_series(
    result: list[dict[str, Any]], state: State, said: str
) -> None:
    async with serving(result) as url:
        line = await prometheus(url, "contour")
        assert (await reached(url)).state is State.OK

    assert line.state is state
    assert said in line.said
    assert (await prometheus(url, "contour")).state is State.FAILED
    # It may be Envoy without a route.
    assert (await reached(url)).state is State.UNKNOWN


async def test_a_gateway_whose_name_is_not_known_is_missing() -> None:
    assert (await reached("http://gateway.invalid:80")).state is State.FAILED


@pytest.mark.parametrize(("annotations", "name"), [({"serinus.dev/requested-by": "alice"}, "alice"), ({}, "")])
async def test_the_audit_trail_will_name_whom_the_api_server_stamps(
    tmp_path: Path, annotations: dict[str, str], name: str
) -> None:
    answers = {"create --dry-run=server": {"metadata": {"annotations": annotations}}}

    assert await stamped(kubectl_that_says(tmp_path, answers), "serinus-demo") == name


class Readings:
    """What Prometheus has of the operator's queries and ticks, at each reading."""

    def __init__(self, *pairs: tuple[float, float] | None) -> None:
        self._values = iter([value for pair in pairs for value in (pair or (None, None))])

    async def value(self, _: str) -> float | None:
        return next(self._values)


def status(state: StageState = StageState.ANALYZING) -> RolloutStatus:
    stage = CurrentStage(index=1, name="canary", state=state, since=NOW, state_since=NOW)
    return RolloutStatus(phase=Phase.PROGRESSING, stage=stage)


@pytest.mark.parametrize(
    ("pairs", "per_tick"),
    [(((10.0, 2.0), (20.0, 4.0), (60.0, 12.0)), 5.0), (((10.0, 2.0), (10.0, 2.0)), None), ((None, None), None)],
)
async def test_queries_are_counted_by_the_operators_own_metrics(pairs: Any, per_tick: float | None) -> None:
    meter = OperatorMeter(Readings(*pairs), 1.0, alone=True)
    await meter.record(status(StageState.TESTING))
    for _ in pairs:
        await meter.record(status())

    assert meter.per_tick == per_tick


async def test_an_operator_that_has_others_to_look_after_is_not_measured() -> None:
    meter = OperatorMeter(Readings(), 1.0, alone=False)
    await meter.record(status())

    assert meter.per_tick is None

"""``serinus lint --cluster`` asks a real Prometheus: series, buckets and scrape interval, as they were written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from serinus.cli.context import CliContext
from serinus.cli.main import run
from support.audit.report_cli import StoppedClock
from support.cluster_world import World, world_behind_kubectl
from support.manifests.builders import Manifest, changed, model_version
from support.manifests.stored import OLD, PLAN, config, endpoints, gateway, in_cluster, operator, route, service
from support.prometheus.questions import add_buckets, add_classes, add_presence, after, steadily
from support.prometheus.server import History, Prometheus

NOW: Final = 595


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Two backends that are scraped every 10 s: one for ten minutes, one for three."""
    history = History()
    add_presence(history, "old", steadily(1))
    add_classes(history, "old", {"2": steadily(1)})
    # The same bound as Prometheus 2 and as Prometheus 3 spell it.
    bounds = ("100", "200", "500", "+Inf")
    add_buckets(history, "old", {bound: steadily(1) for bound in bounds}, pod="a")
    add_buckets(history, "old", {bound: steadily(1) for bound in ("100.0", "200.0", "500.0", "+Inf")}, pod="b")
    with Prometheus(tmp_path_factory.mktemp("prometheus"), history=history) as running:
        yield running


@pytest.fixture
def world(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster with all that the Rollout names; only Prometheus is not behind kubectl."""
    world = world_behind_kubectl(monkeypatch)
    world.add(route(), gateway(), in_cluster(model_version()), in_cluster(model_version(OLD)), *operator())
    for name in ("fraud-detector-v2-3-1", "old"):
        world.add(service(name), endpoints(name))
    config("15s", "10s")(world)
    return world


class Lint:
    """Runs the command at a time of the history."""

    def __init__(self, url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._url, self._file, self._capsys = url, folder / "rollout.yaml", capsys

    def __call__(self, plan: Manifest, at: float = NOW) -> list[str]:
        self._file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
        words = ["lint", "--cluster", "--prometheus", self._url, "-f", str(self._file)]
        run(words, CliContext(clock=StoppedClock(after(at))))
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def lint(prometheus: Prometheus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lint:
    return Lint(prometheus.url, tmp_path, capsys)


def test_series_buckets_and_interval_that_fit_are_no_findings(world: World, lint: Lint) -> None:
    assert lint(PLAN) == []


def test_a_limit_between_two_real_bounds_is_found(world: World, lint: Lint) -> None:
    (line,) = lint(changed(PLAN, {"spec.stages[1].abortOn[0]": "latency_p95 > 300ms"}))
    assert "the limit of latency_p95 > 300ms is between two bounds of the buckets, 200 and 500 ms" in line


def test_an_interval_that_is_not_the_configured_one_is_found(world: World, lint: Lint) -> None:
    config("15s", "30s")(world)
    (line,) = lint(PLAN)
    assert "source default is scraped about every 10 s, and configured as 30s" in line


def test_the_interval_of_young_series_is_not_known(world: World, lint: Lint) -> None:
    config("15s", "30s")(world)
    (line,) = lint(PLAN, at=180)
    assert "not checked whether source default is scraped every 30s: its series are too young" in line


def test_a_backend_that_has_traffic_and_no_series_is_found(world: World, lint: Lint) -> None:
    world.drop("HTTPRoute", "fraud-detector")
    world.add(route(("old", 95), ("fraud-detector-v2-3-1", 5), ("unused", 0)))
    (line,) = lint(PLAN)
    assert "no series of preset contour for fraud-detector-v2-3-1:80, which HTTPRoute/fraud-detector[predict]" in line


def test_a_preset_without_series_is_found_with_those_that_have_some(world: World, lint: Lint) -> None:
    (line,) = lint(changed(PLAN, {"spec.metrics": {"preset": "istio"}}))
    assert "no series of preset istio (istio_requests_total); it has series of contour, envoy:" in line

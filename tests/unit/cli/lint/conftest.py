"""A cluster in which all is there that a Rollout names, and the command on files in a folder of their own."""

from pathlib import Path

import pytest

from support.cluster_world import World, row, world_behind_kubectl
from support.linted import Linted
from support.manifests.builders import model_version
from support.manifests.stored import BOUNDS, OLD, endpoints, gateway, in_cluster, operator, route, service


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster in which all is there that the Rollout names."""
    world = world_behind_kubectl(monkeypatch)
    world.add(route(), gateway(), in_cluster(model_version()), in_cluster(model_version(OLD)), *operator())
    for name in ("fraud-detector-v2-3-1", "old"):
        world.add(service(name), endpoints(name))
    world.series |= {
        "vector(1)": [row(1)],
        "serinus_preset": [row(7, serinus_preset="contour"), row(7, serinus_preset="envoy")],
        "count_over_time": [row(20)],
        "count by (le)": [row(3, le=bound) for bound in BOUNDS],
        "count by (envoy_cluster_name)": [row(1, envoy_cluster_name="ml_old_80")],
    }
    return world


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Linted:
    monkeypatch.chdir(tmp_path)
    return Linted(tmp_path, capsys)

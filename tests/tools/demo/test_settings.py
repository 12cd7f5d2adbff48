"""The plan is the same in every cluster, and what Prometheus has of each data plane is what the operator reads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import manifests
from demo.given.options import Options
from demo.given.pace import minutes, pace_of
from demo.given.stage import programs, settings_of
from demo.local.stage import Setting
from demo.manifests import FAILING, GOOD, SLOW, STABLE, VERSIONS
from demo.metrics.dataplanes import DATA_PLANES
from demo.metrics.prometheus import expression
from demo.portable.server import PORT
from demo.settings import LOCAL_PACE, DemoSettings
from demo.traffic.load import MAX_SECONDS
from localcluster.client import Cluster
from serinus.api.abort_condition import parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.cli.lint.object_check import is_ours, object_problems
from serinus.metrics.presets import PRESETS


def options_in(folder: Path, **changes: Any) -> Options:
    file = folder / "kubeconfig"
    file.touch()
    fields: dict[str, Any] = {
        "kubeconfig": file,
        "context": "",
        "gateway": ObjectKey("gateways", "public"),
        "gateway_url": "http://127.0.0.1:8080",
        "prometheus": "http://127.0.0.1:9090",
        "preset": "istio",
        "source": "thanos",
        "namespace": "serinus-demo",
        "hostname": "fraud.example.org",
        "image": "python:3.13",
        "rate": 100.0,
        "folder": folder,
        "yes": False,
        "keep": False,
    }
    return Options(**(fields | changes))


def given(folder: Path, scrape: float = 30.0) -> DemoSettings:
    return settings_of(options_in(folder), scrape)


def local(folder: Path) -> DemoSettings:
    return Setting(Cluster(folder), folder, 500.0).demo


def documents(settings: DemoSettings) -> list[dict[str, Any]]:
    texts = [*(manifests.version(version, settings) for version in VERSIONS)]
    texts += [manifests.route(STABLE, settings), manifests.rollout(GOOD, settings)]
    return [one for text in texts for one in yaml.safe_load_all(text)]


@pytest.mark.parametrize("fill", [local, given])
def test_the_manifests_are_valid_and_stay_in_the_demos_namespace(tmp_path: Path, fill: Any) -> None:
    settings = fill(tmp_path)
    found = documents(settings)

    assert [problem for one in found if is_ours(one) for problem in object_problems(one)] == []
    assert {one["metadata"]["namespace"] for one in found} == {settings.namespace}


def test_the_plan_differs_in_the_data_plane_and_in_patience_only(tmp_path: Path) -> None:
    here, there = (yaml.safe_load(manifests.rollout(GOOD, one))["spec"] for one in (local(tmp_path), given(tmp_path)))

    assert here["metrics"] == {"source": "default", "preset": "contour"}
    assert there["metrics"] == {"source": "thanos", "preset": "istio"}
    for key in ("traffic", "duration", "bake", "abortOn"):
        assert [one.get(key) for one in here["stages"]] == [one.get(key) for one in there["stages"]]


def test_pods_elsewhere_need_an_image_with_python_and_nothing_of_this_machine(tmp_path: Path) -> None:
    settings = given(tmp_path)
    text = "".join([manifests.version(SLOW, settings), manifests.rollout(GOOD, settings), programs("serinus-demo")])
    (container,) = yaml.safe_load(manifests.version(SLOW, settings).split("---")[0])["spec"]["template"]["spec"][
        "containers"
    ]

    assert container["image"] == "python:3.13"
    assert container["args"][-4:] == ["--latency-under-traffic", "0.45", "--after-requests", "30"]
    assert container["args"][4] == "--weights"
    assert str(Path(__file__).parents[3]) not in text


def test_the_route_names_the_gateway_and_the_host_that_were_given(tmp_path: Path) -> None:
    route = yaml.safe_load(manifests.route(STABLE, given(tmp_path)))["spec"]

    assert route["hostnames"] == ["fraud.example.org"]
    assert [(one["namespace"], one["name"]) for one in route["parentRefs"]] == [("gateways", "public")]


@pytest.mark.parametrize("scrape", [1.0, 5.0, 15.0, 30.0, 60.0])
@pytest.mark.parametrize("rate", [20.0, 100.0, 500.0])
def test_waits_are_longer_than_what_the_run_needs(scrape: float, rate: float) -> None:
    pace = pace_of(scrape, rate)
    canary = max(pace.canary, 600 / (0.05 * rate)) + 4 * scrape

    assert pace.stage > canary
    assert pace.run > canary + pace.bake + 4 * scrape
    assert pace.safe >= max(LOCAL_PACE.safe, 2 * scrape)
    assert pace.probe <= scrape
    assert 60 * minutes(scrape, rate) > canary + 12 * scrape
    assert 60 * minutes(scrape, rate) < pace.load <= MAX_SECONDS


@pytest.mark.parametrize("name", sorted(DATA_PLANES))
def test_the_series_are_those_of_the_preset(name: str) -> None:
    plane, preset = DATA_PLANES[name], PRESETS[name]

    assert plane.requests == preset.requests
    assert preset.histogram is not None
    assert (f"{plane.times}_bucket", plane.per_second) == (preset.histogram.series, preset.histogram.per_second)


_ADDED = {
    "envoy-gateway": ("", "/tcp"),
    "istio": ("", ".svc.cluster.local"),
    "traefik": ("httproute-demo-fraud-gw-public-web-0-0123456789abcdef0123-svc-", "-0@kubernetesgateway"),
}
"""By preset, what the data plane writes before and behind the name of a backend."""


@pytest.mark.parametrize("name", sorted(DATA_PLANES))
def test_the_matcher_finds_the_series_of_the_backend_and_of_no_other(name: str) -> None:
    backend, (label,) = BackendRef(name=FAILING.backend, port=PORT), PRESETS[name].isolation
    before, after = _ADDED.get(name, ("", ""))
    found = re.search(rf'{label.name}=(~?)"([^"]*)"', DATA_PLANES[name].backend("demo", FAILING.backend, PORT))
    assert found is not None
    pattern = found[2].replace(r"\\", "\\") if found[1] else re.escape(found[2])

    assert re.fullmatch(pattern, f"{before}{label.value('demo', backend)}{after}")
    assert not re.fullmatch(pattern, f"{before}{label.value('other', backend)}{after}")


@pytest.mark.parametrize("name", sorted(DATA_PLANES))
def test_errors_are_asked_for_in_the_words_of_the_data_plane(name: str) -> None:
    plane = DATA_PLANES[name]
    query = expression(parse_abort_condition("error_rate > 0.5%"), plane.backend("demo", "fraud", PORT), plane)

    assert f'{plane.code}={"" if plane.classes else "~"}"5{"" if plane.classes else ".."}"' in query

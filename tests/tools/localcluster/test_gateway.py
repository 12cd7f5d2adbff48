"""The gateway and Prometheus: traffic follows the weights, and the metrics show it."""

import json
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

from localcluster.parts import gateway
from localcluster.settings import Settings
from support.localcluster import Namespace, eventually, fetch

REQUESTS = 600


def route(namespace: Namespace, weights: dict[str, int]) -> dict[str, Any]:
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "split"},
        "spec": {
            "parentRefs": [{"name": "serinus", "namespace": "projectcontour"}],
            "hostnames": [f"{namespace.name}.test"],
            "rules": [{"backendRefs": backends}],
        },
    }


def accepted(namespace: Namespace) -> bool:
    manifest = namespace.get("httproute", "split")
    return any(
        condition["type"] == "Accepted"
        and condition["status"] == "True"
        and condition["observedGeneration"] == manifest["metadata"]["generation"]
        for parent in manifest.get("status", {}).get("parents", [])
        for condition in parent["conditions"]
    )


def query(namespace: Namespace, promql: str) -> list[dict[str, Any]]:
    url = f"{namespace.cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
    status, body = fetch(url)
    return json.loads(body)["data"]["result"] if status == 200 else []


def test_a_route_of_95_to_5_sends_about_a_twentieth_to_the_canary(namespace: Namespace) -> None:
    namespace.serve("stable", ANSWER="stable")
    namespace.serve("canary", ANSWER="canary")
    namespace.apply(route(namespace, {"stable": 95, "canary": 5}))
    eventually(lambda: accepted(namespace), why="the route is accepted")

    def ask() -> tuple[int, str]:
        return fetch(namespace.cluster.gateway_url, Host=f"{namespace.name}.test")

    eventually(lambda: ask()[0] == 200, why="the route carries traffic")
    answers = Counter(ask() for _ in range(REQUESTS))

    assert answers.keys() == {(200, "stable"), (200, "canary")}
    # Mean 30, standard deviation 5.3: outside this range in one of a million runs.
    assert 6 <= answers[200, "canary"] <= 58
    counted = f'sum(envoy_cluster_upstream_rq_xx{{envoy_cluster_name="{namespace.name}_canary_80"}})'
    sample = eventually(
        lambda: [entry for entry in query(namespace, counted) if float(entry["value"][1]) >= answers[200, "canary"]],
        why="Prometheus has scraped what the canary answered",
    )
    assert sample


def test_envoys_histograms_have_a_bound_at_200_ms(namespace: Namespace) -> None:
    namespace.serve("stable")
    namespace.apply(route(namespace, {"stable": 1}))
    url, host = namespace.cluster.gateway_url, f"{namespace.name}.test"
    eventually(lambda: fetch(url, Host=host)[0] == 200, why="the route carries traffic")

    series = f'envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{namespace.name}_stable_80",le="200"}}'

    assert eventually(lambda: query(namespace, series), why="a bucket le=200")


def test_envoys_default_bounds_can_be_kept(namespace: Namespace, tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to(namespace.cluster.state / "bin")

    gateway.envoy(Settings(state=tmp_path, extra_bounds=False))

    assert "stats_config" not in json.loads((tmp_path / "envoy.json").read_text())
    assert "stats_config" in json.loads((namespace.cluster.state / "envoy.json").read_text())


def test_envoy_accepts_every_update_of_contour(namespace: Namespace) -> None:
    # A rejected update is sent again at once, which would keep both busy in an idle cluster.
    status, text = fetch(f"{namespace.cluster.envoy_admin_url}/stats?filter=update_rejected")

    assert status == 200
    assert {line.partition(": ")[2] for line in text.splitlines()} == {"0"}


def test_annotated_pods_are_scraped(namespace: Namespace) -> None:
    namespace.serve("web")
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    namespace.kubectl("patch", "deployment/web", "--type=merge", f"--patch={json.dumps(patch)}")

    samples = eventually(lambda: query(namespace, f'up{{namespace="{namespace.name}"}}'), why="a target of the pod")

    assert samples[0]["metric"]["app"] == "web"


def test_prometheus_can_be_stopped_and_started(namespace: Namespace) -> None:
    url = f"{namespace.cluster.prometheus_url}/-/ready"
    assert fetch(url)[0] == 200

    namespace.cluster.stop("prometheus")
    stopped = fetch(url)[0], namespace.cluster.parts()["prometheus"]
    namespace.cluster.start("prometheus")

    assert stopped == (0, "stopped")
    assert fetch(url)[0] == 200


def test_a_paused_part_does_not_answer_and_can_be_resumed(namespace: Namespace) -> None:
    url = f"{namespace.cluster.envoy_admin_url}/ready"

    namespace.cluster.pause("envoy")
    paused = fetch(url)[0]
    namespace.cluster.resume("envoy")

    assert paused == 0
    assert fetch(url)[0] == 200

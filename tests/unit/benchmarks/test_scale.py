"""The arithmetic of the benchmark at scale: what it calls visible, copies, counts and reports."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.scale.etcd import copied
from benchmarks.scale.gateway import Gateway
from benchmarks.scale.objects import NEW, OLD, candidate_of, manifests, name_of, spec_hashes, stages
from benchmarks.scale.profile import summary
from benchmarks.scale.prometheus import first_over, quantile
from benchmarks.scale.results import keys_of
from benchmarks.scale.series import Series
from serinus.metrics.presets import PRESETS

STABLE, CANDIDATE = "m00000-v1-0-0", "m00000-v2-0-0"


def test_a_breach_is_visible_at_the_first_sample_over_the_limit() -> None:
    good = [(0.0, 1000.0), (5.0, 1050.0), (10.0, 1100.0), (40.0, 1400.0), (45.0, 1420.0)]
    assert first_over({"2": good, "5": [(40.0, 10.0), (45.0, 40.0)]}, 0.05, since=38.0) == 45.0
    assert first_over({"2": good, "5": [(40.0, 20.0), (45.0, 40.0)]}, 0.05, since=38.0) == 40.0


def test_failures_that_left_the_window_are_not_visible() -> None:
    good = [(0.0, 0.0), (60.0, 1000.0), (65.0, 1050.0)]
    assert first_over({"2": good, "5": [(0.0, 0.0), (10.0, 500.0), (65.0, 500.0)]}, 0.05, since=50.0) is None


def test_a_copy_has_its_own_name_uids_and_hashes() -> None:
    uid, other = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
    name, copy = name_of(0), name_of(7)
    old, _ = spec_hashes(name)
    pairs = [
        (b"/registry/a/scale/m00000", f"{name} {uid} {old} {other}".encode()),
        (b"/registry/b/scale/m00000-x", f"{uid} {name}-x".encode()),
    ]

    (key, value), (second_key, second) = copied(pairs, name, copy)

    assert (key, second_key) == (b"/registry/a/scale/m00007", b"/registry/b/scale/m00007-x")
    named, fresh, hashed, another = value.decode().split()
    assert (named, hashed) == (copy, spec_hashes(copy)[0])
    assert second.decode() == f"{fresh} {copy}-x"
    assert len({uid, other, fresh, another}) == 4
    assert len(value) == len(pairs[0][1])


def test_the_series_have_every_name_that_the_preset_queries_but_grpc() -> None:
    series = Series(rate=100.0, seed=1)
    series.set_weights({"m00000": {STABLE: 0.95, CANDIDATE: 0.05}})
    series.set_errors({f"*{CANDIDATE[6:]}": 1.0})
    backends = series.backends("m00000")
    backends[STABLE].grow(1000, 0)
    backends[CANDIDATE].grow(50, 50)

    names = {line.partition("{")[0] for line in series.page(0, 1).splitlines()}

    preset = PRESETS["contour"]
    assert preset.histogram
    assert preset.lifecycle
    lifecycle = {*preset.lifecycle.sent, *preset.lifecycle.broken}
    lifecycle |= {preset.lifecycle.repeated, preset.lifecycle.ended, preset.lifecycle.active}
    assert {preset.requests, preset.presence, preset.histogram.series, *lifecycle} <= names


def test_a_backend_without_answers_has_neither_classes_nor_response_times() -> None:
    series = Series(rate=100.0, seed=1)
    series.set_weights({"m00000": {STABLE: 1.0}})
    page = series.page(0, 1)
    assert "rq_xx" not in page
    assert "rq_time_bucket" not in page
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="scale_m00000-v1-0-0_8080"} 0' in page


def test_only_failures_count_towards_the_class_of_server_errors() -> None:
    series = Series(rate=100.0, seed=1)
    series.set_weights({"m00000": {STABLE: 1.0}})
    series.backends("m00000")[STABLE].grow(10, 3)
    page = series.page(0, 1)
    assert 'rq_xx{envoy_response_code_class="2",envoy_cluster_name="scale_m00000-v1-0-0_8080"} 7' in page
    assert 'rq_xx{envoy_response_code_class="5",envoy_cluster_name="scale_m00000-v1-0-0_8080"} 3' in page


def test_the_parts_share_the_models() -> None:
    series = Series(rate=100.0, seed=1)
    series.set_weights({name_of(number): {f"{name_of(number)}-v1-0-0": 1.0} for number in range(5)})
    pages = [series.page(part, 2) for part in range(2)]
    assert [sum(name_of(number) in page for number in range(5)) for page in pages] == [3, 2]


def accepted_route(generation: int, weights: dict[str, int], observed: int) -> dict[str, Any]:
    refs = [{"name": name, "weight": weight} for name, weight in weights.items()]
    conditions = [{"type": "Accepted", "status": "True", "observedGeneration": observed}]
    return {
        "metadata": {"name": "m00000", "generation": generation},
        "spec": {"rules": [{"name": "predict", "backendRefs": refs}], "parentRefs": []},
        "status": {"parents": [{"conditions": conditions}]},
    }


async def test_a_candidate_is_safe_once_its_weight_0_is_accepted_for_the_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def accept(_: Gateway, __: dict[str, Any]) -> None:
        return

    monkeypatch.setattr(Gateway, "_accept", accept)
    gateway = Gateway(api=None, session=None)  # type: ignore[arg-type]
    gateway.see(accepted_route(1, {STABLE: 95, CANDIDATE: 5}, observed=1))
    assert gateway.without == {}
    gateway.see(accepted_route(2, {STABLE: 100, CANDIDATE: 0}, observed=1))
    assert (gateway.without["m00000"].written > 0, gateway.without["m00000"].accepted) == (True, 0)
    gateway.see(accepted_route(2, {STABLE: 100, CANDIDATE: 0}, observed=2))
    assert gateway.without["m00000"].accepted >= gateway.without["m00000"].written


def test_all_objects_of_a_model_have_its_name() -> None:
    made = manifests("m00042", stages("6h", "1h", ("error_rate > 5%",), burst=1))
    assert all("m00042" in one["metadata"]["name"] for one in made)
    assert candidate_of("m00042") in {one["metadata"]["name"] for one in made if one["kind"] == "Service"}
    assert [one["spec"]["version"] for one in made if one["kind"] == "ModelVersion"] == [OLD, NEW]
    assert [stage.get("burst") for stage in made[-1]["spec"]["stages"]] == [None, 1, 1]


def test_a_profile_counts_a_function_once_a_stack() -> None:
    lines = summary("a (x.py:1);b (x.py:2);b (x.py:3) 3\na (x.py:9) 1\n").splitlines()
    assert lines[0].startswith("4 samples")
    assert lines[1].split() == ["100.0%", "25.0%", "a", "(x.py)"]
    assert lines[2].split() == ["75.0%", "75.0%", "b", "(x.py)"]


def test_a_quantile_is_the_nearest_rank() -> None:
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.5, 0.99, 1.0)] == [2.0, 4.0, 4.0]


def test_each_scenario_determines_the_keys_of_the_result() -> None:
    in_canary = {
        "one_by_one_breach_to_safe_p99_seconds": 1.5,
        "at_once_breach_to_safe_p99_seconds": 4.0,
        "rss_mib": 9.0,
    }
    assert keys_of("canary", 1000, in_canary) == {
        "breach_to_safe_p99_seconds_1000": 1.5,
        "breach_to_safe_p99_seconds_1000_at_once": 4.0,
        "rss_mib_1000": 9.0,
    }
    at_rest = {"rss_mib": 90.0, "cpu_cores": 0.01, "writes_per_minute": 0.0}
    assert keys_of("rest", 1000, at_rest) == {"cpu_cores_at_rest_1000": 0.01, "writes_at_rest_per_minute_1000": 0.0}
    assert keys_of("rest", 5000, at_rest)["rss_mib_5000"] == 90.0
    assert keys_of("run", 3, {"writes": 24}) == {"writes_per_run": 24}


def test_the_page_has_only_what_was_measured() -> None:
    tool = performance_tool()
    page = tool.page({"rss_mib_1000": 150.0, "writes_at_rest_per_minute_5000": 0.0})
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert "| Memory, 1,000 in canary | ≤ 120 MiB | 150 MiB | 1.2 | canary_1000 |" in rows
    assert "| API writes a minute, 5,000 at rest | ≤ 0 | 0 | reached | rest_5000 |" in rows
    assert "| One decision on a canary, CPU time | ≤ 50 µs | not measured | | decide |" in rows


def performance_tool() -> ModuleType:
    file = Path(__file__).resolve().parents[3] / "tools" / "generate_performance.py"
    spec = importlib.util.spec_from_file_location("generate_performance", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""``serinus lint --cluster`` on a real API server, the real gateway and the real Prometheus."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from demo.observe import wait_for
from localcluster.addresses import NODE, PROMETHEUS_PORT
from serinus.cli.check.cluster import OPERATORS
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import (
    ERRORS,
    MODEL,
    PORT,
    RULE,
    Manifest,
    backend_of,
    backend_ref,
    canary,
    endpoints,
    model_version,
    production,
    rollout,
    route,
    rule,
    service,
    staging,
)
from support.e2e.place import SOON, Place
from support.manifests.builders import GONE, changed

PLAN: Final = (staging(), canary(), production())
LABEL, OPERATOR = OPERATORS.removeprefix("--selector=").split("=")


class Found(NamedTuple):
    """A finding, as a test compares it."""

    check: str
    level: str
    object: str
    field: str


@pytest.fixture
async def standing(place: Place) -> AsyncIterator[Place]:
    """Two versions that are ready, an accepted route, and an operator's configuration whose Prometheus is a Service."""
    for version in (STABLE, GOOD):
        await place.serve(version)
    await place.create(route(place.namespace, place.hostname, stable=STABLE))
    await _stand_in_for_prometheus(place)
    for one in _operator(place):
        await _create(place, one, place.namespace)
    await wait_for(
        lambda: place.view.route(place.key, RULE), lambda seen: seen.accepted, within=SOON, what="an accepted route"
    )
    yield place
    # The next test's operator is another one.
    await _delete(place, "deployment", "serinus", place.namespace)


async def _stand_in_for_prometheus(place: Place) -> None:
    """Make the Prometheus of the cluster a Service: the API server's proxy only goes to addresses of pods."""
    container = {"name": "prometheus", "image": "none"}
    # No node runs it: it is only the object that has the address.
    spec = {"containers": [container], "schedulingGates": [{"name": "serinus.dev/never"}]}
    await _create(place, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, place.namespace)
    status = json.dumps({"status": {"podIP": NODE, "podIPs": [{"ip": NODE}]}})
    await place.kubectl.run(["patch", "pod", "p", "-n", place.namespace, "--subresource=status", f"--patch={status}"])
    port = {"port": PROMETHEUS_PORT, "name": "http", "protocol": "TCP"}
    await place.create({**service(place.namespace, "prometheus"), "spec": {"ports": [port]}})
    target = {"kind": "Pod", "name": "p", "namespace": place.namespace}
    slices = changed(
        endpoints(place.namespace, "prometheus", NODE), {"ports": [port], "endpoints[0].targetRef": target}
    )
    await place.create(slices)


async def _create(place: Place, manifest: Manifest, namespace: str) -> None:
    await place.kubectl.run(["create", "-n", namespace, "-f", "-"], json.dumps(manifest))


async def _delete(place: Place, kind: str, name: str, namespace: str) -> None:
    await place.kubectl.run(["delete", kind, name, "-n", namespace, "--ignore-not-found"])


def _operator(place: Place) -> list[Manifest]:
    """An operator as the chart installs it, without a pod: its configuration is what is read."""
    interval = place.cluster.settings.scrape_interval
    source = {"url": f"http://prometheus.{place.namespace}.svc:{PROMETHEUS_PORT}", "scrapeInterval": interval}
    config = yaml.safe_dump({"sources": {"default": source}})
    labels = {LABEL: OPERATOR}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": "none"}]}}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "serinus"}, "data": {"config.yaml": config}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "serinus", "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        },
    ]


class Lint:
    """Runs the program as a user does."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.status = 0

    async def __call__(self, *objects: Manifest, words: Sequence[str] = (), user: str = "admin") -> list[Any]:
        """Return the findings about these objects, as the program prints them."""
        file = self._place.folder / "linted.yaml"
        file.write_text(yaml.safe_dump_all(objects, sort_keys=False))
        program = Path(sys.executable).with_name("serinus")
        process = await asyncio.create_subprocess_exec(
            *(str(program), "lint", "--cluster", "-n", self._place.namespace, "-f", str(file), "-o", "json", *words),
            env=self._place.environment | {"KUBECONFIG": str(self._place.cluster.kubeconfig_of(user))},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, problem = await asyncio.wait_for(process.communicate(), 120)
        self.status = process.returncode or 0
        assert self.status in {0, 1}, problem.decode()
        found: list[Any] = json.loads(told or "null")
        assert found is not None, problem.decode()
        assert all(one["line"] and one["column"] for one in found)
        return found

    async def found(self, *objects: Manifest, words: Sequence[str] = (), user: str = "admin") -> set[Found]:
        """Return the findings but for the note that a new cluster's scrape interval is not known yet."""
        findings = await self(*objects, words=words, user=user)
        young = [one for one in findings if "its series are too young" in one["message"]]
        kept = [one for one in findings if one not in young]
        return {Found(one["check"], one["level"], one["object"].split()[0], one["field"]) for one in kept}

    async def until(self, fits: set[Found], *objects: Manifest, words: Sequence[str] = ()) -> None:
        """Wait until these are the findings: the gateway and Prometheus follow what is written."""
        await wait_for(
            lambda: self.found(*objects, words=words), lambda found: found == fits, within=SOON, what=f"{fits}"
        )


@pytest.fixture
def lint(standing: Place) -> Lint:
    return Lint(standing)


def _plan(place: Place, changes: dict[str, Any] | None = None) -> Manifest:
    plan = changed(rollout(place.namespace, GOOD, PLAN), {"spec.rollbackTo": STABLE})
    return changed(plan, {"spec.stages[1].abortOn": ["latency_p95 > 500ms", ERRORS]} | (changes or {}))


async def test_what_fits_has_no_findings_and_what_prometheus_has_is_seen(standing: Place, lint: Lint) -> None:
    async with standing.traffic():
        # Through the API server's proxy of a Service, and at an address.
        await lint.until(set(), _plan(standing))
        await lint.until(set(), _plan(standing), words=["--prometheus", standing.cluster.prometheus_url])
    limit = _plan(standing, {"spec.stages[1].abortOn[0]": "latency_p95 > 220ms"})
    assert await lint.found(limit) == {Found("coarse-buckets", "warning", "Rollout", "spec.stages[1].abortOn[0]")}
    assert lint.status == 0
    istio = _plan(standing, {"spec.metrics.preset": "istio"})
    assert await lint.found(istio) == {Found("no-series", "warning", "Rollout", "spec.metrics.preset")}
    assert lint.status == 0


async def test_what_the_cluster_does_not_have_is_found_at_its_field(standing: Place, lint: Lint) -> None:
    at_route = "spec.route.httpRoute"
    cases = {
        Found("missing-route", "error", "Rollout", f"{at_route}.name"): {f"{at_route}.name": "other"},
        Found("missing-rule", "error", "Rollout", f"{at_route}.ruleName"): {f"{at_route}.ruleName": "other"},
        Found("missing-version", "error", "Rollout", "spec.version"): {"spec.version": "9.9.9"},
        Found("missing-version", "error", "Rollout", "spec.rollbackTo"): {"spec.rollbackTo": "9.9.8"},
        Found("metric-source", "error", "Rollout", "spec.metrics.source"): {"spec.metrics.source": "other"},
        Found("condition", "error", "Rollout", "spec.stages[1].abortOn[1]"): {"spec.stages[1].abortOn[1]": "psi > 1"},
    }
    for expected, changes in cases.items():
        found = await lint.found(_plan(standing, changes))
        assert {one for one in found if one.level == "error"} == {expected}
        assert lint.status == 1


async def test_backends_are_looked_for_in_the_files_and_in_the_cluster(standing: Place, lint: Lint) -> None:
    version = model_version(standing.namespace, "5.0.0")
    plan = _plan(standing, {"spec.version": "5.0.0"})
    at = "spec.serving.backendRef"

    async def errors(*objects: Manifest) -> set[Found]:
        return {one for one in await lint.found(plan, *objects) if one.level == "error"}

    assert await errors(version) == {Found("missing-service", "error", "ModelVersion", f"{at}.name")}
    assert await errors(version, service(standing.namespace, backend_of("5.0.0"))) == set()
    await standing.create(service(standing.namespace, backend_of("5.0.0")))
    assert Found("not-ready", "warning", "ModelVersion", f"{at}.name") in await lint.found(plan, version)
    wrong = changed(version, {f"{at}.port": 9999})
    assert await errors(wrong) == {Found("missing-service", "error", "ModelVersion", f"{at}.port")}
    pool = {"group": "nowhere.example.org", "kind": "InferencePool", "name": "llm", "port": PORT}
    unserved = await errors(changed(version, {at: pool}))
    assert Found("not-served", "error", "ModelVersion", f"{at}.kind") in unserved


async def test_a_backend_of_another_kind_is_looked_for_by_its_kind(standing: Place, lint: Lint) -> None:
    version = model_version(standing.namespace, "5.0.0")
    plan = _plan(standing, {"spec.version": "5.0.0"})
    # A kind that every cluster with a gateway has stands for an InferencePool: asked for by group and kind.
    other = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": MODEL, "port": PORT}
    there = await lint.found(plan, changed(version, {"spec.serving.backendRef": other}))
    assert not {one for one in there if one.check in {"missing-backend", "not-served"}}
    gone = await lint.found(plan, changed(version, {"spec.serving.backendRef": {**other, "name": "gone"}}))
    assert Found("missing-backend", "error", "ModelVersion", "spec.serving.backendRef.name") in gone


async def test_the_gateway_is_believed_about_a_route_of_the_cluster(standing: Place, lint: Lint) -> None:
    shared = backend_ref("secret", 1, namespace="default")
    ours = backend_ref(backend_of(STABLE), 1)
    wanted = route(standing.namespace, standing.hostname, rule(RULE, ours, shared))
    grant = Found("missing-grant", "error", "HTTPRoute", "spec.rules[0].backendRefs[1].namespace")
    assert grant in await lint.found(_plan(standing), wanted)
    assert lint.status == 1
    await standing.api.merge(f"{standing.path('HTTPRoute')}/{MODEL}", {"spec": wanted["spec"]})
    refused = Found("route-refused", "error", "Rollout", "spec.route.httpRoute.name")
    await wait_for(
        lambda: lint.found(_plan(standing)),
        lambda found: refused in found,
        within=SOON,
        what="a refusal by the gateway",
    )


async def test_a_grant_and_the_gateway_of_a_route_in_the_files_are_looked_for(standing: Place, lint: Lint) -> None:
    elsewhere = backend_ref(backend_of(STABLE), 1, namespace="default")
    wanted = route(standing.namespace, standing.hostname, rule(RULE, elsewhere))
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": f"lint-{standing.namespace}"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": standing.namespace}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }
    missing = Found("missing-grant", "error", "HTTPRoute", "spec.rules[0].backendRefs[0].namespace")
    assert missing in await lint.found(_plan(standing), wanted)
    await _create(standing, grant, "default")
    try:
        assert missing not in await lint.found(_plan(standing), wanted)
    finally:
        await _delete(standing, "referencegrant", f"lint-{standing.namespace}", "default")
    gone = changed(wanted, {"spec.parentRefs[0].name": "gone", "spec.rules[0].backendRefs[0].namespace": GONE})
    assert Found("missing-gateway", "error", "HTTPRoute", "spec.parentRefs[0].name") in await lint.found(
        _plan(standing), gone
    )
    listener = changed(wanted, {"spec.parentRefs[0].sectionName": "gone"})
    assert Found("missing-gateway", "error", "HTTPRoute", "spec.parentRefs[0].sectionName") in await lint.found(
        _plan(standing), listener
    )


async def test_a_user_without_rights_gets_notes_and_nothing_is_missing(standing: Place, lint: Lint) -> None:
    found = await lint.found(_plan(standing, {"spec.route.httpRoute.name": "gone"}), user="developer")
    assert {(one.check, one.level) for one in found} == {("not-asked", "note")}
    assert {one.field for one in found} >= {"spec.route.httpRoute.name", "spec.version", "spec.rollbackTo"}
    assert lint.status == 0


async def test_without_an_operator_that_is_said_and_the_rest_is_asked(standing: Place, lint: Lint) -> None:
    await _delete(standing, "deployment", "serinus", standing.namespace)
    await lint.until(
        {
            Found("operator", "warning", "Rollout", ""),
            Found("not-asked", "note", "Rollout", "spec.metrics.preset"),
        },
        _plan(standing),
    )

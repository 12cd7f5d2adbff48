"""``serinus check``: each line says what was found and what to do; a failure is the exit status."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from serinus import __version__
from serinus.api.crd import definitions
from serinus.cli import main
from support.manifests.builders import rollout

_CONFIG: Final = """\
sources:
  default: {url: "http://prometheus.monitoring.svc:9090", scrapeInterval: 15s}
namespaces: []
"""
Lease = Callable[[], dict[str, Any]]
_LE: Final = ("50", "100", "200", "500", "+Inf")


def _value(number: float, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [0, str(number)]}


def _condition(kind: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"}]


def _deployment(ready: int = 1) -> dict[str, Any]:
    labels = {"app.kubernetes.io/version": __version__}
    metadata = {"name": "serinus", "namespace": "serinus-system", "labels": labels}
    return {"metadata": metadata, "status": {"readyReplicas": ready}}


def _lease(name: str = "serinus", *, holder: str | None = "host_1", age: float = 5, **spec: Any) -> Lease:
    """Return how a Lease is when it is asked for: tests are collected minutes before they run."""

    def lease() -> dict[str, Any]:
        renewed = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        held = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed, **spec}
        return {"metadata": {"name": name, "namespace": "ops"}, "spec": held}

    return lease


def _route(name: str = "fraud-detector") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"parents": [{"conditions": _condition("Accepted")}]}}


@dataclass
class World:
    """A cluster behind a kubectl.

    Attributes:
        objects: the answers to ``kubectl get KIND``; a text is what kubectl says when it fails.
        raw: likewise to ``kubectl get --raw=PATH``.
        series: likewise to queries, by what they contain.
        barred: the verbs and kinds that the user may not use.
        stamped: whether the API server stamps who acts.
        former_policy: whether it does so by the policy of an earlier release.
        absent: the namespace in which nothing can be created, as it does not exist.
    """

    objects: dict[str, list[Any] | str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    series: dict[str, list[Any] | str] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    stamped: bool = True
    former_policy: bool = False
    absent: str = ""

    def answer(self, words: list[str], text: str | None) -> Any:
        match words[0], words[1]:
            case "config", _:
                return "ml"
            case "create", _ if self.absent and "--dry-run=server" in words:
                return (
                    f'Error from server (NotFound): error when creating "STDIN": namespaces "{self.absent}" not found'
                )
            case "create", _:
                return "\n".join(json.dumps(self._created(one, words)) for one in json.loads(text or "")["items"])
            case "get", raw if raw.startswith("--raw="):
                return self._raw(raw.removeprefix("--raw="))
            case _, kind:
                found = self.objects.get(kind, [])
                return found if isinstance(found, str) else {"items": found}

    def _created(self, one: Mapping[str, Any], words: list[str]) -> Mapping[str, Any]:
        if one["kind"] == "Model":
            assert "--dry-run=server" in words
            stamp = {"serinus.dev/requested-by": "ada"} if self.stamped else {}
            claimed = {} if self.stamped and not self.former_policy else one["metadata"]["annotations"]
            return {**one, "metadata": {**one["metadata"], "annotations": {**claimed, **stamp}}}
        asked = one["spec"]["resourceAttributes"]
        return {**one, "status": {"allowed": f"{asked['verb']} {asked['resource']}" not in self.barred}}

    def _raw(self, path: str) -> Any:
        if "/proxy/" not in path:
            return self.raw.get(path, "Error from server (NotFound): the server could not find the requested resource")
        assert path.startswith("/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query?query=")
        found = next((answer for part, answer in self.series.items() if part in path), [])
        return found if isinstance(found, str) else {"data": {"result": found}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster in which all is as it must be."""
    kinds = [{"name": name} for name in ("rollouts", "modelversions", "models", "auditrecords")]
    world = World(
        objects={
            "namespaces": [{"metadata": {"name": "ml"}}],
            "crd": list(definitions().values()),
            "validatingadmissionpolicies": [{"metadata": {"name": "serinus-approvals"}}],
            "gateways.gateway.networking.k8s.io": [{"status": {"conditions": _condition("Programmed")}}],
            "httproutes.gateway.networking.k8s.io": [_route()],
            "rollouts.serinus.dev": [rollout()],
            "deployments": [_deployment()],
            "configmap": [{"data": {"config.yaml": _CONFIG}}],
        },
        raw={
            "/version": {"gitVersion": "v1.37.2"},
            "/apis/serinus.dev/v1alpha1": {"resources": kinds},
            "/apis/gateway.networking.k8s.io/v1": {"resources": [{"name": "httproutes"}]},
        },
        series={
            "vector": [_value(1)],
            "count_over_time": [_value(20)],
            "by%20%28le%29": [_value(3, le=bound) for bound in _LE],
            "serinus_preset": [_value(7, serinus_preset=name) for name in ("contour", "envoy")],
        },
    )

    def run(words: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        found = world.answer(words[1:], options.get("input"))
        failed = isinstance(found, str) and found.startswith("Error")
        text = found if isinstance(found, str) else json.dumps(found)
        return subprocess.CompletedProcess(words, int(failed), "" if failed else text, text if failed else "")

    monkeypatch.setattr("subprocess.run", run)
    return world


_READY: Final = """\
ok   api-server         Kubernetes v1.37.2
ok   crds               serinus.dev/v1alpha1 serves rollouts, modelversions, models, auditrecords
ok   crds-current       the schemas are those of this client
ok   rights-read        you may read everything of Serinus in ml
ok   rights-write       you may roll out, pause, abort and roll back in ml
ok   rights-approve     you may approve and override in ml
ok   actor-stamp        the audit trail will name you as ada
ok   policies           installed: serinus-approvals
ok   gateway-api        gateway.networking.k8s.io/v1 is served
ok   gateways           1 of 1 programmed
ok   routes             1 in ml, each accepted by all of its gateways
ok   operator           serinus-system/serinus has 1 ready
ok   configuration      sources: default
ok   source-default     http://prometheus.monitoring.svc:9090 answers queries
ok   preset-default     there are series of contour and envoy
ok   scrape-default     scraped about every 15 s, configured is 15s
ok   buckets-default    latency limits that are counted exactly, in ms: 50, 100, 200, 500
"""


@pytest.mark.usefixtures("world")
def test_a_cluster_that_is_ready_has_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-n", "ml"]) == 0
    assert capsys.readouterr().out == _READY


@pytest.mark.usefixtures("world")
def test_json_has_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-o", "json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert len(lines) == len(_READY.splitlines())
    assert lines[0] == {"check": "api-server", "state": "ok", "message": "Kubernetes v1.37.2", "remedy": ""}


Change = Callable[[World], object]
_FORBIDDEN: Final = 'Error from server (Forbidden): x is forbidden: User "ada" cannot list resource "x"'


def _objects(kind: str, found: list[Any] | str) -> Change:
    return lambda world: world.objects.update({kind: found})


def _only_managed(world: World) -> None:
    """The Rollout's route is one that the operator is to make, and there is another one."""
    route = {"name": "fraud-detector", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
    world.objects["rollouts.serinus.dev"] = [rollout({"spec.route": {"httpRoute": route}})]
    world.objects["httproutes.gateway.networking.k8s.io"] = [_route("x")]


def _series(part: str, found: list[Any] | str) -> Change:
    return lambda world: world.series.update({part: found})


def _config(old: str, new: str) -> Change:
    return _objects("configmap", [{"data": {"config.yaml": _CONFIG.replace(old, new)}}])


def _without(path: str) -> Change:
    return lambda world: world.raw.pop(path)


def _barred(*rights: str) -> Change:
    return lambda world: world.barred.update(rights)


def _stamped_by_a_former_policy(world: World) -> None:
    world.former_policy = True


def _unstamped(world: World) -> None:
    world.stamped = False


def _leases(*leases: Lease) -> Change:
    def change(world: World) -> None:
        world.objects |= {"deployments": [], "leases.coordination.k8s.io": [lease() for lease in leases]}

    return change


def _hidden_leases(world: World) -> None:
    world.objects |= {"deployments": [], "leases.coordination.k8s.io": _FORBIDDEN}


_NO_CHART: Final = "(no Deployment of the chart was found)"
LEASES: Final[list[tuple[Change, int, str]]] = [
    (_leases(_lease()), 0, f"ok   operator           Lease ops/serinus is held by host_1 {_NO_CHART}"),
    (
        _leases(_lease("other"), _lease("serinus-shard-0", holder="a"), _lease("serinus-shard-1", holder="b")),
        0,
        f"ok   operator           Lease ops/serinus-shard-0 is held by a, ops/serinus-shard-1 by b {_NO_CHART}",
    ),
    (
        _leases(_lease("serinus-shard-0", age=600), _lease("serinus-shard-1", holder="b")),
        0,
        f"ok   operator           Lease ops/serinus-shard-1 is held by b {_NO_CHART}",
    ),
    (
        _leases(*(_lease(f"serinus-shard-{number}") for number in range(6))),
        0,
        (
            "ok   operator           Lease ops/serinus-shard-0 is held by host_1, ops/serinus-shard-1 by host_1, "
            f"ops/serinus-shard-2 by host_1 and 3 more {_NO_CHART}"
        ),
    ),
    (
        _leases(_lease(age=600)),
        1,
        "FAIL operator           Lease ops/serinus of host_1 has expired: it was last renewed",
    ),
    (
        _leases(_lease(leaseDurationSeconds=10**30, age=600)),
        1,
        "FAIL operator           Lease ops/serinus of host_1 has expired",
    ),
    (
        _leases(_lease(renewTime="9999-12-31T23:59:59Z")),
        0,
        f"ok   operator           Lease ops/serinus is held by host_1 {_NO_CHART}",
    ),
    (_leases(_lease(renewTime="0001-01-01T00:00:00+23:00")), 1, "FAIL operator           Lease ops/serinus of host_1"),
    (_leases(_lease(holder="")), 1, "FAIL operator           Lease ops/serinus has no holder"),
    (_leases(_lease(holder=None)), 1, "FAIL operator           Lease ops/serinus has no holder"),
    (_leases(_lease(renewTime="soon")), 1, "FAIL operator           Lease ops/serinus of host_1 has expired"),
    (
        _leases(_lease(renewTime=None, leaseDurationSeconds="x")),
        1,
        "FAIL operator           Lease ops/serinus of host_1",
    ),
    (
        _leases(lambda: {"metadata": {"name": "serinus", "namespace": "ops"}}),
        1,
        "FAIL operator           Lease ops/serinus has",
    ),
    (
        _leases(_lease("serinus-web"), _lease("my-serinus")),
        1,
        "FAIL operator           no Deployment of the chart is in",
    ),
    (
        _hidden_leases,
        0,
        "?    operator           no Deployment of the chart is in the cluster, and you may not see Leases",
    ),
]


CASES: Final[list[tuple[Change, int, str]]] = [
    (_without("/apis/serinus.dev/v1alpha1"), 1, "FAIL crds               serinus.dev/v1alpha1 is not served"),
    (_objects("crd", []), 0, "warn crds-current       the schema of auditrecords.serinus.dev, models.serinus.dev,"),
    (_objects("crd", _FORBIDDEN), 0, "?    crds-current       you may not read CRDs"),
    (_barred("list rollouts"), 1, "FAIL rights-read        you may not list rollouts in ml"),
    (_barred("patch rollouts"), 0, "warn rights-write       you may not patch rollouts in ml: look, but not roll out,"),
    (_barred("approve rollouts"), 0, "ok   rights-approve     you may override in ml"),
    (_barred("approve rollouts", "override rollouts"), 0, "ok   rights-approve     you may neither approve nor"),
    (_stamped_by_a_former_policy, 0, "warn actor-stamp        the policy is of an earlier release, and the operator"),
    (_unstamped, 0, "warn actor-stamp        nobody is stamped: the audit trail will say unverified"),
    (_objects("validatingadmissionpolicies", []), 0, "warn policies           none of the chart's validating policies"),
    (_objects("validatingadmissionpolicies", _FORBIDDEN), 0, "?    policies           you may not read admission"),
    (_without("/apis/gateway.networking.k8s.io/v1"), 1, "FAIL gateway-api        gateway.networking.k8s.io/v1 is not"),
    (_objects("gateways.gateway.networking.k8s.io", []), 1, "FAIL gateways           there is none"),
    (_objects("gateways.gateway.networking.k8s.io", [{}]), 1, "FAIL gateways           none of 1 is programmed"),
    (_objects("httproutes.gateway.networking.k8s.io", []), 0, "warn routes             no HTTPRoute is in ml"),
    (
        _objects("httproutes.gateway.networking.k8s.io", [_route("x")]),
        1,
        "FAIL routes             Rollouts name routes that are not there: fraud-detector",
    ),
    (
        _objects("httproutes.gateway.networking.k8s.io", [{"metadata": {"name": "fraud-detector"}}]),
        0,
        "warn routes             no gateway accepts fraud-detector",
    ),
    (_only_managed, 0, "ok   routes             1 in ml, each accepted"),
    (_objects("deployments", []), 1, "FAIL operator           no Deployment of the chart is in the cluster"),
    (_objects("deployments", [_deployment(0)]), 1, "FAIL operator           serinus-system/serinus has no ready pod"),
    (_objects("deployments", _FORBIDDEN), 0, "?    operator           you may not see Deployments of all namespaces"),
    (_objects("configmap", _FORBIDDEN), 0, "?    configuration      you may not read ConfigMap serinus-system/serinus"),
    (_config("scrapeInterval", "scrapeintervall"), 1, "FAIL configuration      ConfigMap serinus-system/serinus:"),
    (_config("[]", "[other]"), 1, "FAIL namespaces         the operator watches other, not ml"),
    (
        _config("prometheus.monitoring.svc", "10.0.0.1"),
        0,
        "?    source-default     http://10.0.0.1:9090 is not a Service",
    ),
    (_series("vector", _FORBIDDEN), 0, "?    source-default     you may not ask Services through the API server"),
    (
        _series("vector", "Error from server: no route"),
        1,
        "FAIL source-default     http://prometheus.monitoring.svc:9090",
    ),
    (_series("vector", []), 1, "FAIL source-default     http://prometheus.monitoring.svc:9090 does not answer as"),
    (_series("serinus_preset", []), 0, "warn preset-default     no series of a preset is there"),
    (_series("count_over_time", [_value(5)]), 0, "warn scrape-default     scraped about every 60 s, configured is 15s"),
    (_series("by%20%28le%29", []), 0, "warn buckets-default"),
    (
        _objects("rollouts.serinus.dev", [rollout({"spec.stages[1].abortOn": ["latency_p95 > 250ms"]})]),
        0,
        "warn buckets-default    between two buckets, so counted less exactly: latency_p95 > 250ms of fraud-detector",
    ),
    (
        _objects("rollouts.serinus.dev", [rollout({"spec.stages[1].abortOn": ["ttft_p95 > 1s"]})]),
        1,
        "FAIL conditions-default fraud-detector: ttft_p95 > 1s: preset contour has no ttft; presets",
    ),
]


@pytest.mark.parametrize(
    ("change", "status", "start"),
    CASES + LEASES,
    ids=[" ".join(start.split()[:9]) for _, _, start in CASES + LEASES],
)
def test_what_is_not_as_it_must_be_is_told_with_its_remedy(
    world: World, capsys: pytest.CaptureFixture[str], change: Change, status: int, start: str
) -> None:
    change(world)
    assert main(["check", "-n", "ml"]) == status
    lines = capsys.readouterr().out.splitlines()
    (number,) = [number for number, line in enumerate(lines) if line.startswith(start)]
    assert start.startswith("ok") or lines[number + 1].startswith(" " * 24)


def test_an_operator_without_the_chart_has_a_configuration_that_is_not_known(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _leases(_lease())(world)
    assert main(["check", "-n", "ml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("?    configuration      not known where the operator runs without") for line in lines)


def test_leases_of_nodes_are_not_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    answer = world.answer

    def noted(words: list[str], text: str | None) -> Any:
        asked.append(words)
        return answer(words, text)

    monkeypatch.setattr(world, "answer", noted)
    _leases(_lease())(world)
    main(["check", "-n", "ml"])
    (words,) = [words for words in asked if words[1].startswith("leases")]
    assert "--field-selector=metadata.namespace!=kube-node-lease" in words
    assert "--all-namespaces" in words


def _absent(world: World) -> None:
    world.absent = "demo"
    world.objects |= {"namespaces": [], "rollouts.serinus.dev": [], "httproutes.gateway.networking.k8s.io": []}


@pytest.mark.parametrize("config", [_CONFIG, _CONFIG.replace("[]", "[other]")])
def test_of_a_namespace_that_does_not_exist_only_this_is_said(
    world: World, capsys: pytest.CaptureFixture[str], config: str
) -> None:
    _absent(world)
    world.objects["configmap"] = [{"data": {"config.yaml": config}}]
    assert main(["check", "-n", "demo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == ["FAIL namespace          demo does not exist"]
    assert [line for line in lines if "demo" in line] == [
        "FAIL namespace          demo does not exist",
        f"{' ' * 24}kubectl create namespace demo, or name another one with -n: kubectl get namespaces",
    ]
    assert not [line for line in lines if line[5:].startswith(("rights", "actor-stamp", "routes", "namespaces"))]
    assert any(line.startswith("ok   operator") for line in lines)


def test_who_may_not_see_namespaces_learns_it_from_the_dry_run(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _absent(world)
    world.objects["namespaces"] = _FORBIDDEN
    assert main(["check", "-n", "demo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "FAIL namespace          demo does not exist" in lines
    assert not any("rights" in line or "try again" in line or "actor-stamp" in line for line in lines)


@pytest.mark.parametrize("answer", [_FORBIDDEN, "Error from server: timed out"])
def test_a_namespace_that_cannot_be_seen_is_taken_to_exist(
    world: World, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    world.objects["namespaces"] = answer
    assert main(["check", "-n", "ml"]) == 0
    assert capsys.readouterr().out == _READY


def test_without_a_cluster_it_fails_with_kubectls_sentence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.raw["/version"] = "Error: The connection to the server localhost:8080 was refused"
    assert main(["check"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "serinus: Error: The connection to the server localhost:8080 was refused\n"


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["check"]) == 1
    assert capsys.readouterr().err == "serinus: kubectl is not on PATH: install it\n"


def test_on_a_terminal_lines_are_wrapped_under_each_other(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.barred.add("patch rollouts")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["check", "-n", "ml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    at = lines.index("warn rights-write       you may not patch rollouts in ml: look, but not roll")
    assert lines[at + 1 : at + 3] == [
        "                        out, abort or pause",
        "                        kubectl create rolebinding serinus-users -n ml",
    ]

"""What the chart adds where it is asked to: scheduling, scraping, proxies, narrow rights, what it says afterwards."""

from typing import Any, Final

import pytest
import yaml

from support.helm import Helm, HelmError, find_helm
from support.release import CHART, SOURCE

Documents = list[dict[str, Any]]

_CHART: Final = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


@pytest.fixture(scope="module")
def default(helm: Helm) -> Documents:
    """The chart with its default values."""
    return helm.template(CHART, SOURCE)


def _one(documents: Documents, kind: str, name: str = "serinus") -> dict[str, Any]:
    (found,) = (one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def _pod(documents: Documents) -> dict[str, Any]:
    spec: dict[str, Any] = _one(documents, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_the_pods_are_spread_over_nodes_and_zones_and_never_kept_waiting_for_it(default: Documents) -> None:
    constraints = _pod(default)["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {one["whenUnsatisfiable"] for one in constraints} == {"ScheduleAnyway"}
    labels = _one(default, "Deployment")["spec"]["selector"]
    assert [one["labelSelector"] for one in constraints] == [labels, labels]
    assert {tuple(one["matchLabelKeys"]) for one in constraints} == {("pod-template-hash",)}


def test_a_constraint_with_a_selector_is_left_as_it_is_and_none_need_be(helm: Helm) -> None:
    own = '[{"maxSkew":2,"topologyKey":"rack","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{}}}]'
    given = _pod(helm.template(CHART, SOURCE, f"--set-json=topologySpreadConstraints={own}"))
    assert given["topologySpreadConstraints"] == yaml.safe_load(own)
    assert "topologySpreadConstraints" not in _pod(
        helm.template(CHART, SOURCE, "--set-json=topologySpreadConstraints=[]")
    )


def test_a_service_monitor_selects_the_metrics_service_and_not_the_pages(helm: Helm, default: Documents) -> None:
    page = "--set=web.enabled=true,web.hosts[0]=serinus.example.com"
    labels = "--set=metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=monitoring"
    rendered = helm.template(CHART, SOURCE, page, labels)
    monitor = _one(rendered, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "monitoring"
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    services = [one for one in rendered if one["kind"] == "Service"]
    assert len(services) == 2
    assert [one["metadata"]["name"] for one in services if selected <= one["metadata"]["labels"].items()] == [
        "serinus-metrics"
    ]
    assert monitor["spec"]["endpoints"] == [
        {"port": "http", "path": "/metrics", "interval": "15s", "honorLabels": True}
    ]
    assert [port["name"] for port in _one(rendered, "Service", "serinus-metrics")["spec"]["ports"]] == ["http"]
    assert "ServiceMonitor" not in {one["kind"] for one in default}


def test_two_monitors_of_the_same_series_are_refused(helm: Helm) -> None:
    both = "--set=metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true"
    with pytest.raises(HelmError, match="every series would be there twice: disable one"):
        helm.template(CHART, SOURCE, both)


def _environment(documents: Documents) -> dict[str, str]:
    entries = _pod(documents)["containers"][0]["env"]
    return {entry["name"]: entry["value"] for entry in entries if entry["name"].endswith("_PROXY")}


def test_a_proxy_becomes_environment_and_the_api_server_is_reached_without_it(helm: Helm, default: Documents) -> None:
    given = '--set-json=proxy={"https":"http://proxy.example:3128","none":[".internal.example","10.0.0.0/8"]}'
    found = _environment(helm.template(CHART, SOURCE, given))
    assert found.keys() == {"HTTPS_PROXY", "NO_PROXY"}
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    direct = found["NO_PROXY"].split(",")
    # The kubelet puts the address in: kubernetes.aio's configuration inside a cluster asks for no other.
    assert direct[0] == "$(KUBERNETES_SERVICE_HOST)"
    assert {"kubernetes.default.svc", ".svc", ".cluster.local", "localhost"} < set(direct)
    assert direct[-2:] == [".internal.example", "10.0.0.0/8"]
    assert _environment(default) == {}


def test_hosts_without_a_proxy_are_refused(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"proxy\.none has no effect without a proxy"):
        helm.template(CHART, SOURCE, "--set=proxy.none={a.example}")


@pytest.mark.parametrize("registry", ["Kubernetes", "DynamoDB"])
def test_with_namespaces_no_cluster_role_is_bound_to_the_operator(helm: Helm, registry: str) -> None:
    chosen = f"--set=config.registry.kind={registry},config.registry.dynamodb.cluster=prod"
    rendered = helm.template(CHART, SOURCE, chosen, "--set=namespaces={fraud,search}")
    assert [one for one in rendered if one["kind"] == "ClusterRoleBinding"] == []
    bindings = [one for one in rendered if one["kind"] == "RoleBinding"]
    assert {one["roleRef"]["kind"] for one in bindings} == {"Role"}
    of_people = {one["metadata"]["name"] for one in rendered if one["kind"] == "ClusterRole"}
    assert of_people == {f"serinus-{who}" for who in ("view", "edit", "admin", "approver", "override", "archivist")}
    places = {(one["metadata"]["name"], one["metadata"]["namespace"]) for one in bindings}
    expected = {("serinus", "fraud"), ("serinus", "search"), ("serinus-lease", "serinus-system")}
    expected |= {("serinus-api-server", "default")}
    assert places == expected | ({("serinus-identity", "kube-system")} if registry == "DynamoDB" else set())


def _notes(helm: Helm, *options: str) -> str:
    printed = helm.run("install", "serinus", str(CHART), "--namespace=serinus-system", "--dry-run=client", *options)
    return printed.partition("\nNOTES:\n")[2]


def test_the_notes_give_the_next_commands_and_warn_of_a_missing_stamp(helm: Helm) -> None:
    notes = _notes(helm, SOURCE)
    for command in (
        "helm test serinus -n serinus-system",
        "kubectl serinus check",
        "kubectl apply -n NAMESPACE -f examples/quickstart/",
        "kubectl serinus status NAME",
    ):
        assert command in notes
    assert "docs/index.md" in notes
    # Helm asks no cluster here, so it takes none for one that stamps.
    assert "WARNING: the actor stamp is not installed" in notes
    assert "no metric source is named default" not in notes


def test_the_notes_warn_where_no_source_is_the_one_that_rollouts_ask(helm: Helm) -> None:
    notes = _notes(helm, "--set=config.sources.main.url=http://a.example,config.sources.aside.url=http://b.example")
    assert "WARNING: no metric source is named default" in notes
    assert "Name one in spec.metrics.source of each (aside, main)" in notes


def _hub(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load(_CHART["annotations"][f"artifacthub.io/{name}"])
    return found


def test_artifact_hub_is_told_the_kinds_that_the_chart_installs(default: Documents) -> None:
    installed = {
        (one["metadata"]["name"], one["spec"]["names"]["kind"], one["spec"]["versions"][0]["name"])
        for one in default
        if one["kind"] == "CustomResourceDefinition"
    }
    assert {(one["name"], one["kind"], one["version"]) for one in _hub("crds")} == installed
    assert all(one["displayName"] and one["description"] for one in _hub("crds"))


def test_artifact_hub_is_told_the_image_the_licence_the_links_and_the_changes(default: Documents) -> None:
    assert [one["image"] for one in _hub("images")] == [_pod(default)["containers"][0]["image"]]
    assert _CHART["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    assert all(one.keys() == {"name", "url"} and one["url"].startswith("https://") for one in _hub("links"))
    # Artifact Hub admits the kinds of Keep a Changelog and refuses others.
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert all(one.keys() == {"kind", "description"} and one["kind"] in kinds for one in _hub("changes"))
    assert _hub("changes")


def _route_rules(documents: Documents) -> dict[str, list[str]]:
    """The rights on kinds of routes, by resource."""
    groups = {"gateway.networking.k8s.io", "networking.istio.io", "serving.kserve.io"}
    rules = [rule for rule in _one(documents, "ClusterRole")["rules"] if groups & set(rule["apiGroups"])]
    return {resource: rule["verbs"] for rule in rules for resource in rule["resources"]}


def test_only_the_routers_that_are_switched_on_are_watched_and_have_rights(helm: Helm, default: Documents) -> None:
    verbs = ["get", "list", "watch", "patch"]
    assert _route_rules(default) == {"httproutes": verbs}
    given = helm.template(CHART, SOURCE, "--set-json=config.routers=" + '["grpcRoute","virtualService"]')
    assert _route_rules(given) == {"grpcroutes": verbs, "virtualservices": verbs}
    config = yaml.safe_load(_one(given, "ConfigMap")["data"]["config.yaml"])
    assert config["routers"] == ["grpcRoute", "virtualService"]
    every = helm.template(CHART, SOURCE, "--set-json=config.routers=" + '["httpRoute","inferenceService"]')
    assert _route_rules(every) == {"httproutes": verbs, "inferenceservices": verbs}


@pytest.mark.parametrize("routers", ["[]", '["ingress"]', '["httpRoute","httpRoute"]'])
def test_a_router_that_does_not_exist_and_none_at_all_are_refused(helm: Helm, routers: str) -> None:
    with pytest.raises(HelmError, match="routers"):
        helm.template(CHART, SOURCE, f"--set-json=config.routers={routers}")

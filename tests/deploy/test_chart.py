"""The Helm chart, rendered without a cluster."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.api.names import (
    GROUP,
    UNSAFE_ROLLBACK_ANNOTATION,
    WAIVER_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
    Command,
)
from serinus.kube.shards import shard_lease_name
from serinus.settings import Settings, load_settings
from support.helm import Helm, HelmError, find_helm
from support.release import CHART, SOURCE

_ROOT: Final = Path(__file__).resolve().parents[2]
_STAMP: Final = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"

_VERSION_COMMANDS: Final = {
    WAIVER_ANNOTATION,
    UNSAFE_ROLLBACK_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
}

Documents = list[dict[str, Any]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


def _all(documents: Documents, kind: str) -> Documents:
    return [document for document in documents if document["kind"] == kind]


def _one(documents: Documents, kind: str) -> dict[str, Any]:
    (document,) = _all(documents, kind)
    return document


def _settings(documents: Documents, folder: Path) -> Settings:
    file = folder / "config.yaml"
    file.write_text(_one(documents, "ConfigMap")["data"]["config.yaml"], encoding="utf-8")
    return load_settings(file, {})


def test_lint_finds_nothing(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), SOURCE)


@pytest.mark.parametrize("name", ["rollouts.yaml", "modelversions.yaml", "models.yaml", "auditrecords.yaml"])
def test_the_charts_copy_of_a_crd_is_the_crd(name: str) -> None:
    copy = CHART / "files" / "crds" / name
    advice = "run: python -m serinus.api.crd deploy/helm/serinus/files/crds"
    assert copy.read_bytes() == (_ROOT / "deploy" / "crds" / name).read_bytes(), advice


def test_the_chart_has_every_crd_and_no_other() -> None:
    copies = {file.name for file in (CHART / "files" / "crds").iterdir()}
    assert copies == {file.name for file in (_ROOT / "deploy" / "crds").iterdir()}


def test_the_crds_are_installed_as_they_are_and_outlive_the_release(helm: Helm) -> None:
    rendered = _all(helm.template(CHART, SOURCE), "CustomResourceDefinition")
    assert [crd["metadata"].pop("annotations") for crd in rendered] == [{"helm.sh/resource-policy": "keep"}] * 4
    assert sorted(rendered, key=str) == sorted(_sources(), key=str)


def test_the_crds_can_be_uninstalled_with_the_release(helm: Helm) -> None:
    rendered = _all(helm.template(CHART, SOURCE, "--set=crds.keep=false"), "CustomResourceDefinition")
    assert sorted(rendered, key=str) == sorted(_sources(), key=str)


def test_the_crds_can_be_left_out(helm: Helm) -> None:
    assert _all(helm.template(CHART, SOURCE, "--set=crds.install=false"), "CustomResourceDefinition") == []


def _sources() -> Documents:
    files = (_ROOT / "deploy" / "crds").glob("*.yaml")
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def test_the_operator_can_read_the_settings_that_the_chart_writes(helm: Helm, tmp_path: Path) -> None:
    settings = _settings(helm.template(CHART, SOURCE), tmp_path)
    assert settings.lease_namespace == "serinus-system"
    assert settings.lease_name == "serinus"
    assert settings.sources.keys() == {"default"}
    assert settings.namespaces == ()


def test_sources_and_namespaces_reach_the_operator(helm: Helm, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    source = {"url": "https://prometheus.example", "scrapeInterval": "10s", "queries": {"drift": {"promql": "up"}}}
    values.write_text(yaml.safe_dump({"namespaces": ["a", "b"], "config": {"sources": {"default": source}}}))
    settings = _settings(helm.template(CHART, f"--values={values}"), tmp_path)
    assert settings.namespaces == ("a", "b")
    assert settings.sources["default"].url == "https://prometheus.example"
    assert settings.sources["default"].scrape_interval.seconds == 10
    assert settings.sources["default"].queries["drift"].promql == "up"


def test_new_settings_restart_the_pods(helm: Helm) -> None:
    def checksum(*options: str) -> str:
        pod = _one(helm.template(CHART, SOURCE, *options), "Deployment")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum("--set=replicas=1")
    assert checksum() != checksum("--set=config.writers=8")


def test_the_container_starts_as_the_image_and_the_settings_expect(helm: Helm) -> None:
    pod = _one(helm.template(CHART, SOURCE), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert environment["SERINUS_CONFIG"]["value"] in mounts
    assert "/tmp" in mounts  # noqa: S108 - the only folder that the container may write
    assert container["args"] == ["run"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["resources"]["requests"]["memory"] == "192Mi"
    assert container["resources"]["limits"] == {"memory": "512Mi"}


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ((), "serinus:0.1.0"),
        (
            ("--set=image.repository=registry.example/serinus", "--set=image.tag=0.2.0"),
            "registry.example/serinus:0.2.0",
        ),
        ((f"--set=image.digest=sha256:{'0' * 64}", "--set=image.tag=0.2.0"), f"serinus@sha256:{'0' * 64}"),
    ],
)
def test_a_digest_takes_precedence_over_a_tag_and_a_tag_over_the_chart(
    helm: Helm, options: tuple[str, ...], image: str
) -> None:
    pod = _one(helm.template(CHART, SOURCE, *options), "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == image


def test_with_namespaces_the_operator_gets_a_role_in_each_and_may_read_that_namespace(helm: Helm) -> None:
    rendered = helm.template(CHART, SOURCE, "--set=namespaces={fraud,search}")
    roles = {role["metadata"]["namespace"]: role for role in _all(rendered, "Role")}
    assert roles.keys() == {"fraud", "search", "serinus-system", "default"}
    assert {tuple(rule["resourceNames"]) for rule in roles["default"]["rules"]} == {("kubernetes",)}
    named, *common = roles["fraud"]["rules"]
    assert named == {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["fraud"], "verbs": ["get"]}
    assert roles["search"]["rules"][1:] == common
    (wide,) = (
        role for role in _all(helm.template(CHART, SOURCE), "ClusterRole") if role["metadata"]["name"] == "serinus"
    )
    assert [rule["resources"] for rule in wide["rules"][:2]] == [["namespaces"], ["endpointslices"]]
    assert wide["rules"][2:] == common


@pytest.mark.parametrize("options", [(), ("--set=namespaces={fraud}",)])
def test_without_the_right_to_create_jobs_the_operator_knows_so(
    helm: Helm, tmp_path: Path, options: tuple[str, ...]
) -> None:
    def verbs(*more: str) -> set[str]:
        documents = helm.template(CHART, SOURCE, *options, *more)
        roles = [*_all(documents, "ClusterRole"), *_all(documents, "Role")]
        return {
            verb for role in roles for rule in role["rules"] if "jobs" in rule["resources"] for verb in rule["verbs"]
        }

    assert verbs() - verbs("--set=rbac.jobs=false") == {"get", "create"}
    assert _settings(helm.template(CHART, SOURCE, *options), tmp_path).job_tests
    assert not _settings(helm.template(CHART, SOURCE, *options, "--set=rbac.jobs=false"), tmp_path).job_tests


@pytest.mark.parametrize("options", [(), ("--set=namespaces={fraud}",)])
def test_only_where_the_chart_says_so_may_the_operator_make_routes(helm: Helm, options: tuple[str, ...]) -> None:
    def rights(*more: str) -> set[tuple[str, str]]:
        documents = helm.template(CHART, SOURCE, *options, *more)
        rules = [rule for kind in ("ClusterRole", "Role") for role in _all(documents, kind) for rule in role["rules"]]
        return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}

    added = rights("--set=rbac.managedRoutes=true") - rights()
    assert added == {("httproutes", "create"), ("rollouts/finalizers", "update")}


def test_policies_that_exempt_the_operator_leave_the_namespaces_of_other_releases_alone(helm: Helm) -> None:
    def scopes(*options: str) -> dict[str, Any]:
        bindings = _all(helm.template(CHART, SOURCE, *options), "ValidatingAdmissionPolicyBinding")
        scoped = {"serinus-authors", "serinus-test-jobs"}
        found = {binding["metadata"]["name"]: binding["spec"].get("matchResources") for binding in bindings}
        return {name: scope for name, scope in found.items() if name in scoped}

    assert scopes() == {"serinus-authors": None, "serinus-test-jobs": None}
    by_name = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["fraud", "search"]}
    expected = {"namespaceSelector": {"matchExpressions": [by_name]}}
    assert set(map(str, scopes("--set=namespaces={fraud,search}").values())) == {str(expected)}


def test_no_role_of_the_operator_has_a_wildcard_or_secrets(helm: Helm) -> None:
    roles = [*_all(helm.template(CHART, SOURCE), "ClusterRole"), *_all(helm.template(CHART, SOURCE), "Role")]
    rules = [rule for role in roles for rule in role["rules"]]
    assert not any("*" in values for rule in rules for values in rule.values())
    assert not any(word in rule["resources"] for rule in rules for word in ("secrets", "configmaps"))
    assert {verb for rule in rules if "pods" in rule["resources"] for verb in rule["verbs"]} == {"list"}
    assert {verb for rule in rules if "services" in rule["resources"] for verb in rule["verbs"]} == {"get"}


def test_the_actor_stamp_knows_every_command(helm: Helm) -> None:
    policy = _one(helm.template(CHART, SOURCE, _STAMP), "MutatingAdmissionPolicy")
    (listed,) = (entry["expression"] for entry in policy["spec"]["variables"] if entry["name"] == "commands")
    commands = {kind: re.findall(r"'([a-z-]+)'", names) for kind, names in re.findall(r"'(\w+)': \[([^]]*)\]", listed)}
    assert sorted(commands["rollouts"]) == sorted(command.value for command in Command)
    assert {f"{GROUP}/{command}" for command in commands["modelversions"]} == _VERSION_COMMANDS
    assert commands["models"] == []


def test_the_actor_stamp_is_left_out_if_disabled_or_not_supported_by_the_cluster(helm: Helm) -> None:
    for options in ((), (_STAMP, "--set=actorStamp.enabled=false")):
        kinds = {document["kind"] for document in helm.template(CHART, SOURCE, *options)}
        assert not {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"} & kinds


def test_the_actor_stamp_is_v1beta1_where_only_that_is_served(helm: Helm) -> None:
    beta = _STAMP.replace("/v1/", "/v1beta1/")
    for options, version in (((beta,), "v1beta1"), ((_STAMP,), "v1"), ((beta, _STAMP), "v1")):
        rendered = helm.template(CHART, SOURCE, *options)
        for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
            assert _one(rendered, kind)["apiVersion"] == f"admissionregistration.k8s.io/{version}"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [((), "use Kubernetes 1.36 or newer"), ((_STAMP, "--set=actorStamp.enabled=false"), "set actorStamp.enabled")],
)
def test_without_the_actor_stamp_a_policy_refuses_four_eyes(helm: Helm, options: tuple[str, ...], remedy: str) -> None:
    def guards(*given: str) -> Documents:
        rendered = _all(helm.template(CHART, SOURCE, *given), "ValidatingAdmissionPolicy")
        return [policy for policy in rendered if policy["metadata"]["name"].endswith("-four-eyes")]

    (guard,) = guards(*options)
    assert remedy in guard["spec"]["validations"][0]["message"]
    assert guards(_STAMP) == []


def _lease_names(documents: Documents) -> list[list[str]]:
    """The names in each rule about Leases, in order; none stands for any name."""
    rules = [rule for role in _all(documents, "Role") + _all(documents, "ClusterRole") for rule in role["rules"]]
    return [rule.get("resourceNames", []) for rule in rules if "leases" in rule["resources"]]


def test_the_operator_may_write_its_common_lease_and_those_of_its_shards_and_no_other(
    helm: Helm, tmp_path: Path
) -> None:
    sole = helm.template(CHART, SOURCE)
    shared = helm.template(CHART, SOURCE, "--set=shards=3")
    (name,), anything = _lease_names(sole)
    assert anything == []
    settings = _settings(shared, tmp_path)
    assert (settings.shards, settings.lease_name) == (3, name)
    assert _lease_names(shared) == [[name, *(shard_lease_name(name, shard) for shard in range(3))], []]
    verbs = [rule["verbs"] for rule in _one_of(shared, "Role", f"{name}-lease")["rules"]]
    assert verbs == [["get", "update"], ["create"]]


def test_one_shard_changes_nothing_but_its_own_setting(helm: Helm, tmp_path: Path) -> None:
    sole, shared = helm.template(CHART, SOURCE), helm.template(CHART, SOURCE, "--set=shards=3")
    assert _settings(sole, tmp_path).shards == Settings().shards == 1
    assert _one(sole, "Deployment")["spec"]["replicas"] == _one(shared, "Deployment")["spec"]["replicas"] == 2


def _one_of(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    (document,) = (one for one in _all(documents, kind) if one["metadata"]["name"] == name)
    return document


def test_optional_objects_are_rendered_if_enabled(helm: Helm) -> None:
    default = {document["kind"] for document in helm.template(CHART, SOURCE)}
    rendered = helm.template(CHART, SOURCE, "--set=metrics.podMonitor.enabled=true,networkPolicy.enabled=true")
    assert {document["kind"] for document in rendered} - default == {"PodMonitor", "NetworkPolicy"}
    assert _one(rendered, "PodMonitor")["spec"]["podMetricsEndpoints"] == [
        {"port": "http", "path": "/metrics", "interval": "15s", "honorLabels": True}
    ]


def test_the_page_has_no_rights_and_is_not_taken_for_the_operator(helm: Helm) -> None:
    rendered = helm.template(CHART, SOURCE, "--set=web.enabled=true,web.hosts[0]=serinus.example.com")
    web, operator = (_one_of(rendered, "Deployment", name) for name in ("serinus-web", "serinus"))
    pod = web["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["args"][-1] == "--host=serinus.example.com"
    labels, of_operator = (one["spec"]["template"]["metadata"]["labels"] for one in (web, operator))
    assert not operator["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert not web["spec"]["selector"]["matchLabels"].items() <= of_operator.items()
    roles = [one for one in rendered if one["kind"] in {"ClusterRoleBinding", "RoleBinding"}]
    assert {one["metadata"]["name"] for one in roles} == {
        one["metadata"]["name"]
        for one in helm.template(CHART, SOURCE)
        if one["kind"] in {"ClusterRoleBinding", "RoleBinding"}
    }


def test_the_page_is_not_installed_without_the_names_by_which_it_is_reached(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"web\.hosts: give the names by which browsers reach the page"):
        helm.template(CHART, SOURCE, "--set=web.enabled=true")


def test_two_releases_share_no_cluster_scoped_object(helm: Helm) -> None:
    def names(release: str) -> set[tuple[str, str]]:
        options = (SOURCE, _STAMP, "--set=crds.install=false,networkPolicy.enabled=true")
        rendered = helm.run("template", release, str(CHART), "--kube-version=1.37.0", *options)
        documents = [document for document in yaml.safe_load_all(rendered) if document]
        return {(document["kind"], document["metadata"]["name"]) for document in documents}

    assert not names("blue") & names("green")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("replica=3", "replica"),
        ("replicas=two", "/replicas"),
        ("shards=0", "/shards"),
        ("shards=17", "/shards"),
        ("config.source.default.url=http://p", "source"),
        ("config.sources.other.scrapeInterval=15s", "/config/sources/other"),
        ("config.sources.default.url=prometheus:9090", "/config/sources/default/url"),
        ("config.writers=65", "/config/writers"),
        ("config.resync=5", "/config/resync"),
        ("image.digest=latest", "/image/digest"),
        ("namespaces=fraud", "/namespaces"),
        ("crds.keep=please", "/crds/keep"),
        ("networkPolicy.apiServerPorts={0}", "/networkPolicy/apiServerPorts/0"),
    ],
)
def test_an_invalid_value_is_refused_naming_its_path(helm: Helm, value: str, path: str) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(CHART, SOURCE, f"--set={value}")
    assert path in str(refusal.value)


def test_an_old_cluster_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"kubeVersion: >=1\.30\.0-0 which is incompatible"):
        helm.template(CHART, SOURCE, kube="1.29.9")


def test_a_chart_without_a_metric_source_is_not_installed(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"set config\.sources\.default\.url"):
        helm.template(CHART)


def test_a_service_account_that_exists_is_used_and_not_created(helm: Helm) -> None:
    rendered = helm.template(CHART, SOURCE, "--set=serviceAccount.create=false", "--set=serviceAccount.name=by-eksctl")
    assert _all(rendered, "ServiceAccount") == []
    assert _one(rendered, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "by-eksctl"
    bindings = _all(rendered, "ClusterRoleBinding") + _all(rendered, "RoleBinding")
    assert {subject["name"] for binding in bindings for subject in binding["subjects"]} == {"by-eksctl"}
    with pytest.raises(HelmError, match="name the account that exists"):
        helm.template(CHART, SOURCE, "--set=serviceAccount.create=false")


@pytest.mark.parametrize(("replicas", "budgets"), [(2, 1), (3, 1), (1, 0), (0, 0)])
def test_a_drained_node_takes_one_pod_at_a_time(replicas: int, budgets: int, helm: Helm) -> None:
    rendered = helm.template(CHART, SOURCE, f"--set=replicas={replicas}")
    found = _all(rendered, "PodDisruptionBudget")
    assert len(found) == budgets
    for budget in found:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"] == _one(rendered, "Deployment")["spec"]["selector"]

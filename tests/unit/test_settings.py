"""Loading the configuration: every error names its field, and no invalid value is replaced by a default."""

from pathlib import Path

import pytest

from serinus.api.quantities import Duration
from serinus.errors import ConfigurationError
from serinus.settings import load_settings

GOOD = "sources: {default: {url: 'http://prometheus:9090'}}\n"


def named_query(name: str) -> str:
    return (
        f"sources: {{default: {{url: 'http://p:9090', queries: {{{name}: {{promql: 'max(x{{v=\"$version\"}})'}}}}}}}}"
    )


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def allowed_bucket(fields: str) -> str:
    return f"artifacts: {{s3: {{buckets: [{{{fields}}}]}}}}"


def test_a_source_with_a_url_is_enough(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, GOOD), {})
    assert settings.sources["default"].url == "http://prometheus:9090"
    assert settings.sources["default"].scrape_interval == Duration("15s")
    assert settings.leader_election


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = """
    sources:
      default:
        url: http://prometheus:9090
        scrapeInterval: 5s
        queries: {drift_score: {promql: 'drift{model="$model"}', groupBy: version}}
    namespaces: [ml, risk]
    httpPort: 9000
    resync: 10m
    writers: 4
    leaderElection: false
    """
    settings = load_settings(written(tmp_path, text), {})
    assert settings.namespaces == ("ml", "risk")
    assert settings.sources["default"].queries["drift_score"].group_by == "version"
    assert (settings.http_port, settings.writers, settings.leader_election) == (9000, 4, False)
    assert settings.resync == Duration("10m")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("sources: {default: {}}", "url"),
        ("sources: {default: {url: x, scrapeIntervall: 5s}}", "scrapeIntervall"),
        ("sources: {default: {url: x, scrapeInterval: 5}}", "scrapeInterval"),
        ("sources: {default: {url: x, scrapeInterval: soon}}", "scrapeInterval"),
        ("sources: {default: {url: 1}}", "url"),
        ("sources: {Default: {url: x}}", "sources"),
        ("sources: {default: {url: x, queries: {UP: {promql: up}}}}", "queries"),
        ("sources: {default: {url: x, queries: {up: {}}}}", "promql"),
        ("sources: []", "sources"),
        ("writers: 0", "writers"),
        ("writers: 65", "writers"),
        ("writers: many", "writers"),
        ("shards: 0", "shards"),
        ("shards: 17", "shards"),
        ("{shards: 2, leaderElection: false}", "shards"),
        ("httpPort: '8080'", "httpPort"),
        ("namespaces: ml", "namespaces"),
        ("resync: 0.5h", "resync"),
        ("leaderElection: 'no'", "leaderElection"),
        ("leaseNameSpace: x", "leaseNameSpace"),
        (allowed_bucket("bucket: models"), "namespaces"),
        (allowed_bucket("bucket: models, namespaces: []"), "namespaces"),
        (allowed_bucket("bucket: models, namespaces: [pay*]"), "namespaces[0]"),
        (allowed_bucket("namespaces: [ml]"), "bucket"),
        (allowed_bucket("bucket: models, namespaces: [ml], prefix: team-a"), "prefix"),
        (allowed_bucket("bucket: models, namespaces: [ml], prefix: /"), "prefix"),
        (allowed_bucket("bucket: models, namespaces: [ml], prefix: /team-a/"), "prefix"),
        (
            named_query("success_rate"),
            "queries.success_rate: the name is reserved, did you mean error_rate",
        ),
        (
            named_query("p95_latency"),
            "queries.p95_latency: the name is reserved, did you mean latency_p95",
        ),
        (
            named_query("error_rate"),
            "queries.error_rate: the name is reserved, it is a standard metric",
        ),
        (named_query("latency_p9"), "queries.latency_p9: the name is reserved"),
    ],
)
def test_a_wrong_field_is_named_together_with_the_file(tmp_path: Path, text: str, field: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as problem:
        load_settings(path, {})
    assert field in str(problem.value)
    assert str(path) in str(problem.value)


@pytest.mark.parametrize("text", ["sources: {", "- one\n- two", "just words", "", "a: b: c"])
def test_invalid_yaml_and_other_types_than_a_mapping_are_refused_naming_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as problem:
        load_settings(path, {})
    assert str(path) in str(problem.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        load_settings(tmp_path / "nowhere.yaml", {})


def test_the_environment_names_the_file_and_overrides_it(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "httpPort: 9000\nidentity: from-the-file\n")
    settings = load_settings(
        None,
        {
            "SERINUS_CONFIG": str(path),
            "SERINUS_HTTP_PORT": "9100",
            "SERINUS_HTTP_HOST": "198.18.0.1",
            "SERINUS_LEASE_NAMESPACE": "elsewhere",
            "SERINUS_IDENTITY": "pod-1",
        },
    )
    assert (settings.http_port, settings.http_host) == (9100, "198.18.0.1")
    assert (settings.lease_namespace, settings.identity) == ("elsewhere", "pod-1")
    assert "default" in settings.sources


def test_an_argument_takes_precedence_over_the_file_of_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "httpPort: 9000\n")
    assert load_settings(path, {"SERINUS_CONFIG": "/nowhere"}).http_port == 9000


def test_an_empty_variable_overrides_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "httpPort: 9000\n")
    assert load_settings(path, {"SERINUS_HTTP_PORT": "", "SERINUS_CONFIG": ""}).http_port == 9000


def test_without_file_and_environment_there_are_no_sources() -> None:
    assert load_settings(None, {}).sources == {}


@pytest.mark.parametrize("port", ["http", "80 80", "99999", "-1"])
def test_an_invalid_port_in_the_environment_is_named(port: str) -> None:
    with pytest.raises(ConfigurationError, match=r"SERINUS_HTTP_PORT|httpPort"):
        load_settings(None, {"SERINUS_HTTP_PORT": port})


def test_dynamodb_without_the_clusters_name_is_refused_before_anything_starts(tmp_path: Path) -> None:
    text = "registry: {kind: DynamoDB, dynamodb: {region: eu-central-1}}"
    with pytest.raises(ConfigurationError, match=r"registry\.dynamodb\.cluster: the name of this cluster is required"):
        load_settings(written(tmp_path, text), {})
    named = text.replace("region: eu-central-1", "region: eu-central-1, cluster: prod-1")
    assert load_settings(written(tmp_path, named), {}).registry.dynamodb.cluster == "prod-1"
    # In Kubernetes the cluster is the one that the operator runs in.
    assert load_settings(written(tmp_path, "registry: {kind: Kubernetes}"), {}).registry.dynamodb.cluster == ""

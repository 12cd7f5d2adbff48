"""The chart's values for registry, artifacts and audit trail match the operator's settings."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from serinus.api.model import Verification
from serinus.settings import AllowedBucket, RegistryKind, Settings, load_settings
from support.helm import Helm, HelmError, find_helm
from support.release import CHART, SOURCE

_NOT_IN_VALUES: Final = {
    "namespaces",
    "jobTests",
    "httpPort",
    "httpHost",
    "leaseNamespace",
    "leaseName",
    "shards",
    "identity",
    "leaderElection",
    "actorStamped",
}
"""Settings that the chart derives itself or leaves at their defaults."""

_FULL: Final[dict[str, Any]] = {
    "registry": {
        "kind": "DynamoDB",
        "dynamodb": {
            "region": "eu-central-1",
            "endpoint": "https://dynamodb.example",
            "tablePrefix": "models",
            "cluster": "prod-eu-1",
            "scope": "prod-eu",
            "timeout": "4s",
        },
    },
    "artifacts": {
        "verification": "Checksum",
        "s3": {
            "region": "eu-central-1",
            "endpoint": "https://s3.example",
            "timeout": "20s",
            "buckets": [{"bucket": "models", "prefix": "payments/", "namespaces": ["payments"]}],
        },
        "httpsHosts": ["models.example"],
        "localRoot": "/models",
        "workers": 3,
        "maxBytes": 109951162777600,
        "timeout": "2h",
    },
    "audit": {
        "checkpoints": {
            "bucket": "serinus-checkpoints",
            "prefix": "bank/",
            "interval": "30m",
            "retentionDays": 3653,
            "s3": {"region": "eu-central-1"},
        }
    },
}


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


@pytest.fixture
def rendered(helm: Helm, tmp_path: Path) -> list[dict[str, Any]]:
    """The chart with every value of registry, artifacts and audit set."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": _FULL, "checkpointKey": {"secret": "serinus-checkpoints"}}))
    return helm.template(CHART, SOURCE, f"--values={values}")


def _settings(documents: list[dict[str, Any]], folder: Path) -> Settings:
    (config,) = (document["data"]["config.yaml"] for document in documents if document["kind"] == "ConfigMap")
    file = folder / "config.yaml"
    file.write_text(config, encoding="utf-8")
    return load_settings(file, {})


def test_the_charts_defaults_are_the_operators_defaults(helm: Helm, tmp_path: Path) -> None:
    settings, plain = _settings(helm.template(CHART, SOURCE), tmp_path), Settings()
    assert (settings.registry, settings.artifacts, settings.audit) == (plain.registry, plain.artifacts, plain.audit)
    assert (settings.resync, settings.writers) == (plain.resync, plain.writers)


def test_every_value_reaches_the_operator(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = _settings(rendered, tmp_path)
    assert settings.registry.kind is RegistryKind.DYNAMODB
    dynamodb = settings.registry.dynamodb
    assert (dynamodb.region, dynamodb.endpoint) == ("eu-central-1", "https://dynamodb.example")
    assert (dynamodb.table_prefix, dynamodb.scope, dynamodb.timeout.seconds) == ("models", "prod-eu", 4)
    assert dynamodb.cluster == "prod-eu-1"
    artifacts = settings.artifacts
    assert (artifacts.verification, artifacts.workers) == (Verification.CHECKSUM, 3)
    assert (artifacts.https_hosts, artifacts.local_root) == (("models.example",), "/models")
    assert (artifacts.max_bytes, artifacts.timeout.value) == (109951162777600, timedelta(hours=2))
    assert artifacts.s3.endpoint == "https://s3.example"
    assert artifacts.s3.buckets == (AllowedBucket(bucket="models", prefix="payments/", namespaces=("payments",)),)
    checkpoints = settings.audit.checkpoints
    assert checkpoints is not None
    assert (checkpoints.bucket, checkpoints.prefix, checkpoints.retention_days) == (
        "serinus-checkpoints",
        "bank/",
        3653,
    )
    assert (checkpoints.interval.value, checkpoints.s3.region) == (timedelta(minutes=30), "eu-central-1")


def test_the_key_is_mounted_where_the_settings_look_for_it(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    checkpoints = _settings(rendered, tmp_path).audit.checkpoints
    assert checkpoints is not None
    (pod,) = (document["spec"]["template"]["spec"] for document in rendered if document["kind"] == "Deployment")
    (mount,) = (mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "checkpoint-key")
    (secret,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "checkpoint-key")
    assert [f"{mount['mountPath']}/{item['path']}" for item in secret["items"]] == [checkpoints.key_file]
    assert mount["readOnly"] is True
    assert secret["secretName"] == "serinus-checkpoints"
    # The container runs as an arbitrary user and reads the key by its group.
    assert secret["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_values_schema_has_every_setting_and_no_other() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    missing, unknown = _compared(Settings, schema["properties"]["config"], "config")
    assert {path.removeprefix("config.") for path in missing} == _NOT_IN_VALUES
    assert unknown == set()


def _compared(kind: type, schema: dict[str, Any], path: str) -> tuple[set[str], set[str]]:
    """Return the fields missing from the schema, and its properties that are not fields."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    properties = schema["properties"]
    missing = {f"{path}.{name}" for name in fields.keys() - properties.keys()}
    unknown = {f"{path}.{name}" for name in properties.keys() - fields.keys()}
    for name in fields.keys() & properties.keys():
        for inner, where in _structs(fields[name], properties[name]):
            deeper = _compared(inner, where, f"{path}.{name}")
            missing |= deeper[0]
            unknown |= deeper[1]
    return missing, unknown


def _structs(annotation: Any, schema: dict[str, Any]) -> list[tuple[type, dict[str, Any]]]:
    members = [annotation, *getattr(annotation, "__args__", ())]
    structs = [member for member in members if isinstance(member, type) and issubclass(member, msgspec.Struct)]
    # The values of a mapping are described by additionalProperties, the members of a list by items.
    inner: dict[str, Any] = next(
        (schema[part] for part in ("additionalProperties", "items") if isinstance(schema.get(part), dict)), {}
    )
    return [(struct, schema if "properties" in schema else inner) for struct in structs]


def test_with_dynamodb_the_operator_has_no_rights_on_records_but_mirrors_the_head(helm: Helm) -> None:
    def rights(*options: str) -> set[str]:
        roles = [role for role in helm.template(CHART, SOURCE, *options) if role["kind"] == "ClusterRole"]
        (rules,) = (role["rules"] for role in roles if role["metadata"]["name"] == "serinus")
        return {resource for rule in rules if "serinus.dev" in rule["apiGroups"] for resource in rule["resources"]}

    dynamodb = ("--set=config.registry.kind=DynamoDB", "--set=config.registry.dynamodb.cluster=prod-1")
    assert rights() - rights(*dynamodb) == {"auditrecords"}
    assert {"models", "models/status"} <= rights(*dynamodb)


@dataclasses.dataclass(frozen=True)
class _Invalid:
    values: str
    message: str


_BUCKET: Final = (
    "config.artifacts.s3.buckets[0].bucket=models,config.artifacts.s3.buckets[0].namespaces[0]=payments,"
    "config.artifacts.s3.buckets[0]"
)
_INVALID: Final = [
    _Invalid("config.registry.kind=Etcd", "/config/registry/kind"),
    _Invalid("config.registry.dynamodb.table=serinus", "table"),
    _Invalid("config.registry.kind=DynamoDB", "missing property 'cluster'"),
    _Invalid("config.registry.kind=DynamoDB,config.registry.dynamodb.cluster=a/b", "/config/registry/dynamodb/cluster"),
    _Invalid("config.registry.dynamodb.endpoint=dynamodb:8000", "/config/registry/dynamodb/endpoint"),
    _Invalid("config.artifacts.workers=17", "/config/artifacts/workers"),
    _Invalid("config.artifacts.s3.buckets[0].bucket=models", "namespaces"),
    _Invalid(f"{_BUCKET}.prefix=payments", "/config/artifacts/s3/buckets/0/prefix"),
    _Invalid(f"{_BUCKET}.namespaces[1]=pay*", "/config/artifacts/s3/buckets/0/namespaces/1"),
    _Invalid("config.artifacts.localRoot=models", "/config/artifacts/localRoot"),
    _Invalid("config.audit.checkpoints.retentionDays=0", "/config/audit/checkpoints/retentionDays"),
    _Invalid(
        "config.audit.checkpoints.bucket=serinus-checkpoints", "has no key to sign with: set checkpointKey.secret"
    ),
    _Invalid("checkpointKey.secret=serinus-checkpoints", "name the bucket in config.audit.checkpoints.bucket"),
    _Invalid(
        "checkpointKey.secret=key,config.audit.checkpoints.bucket=abc,config.audit.checkpoints.keyFile=/key.pem",
        "keep one",
    ),
    _Invalid("checkpointKey.item=../key.pem", "/checkpointKey/item"),
    _Invalid("approvals.contact=the bank's risk group", "/approvals/contact"),
    _Invalid("approvals.enabled=perhaps", "/approvals/enabled"),
]


@pytest.mark.parametrize("case", _INVALID, ids=lambda case: case.values)
def test_an_invalid_value_is_refused_with_a_message(helm: Helm, case: _Invalid) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(CHART, SOURCE, f"--set={case.values}")
    assert case.message in str(refusal.value)


def test_an_unquoted_off_in_a_values_file_is_refused(helm: Helm, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("config: {artifacts: {verification: Off}}")
    with pytest.raises(HelmError, match="/config/artifacts/verification"):
        helm.template(CHART, SOURCE, f"--values={values}")


@pytest.mark.parametrize("options", ["approvals.enabled=false", "approvals.guardPlan=false"])
def test_without_the_plan_guard_deleting_rollouts_is_not_restricted(helm: Helm, options: str) -> None:
    policies = [
        policy
        for policy in helm.template(CHART, SOURCE, f"--set={options}")
        if policy["kind"] == "ValidatingAdmissionPolicy" and policy["metadata"]["name"] == "serinus-deletions"
    ]
    ((rule,),) = (policy["spec"]["matchConstraints"]["resourceRules"] for policy in policies)
    assert rule["resources"] == ["modelversions", "models", "auditrecords"]

"""The operator's settings; the only module that reads the environment and the configuration file."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, field

from serinus.api.model import Verification
from serinus.api.parsing import decode
from serinus.api.quantities import Duration
from serinus.api.route import RouteKind
from serinus.api.schema import NAME, FieldError, Model, refuse_twins
from serinus.errors import ConfigurationError, InvalidObjectError
from serinus.notification_settings import NotificationSettings
from serinus.source_settings import SourceSettings
from serinus.yaml_text import YamlTextError, read_yaml

Name = Annotated[str, Meta(pattern=NAME)]
NamespaceOrAll = Annotated[str, Meta(pattern=rf"^\*$|{NAME}")]


class RegistryKind(StrEnum):
    """The storage backend of the registry."""

    KUBERNETES = "Kubernetes"
    DYNAMODB = "DynamoDB"


class DynamoDbSettings(Model, frozen=True, kw_only=True):
    """The DynamoDB tables of a fleet.

    Attributes:
        region: such as eu-central-1; resolved by boto3 if unset.
        endpoint: an endpoint other than AWS's default, such as that of a VPC or of DynamoDB Local.
        table_prefix: the tables are <prefix>-registry and <prefix>-audit.
        cluster: the name of this cluster, in the keys of its heads and in its records; the operator needs it.
        scope: the fleet, where the tables have several: clusters with the same scope share the numbers of versions.
        timeout: for one request.
    """

    region: str | None = None
    endpoint: str | None = None
    table_prefix: str = "serinus"
    cluster: str = ""
    scope: str = ""
    timeout: Duration = field(default_factory=lambda: Duration("5s"))


class RegistrySettings(Model, frozen=True, kw_only=True):
    """The model registry."""

    kind: RegistryKind = RegistryKind.KUBERNETES
    dynamodb: DynamoDbSettings = field(default_factory=DynamoDbSettings)

    def __post_init__(self) -> None:
        """Refuse tables without the name of the cluster, whose heads could then be those of another one."""
        if self.kind is RegistryKind.DYNAMODB and not self.dynamodb.cluster:
            raise FieldError(
                ".dynamodb.cluster",
                "the name of this cluster is required with DynamoDB, such as prod-eu: every cluster of the tables has "
                "production versions and audit chains of its own. Choose one that no other cluster has, and keep it",
            )


class S3Settings(Model, frozen=True, kw_only=True):
    """An S3 service; fields that are unset are resolved by boto3."""

    region: str | None = None
    endpoint: str | None = None
    timeout: Duration = field(default_factory=lambda: Duration("30s"))


class AllowedBucket(Model, frozen=True, kw_only=True):
    """A part of a bucket that the ModelVersions of some namespaces may name.

    Attributes:
        bucket: its exact name.
        prefix: what the keys begin with, as a folder with its slash at the end; the whole bucket if empty.
        namespaces: the namespaces whose ModelVersions may name it; ``*`` stands for every namespace.
    """

    bucket: Annotated[str, Meta(min_length=3)]
    # Without the slash at its end, team-a would also allow team-abc/.
    prefix: Annotated[str, Meta(pattern=r"^([^/].*/)?$")] = ""
    namespaces: Annotated[tuple[NamespaceOrAll, ...], Meta(min_length=1)]


class ArtifactS3Settings(S3Settings, frozen=True, kw_only=True):
    """The S3 service of artifacts, and what each namespace may name in it.

    Attributes:
        buckets: what may be read for which namespaces; empty allows nothing, as a tenant's URI is read with the
            operator's own rights.
    """

    buckets: tuple[AllowedBucket, ...] = ()


class ArtifactSettings(Model, frozen=True, kw_only=True):
    """How the artifacts of ModelVersions are verified.

    Attributes:
        verification: the default for Models that do not set one.
        s3: the service of s3:// URIs, and the buckets allowed in them.
        https_hosts: the hosts allowed in https:// URIs; empty allows none, so that a tenant's URI cannot make the
            operator call addresses of its own network.
        local_root: the folder of local paths and file:// URIs; unset allows none.
        workers: number of artifacts that are verified at the same time.
        max_bytes: maximum size of one artifact that is read.
        timeout: for one artifact as a whole.
    """

    verification: Verification = Verification.OFF
    s3: ArtifactS3Settings = field(default_factory=ArtifactS3Settings)
    https_hosts: tuple[str, ...] = ()
    local_root: str | None = None
    workers: Annotated[int, Meta(ge=1, le=16)] = 2
    max_bytes: Annotated[int, Meta(ge=1)] = 50 * 1024**3
    timeout: Duration = field(default_factory=lambda: Duration("30m"))


class CheckpointSettings(Model, frozen=True, kw_only=True):
    """Signed checkpoints of all audit chains in an S3 bucket with Object Lock.

    Attributes:
        bucket: a bucket with versioning and Object Lock.
        prefix: prefix of the object keys.
        interval: time between two checkpoints.
        retention_days: days during which nobody can delete them (COMPLIANCE mode).
        key_file: the Ed25519 private key in PEM that signs them.
        s3: the S3 service of the bucket.
    """

    bucket: str
    key_file: str
    prefix: str = "serinus/checkpoints/"
    interval: Duration = field(default_factory=lambda: Duration("1h"))
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 2555
    s3: S3Settings = field(default_factory=S3Settings)


class AuditSettings(Model, frozen=True, kw_only=True):
    """The audit trail; without ``checkpoints`` it exists only in the registry."""

    checkpoints: CheckpointSettings | None = None


class RolloutSeries(StrEnum):
    """Which Rollouts have series of their own in the operator's metrics."""

    ALL = "All"
    ACTIVE = "Active"
    """Those that are not Healthy: the alerts need no others, the dashboard shows them only."""
    NONE = "None"
    """No Rollout; alerts on single Rollouts never fire."""


class TelemetrySettings(Model, frozen=True, kw_only=True):
    """The operator's own metrics.

    Attributes:
        rollout_series: for which Rollouts there are series with their namespace and name, up to about 20 each.
    """

    rollout_series: RolloutSeries = RolloutSeries.ALL


class Settings(Model, frozen=True, kw_only=True):
    """All settings of the operator.

    Attributes:
        sources: the metric sources, by name.
        namespaces: the namespaces to watch; empty for all.
        http_port: port of /livez, /readyz and /metrics.
        http_host: address on which they are served.
        lease_namespace: namespace of the leader's Lease.
        lease_name: name of the Lease.
        identity: name of this process in the Lease.
        leader_election: disable only if a single process is guaranteed.
        shards: into how many parts the models are divided, by a hash of namespace and model; the parts are spread over
            the processes. 1 means that one process leads for all models. It must be the same in all processes.
        actor_stamped: whether the API server stamps who wrote a Rollout (the chart's admission policy does); if not,
            anybody could write that annotation, so the actor is reported as unverified.
        job_tests: whether Jobs are created for tests; if not, Rollouts with Job tests are held, and the operator needs
            no right to create Jobs.
        resync: interval at which all objects are listed again.
        writers: how many Rollouts are reconciled at a time; the safety lane and what it hands over have workers of
            their own.
        registry: storage of the registry.
        artifacts: verification of artifacts.
        audit: checkpoints of the audit trail.
        notifications: who is told what happens, outside the cluster.
        telemetry: the operator's own metrics.
        routers: the fields of ``spec.route`` that Rollouts may use; the operator watches these kinds of objects only.
    """

    sources: dict[Name, SourceSettings] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    http_port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    http_host: str = "0.0.0.0"  # noqa: S104 - kubelet and Prometheus connect from other addresses
    lease_namespace: str = "serinus-system"
    lease_name: str = "serinus"
    identity: str = ""
    leader_election: bool = True
    shards: Annotated[int, Meta(ge=1, le=16)] = 1
    actor_stamped: bool = False
    job_tests: bool = True
    resync: Duration = field(default_factory=lambda: Duration("300s"))
    writers: Annotated[int, Meta(ge=1, le=64)] = 16
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    artifacts: ArtifactSettings = field(default_factory=ArtifactSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    routers: Annotated[tuple[str, ...], Meta(min_length=1)] = (RouteKind.HTTP_ROUTE.field,)

    def __post_init__(self) -> None:
        """Refuse shards without Leases, which every process would hold, and a router that is named twice."""
        refuse_twins(".routers", self.routers)
        if self.shards > 1 and not self.leader_election:
            raise FieldError(".shards", "several shards need leaderElection: each of them has a Lease of its own")


CONFIG_VARIABLE: Final = "SERINUS_CONFIG"
_FROM_ENVIRONMENT: Final = {
    "SERINUS_HTTP_PORT": "httpPort",
    "SERINUS_HTTP_HOST": "httpHost",
    "SERINUS_LEASE_NAMESPACE": "leaseNamespace",
    "SERINUS_IDENTITY": "identity",
}


def load_settings(config: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration file (by default ``SERINUS_CONFIG``) and apply overrides from the environment.

    Raises:
        ConfigurationError: the file is missing or a field is invalid; the message names it.
    """
    variables = os.environ if environment is None else environment
    path = config or (Path(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    raw = _read(path) if path is not None else {}
    for variable, name in _FROM_ENVIRONMENT.items():
        if variables.get(variable):
            raw[name] = _number(variable, variables[variable]) if name == "httpPort" else variables[variable]
    try:
        return decode(Settings, raw, str(path or "settings"))
    except InvalidObjectError as problem:
        raise ConfigurationError(f"invalid configuration: {problem}") from problem


def _number(variable: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as problem:
        raise ConfigurationError(f"{variable}: {text!r} is not an integer") from problem


def _read(path: Path) -> dict[str, object]:
    try:
        documents = read_yaml(path.read_bytes())
    except OSError as problem:
        raise ConfigurationError(f"{path}: cannot be read: {problem.strerror}") from problem
    except YamlTextError as problem:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {problem}") from problem
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ConfigurationError(f"{path}: must contain a mapping with `sources`")
    return documents[0]

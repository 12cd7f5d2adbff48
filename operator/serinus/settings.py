"""The operator's settings: the only reader of the environment and of the configuration file."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, field

from serinus.api.model import Verification
from serinus.api.parsing import decode
from serinus.api.quantities import Duration
from serinus.api.schema import NAME, QUERY_NAME, Model
from serinus.errors import ConfigurationError, InvalidObjectError

Name = Annotated[str, Meta(pattern=NAME)]
QueryName = Annotated[str, Meta(pattern=QUERY_NAME)]


class QuerySettings(Model, frozen=True, kw_only=True):
    """A PromQL query that Rollouts may use by name.

    ``promql`` may hold ``$namespace``, ``$model``, ``$version`` and ``$backend``, each inside a quoted label value.
    With ``group_by`` the query answers for all versions at once, keyed by the value of that label.
    """

    promql: str
    group_by: str | None = None
    group_value: str = "$version"


class SourceSettings(Model, frozen=True, kw_only=True):
    """One Prometheus."""

    url: str
    scrape_interval: Duration = field(default_factory=lambda: Duration("15s"))
    timeout: Duration = field(default_factory=lambda: Duration("5s"))
    bearer_token_file: str | None = None
    queries: dict[QueryName, QuerySettings] = field(default_factory=dict)


class RegistryKind(StrEnum):
    """Where the registry is kept."""

    KUBERNETES = "Kubernetes"
    DYNAMODB = "DynamoDB"


class DynamoDbSettings(Model, frozen=True, kw_only=True):
    """The DynamoDB tables of a fleet.

    Attributes:
        region: such as eu-central-1; boto3's own order of places where it is not given.
        endpoint: another endpoint than AWS's, such as that of a VPC or of DynamoDB Local.
        table_prefix: the tables are <prefix>-registry and <prefix>-audit.
        scope: stands before every namespace in the keys, such as the cluster's name: two clusters with the same scope
            share their models.
        timeout: of one request.
    """

    region: str | None = None
    endpoint: str | None = None
    table_prefix: str = "serinus"
    scope: str = ""
    timeout: Duration = field(default_factory=lambda: Duration("5s"))


class RegistrySettings(Model, frozen=True, kw_only=True):
    """The registry."""

    kind: RegistryKind = RegistryKind.KUBERNETES
    dynamodb: DynamoDbSettings = field(default_factory=DynamoDbSettings)


class S3Settings(Model, frozen=True, kw_only=True):
    """An S3 service; boto3's own order of places where nothing is given."""

    region: str | None = None
    endpoint: str | None = None
    timeout: Duration = field(default_factory=lambda: Duration("30s"))


class ArtifactSettings(Model, frozen=True, kw_only=True):
    """How the artifacts of ModelVersions are looked at.

    Attributes:
        verification: what holds for a Model that does not say.
        s3: where s3:// URIs are.
        https_hosts: the hosts that https:// URIs may name; none where it is empty: a tenant's URI must not make the
            operator ask addresses of its own network.
        local_root: the folder under which local paths and file:// URIs may be; none where it is not given.
        workers: how many artifacts are looked at at a time.
        max_bytes: the most bytes that are read of one artifact.
        timeout: for one artifact as a whole.
    """

    verification: Verification = Verification.OFF
    s3: S3Settings = field(default_factory=S3Settings)
    https_hosts: tuple[str, ...] = ()
    local_root: str | None = None
    workers: Annotated[int, Meta(ge=1, le=16)] = 2
    max_bytes: Annotated[int, Meta(ge=1)] = 50 * 1024**3
    timeout: Duration = field(default_factory=lambda: Duration("30m"))


class CheckpointSettings(Model, frozen=True, kw_only=True):
    """Signed checkpoints of all audit chains in an S3 bucket with Object Lock.

    Attributes:
        bucket: with versioning and Object Lock.
        prefix: of the objects' keys.
        interval: how often.
        retention_days: for how long nobody can remove them (COMPLIANCE mode).
        key_file: an Ed25519 private key in PEM, which signs them.
        s3: the service.
    """

    bucket: str
    key_file: str
    prefix: str = "serinus/checkpoints/"
    interval: Duration = field(default_factory=lambda: Duration("1h"))
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 2555
    s3: S3Settings = field(default_factory=S3Settings)


class AuditSettings(Model, frozen=True, kw_only=True):
    """The audit trail; without ``checkpoints`` it is only in the registry."""

    checkpoints: CheckpointSettings | None = None


class Settings(Model, frozen=True, kw_only=True):
    """All that an administrator can set.

    Attributes:
        sources: the metric sources, by name.
        namespaces: the namespaces to watch; empty for the whole cluster.
        http_port: where /livez, /readyz and /metrics are served.
        http_host: on which address.
        lease_namespace: where the leader's Lease lives.
        lease_name: its name.
        identity: this process's name in the Lease.
        leader_election: off only where one process can ever run.
        actor_stamped: the API server stamps who wrote a Rollout (the chart's admission policy does); without it anybody
            could write that annotation, so the actor is said to be unverified.
        resync: how often all objects are listed anew.
        writers: how many writes may be in flight.
        registry: where the registry is kept.
        artifacts: how artifacts are looked at.
        audit: what is done with the audit trail beside keeping it.
    """

    sources: dict[Name, SourceSettings] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    http_port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    http_host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from other addresses
    lease_namespace: str = "serinus-system"
    lease_name: str = "serinus"
    identity: str = ""
    leader_election: bool = True
    actor_stamped: bool = False
    resync: Duration = field(default_factory=lambda: Duration("300s"))
    writers: Annotated[int, Meta(ge=1, le=64)] = 16
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    artifacts: ArtifactSettings = field(default_factory=ArtifactSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)


CONFIG_VARIABLE: Final = "SERINUS_CONFIG"
_FROM_ENVIRONMENT: Final = {
    "SERINUS_HTTP_PORT": "httpPort",
    "SERINUS_HTTP_HOST": "httpHost",
    "SERINUS_LEASE_NAMESPACE": "leaseNamespace",
    "SERINUS_IDENTITY": "identity",
}


def load_settings(config: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration file (``SERINUS_CONFIG`` where none is given) and what the environment overrides.

    Raises:
        ConfigurationError: the file is missing or a field has another form; the sentence names it.
    """
    given = os.environ if environment is None else environment
    path = config or (Path(given[CONFIG_VARIABLE]) if given.get(CONFIG_VARIABLE) else None)
    raw = _read(path) if path is not None else {}
    for variable, name in _FROM_ENVIRONMENT.items():
        if given.get(variable):
            raw[name] = _number(variable, given[variable]) if name == "httpPort" else given[variable]
    try:
        return decode(Settings, raw, str(path or "settings"))
    except InvalidObjectError as problem:
        raise ConfigurationError(f"the configuration is wrong: {problem}") from problem


def _number(variable: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as problem:
        raise ConfigurationError(f"{variable}: {text!r} is no whole number") from problem


def _read(path: Path) -> dict[str, object]:
    try:
        raw = msgspec.yaml.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {problem}") from problem
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: must hold a mapping with `sources`")
    return raw

"""Opens a registry by its address: ``kubernetes:`` or ``dynamodb://<table-prefix>?region=…&cluster=…&namespace=…``.

The libraries of a store are imported when it is opened, so that importing this module is cheap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import parse_qsl, urlencode

from serinus.addresses import split_url
from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ProductionVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore
from serinus.settings import DynamoDbSettings

FORMS: Final = "kubernetes: or dynamodb://<table-prefix>?region=…&cluster=…&scope=…&endpoint=…&namespace=…"
_PARAMETERS: Final = frozenset({"region", "endpoint", "cluster", "scope", "namespace"})


@dataclass(frozen=True, slots=True)
class KubernetesAddress:
    """The registry in the cluster of the kubeconfig or, inside a pod, of its service account."""


@dataclass(frozen=True, slots=True)
class DynamoDbAddress:
    """A registry in DynamoDB; ``namespace`` is the default for models named without one."""

    settings: DynamoDbSettings
    namespace: str = ""


Address = KubernetesAddress | DynamoDbAddress


class RegistryReader(Protocol):
    """The read operations for serving code; a model is named ``name`` or ``namespace/name``.

    Every method blocks for at most a few time-outs and may be called in a process with a running event loop. It raises
    TransientError where the registry is unavailable, RefusedError where it refuses the request, and InvalidObjectError
    for an invalid name.
    """

    def production(self, model: str) -> ProductionVersion | None:
        """Return the production version, strongly consistent, in one request; None where there is none."""

    def get(self, model: str, version: str) -> VersionEntry:
        """Return one version; NotFoundError where it is not registered."""

    def list(self, model: str, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that match the query in SemVer order, newest first."""

    def history(self, model: str, *, after: int = 0) -> Iterator[AuditRecordSpec]:
        """Yield the audit trail in order, page by page."""

    def clusters(self) -> tuple[str, ...]:
        """Return the names of the clusters of the fleet; ``cluster=`` in the address names the one that is read."""

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self:
        """Return the reader itself."""

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""


def with_cluster(url: str, cluster: str) -> str:
    """Return the address with another cluster; opening it refuses one that cannot have it, as any other invalid one."""
    place, _, query = url.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "cluster"]
    return f"{place}?{urlencode([*kept, ('cluster', cluster)])}"


def parse_address(url: str) -> Address:
    """Parse an address; ConfigurationError where it is invalid."""
    parts = split_url(url, url)
    match parts.scheme:
        case "kubernetes":
            if url != "kubernetes:":
                raise ConfigurationError(f"{url}: kubernetes: takes nothing more, the kubeconfig names the cluster")
            return KubernetesAddress()
        case "dynamodb":
            return _dynamodb_address(url)
        case _:
            raise ConfigurationError(f"{url!r} is not the address of a registry: write {FORMS}")


def _dynamodb_address(url: str) -> DynamoDbAddress:
    parts = split_url(url, url)
    if not parts.netloc or parts.path or parts.fragment:
        raise ConfigurationError(f"{url}: only the table prefix may be between dynamodb:// and ?: write {FORMS}")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as problem:
        raise ConfigurationError(f"{url}: {problem}: write parameters as name=value with & between them") from problem
    parameters = dict(pairs)
    unknown = sorted(parameters.keys() - _PARAMETERS)
    if unknown:
        raise ConfigurationError(
            f"{url}: unknown parameter {', '.join(unknown)}: known are {', '.join(sorted(_PARAMETERS))}"
        )
    if len(parameters) != len(pairs):
        raise ConfigurationError(f"{url}: duplicate parameter: give each one once")
    split_url(parameters.get("endpoint", ""), f"{url}: endpoint")
    settings = DynamoDbSettings(
        region=parameters.get("region") or None,
        endpoint=parameters.get("endpoint") or None,
        table_prefix=parts.netloc,
        cluster=parameters.get("cluster", ""),
        scope=parameters.get("scope", ""),
    )
    return DynamoDbAddress(settings, parameters.get("namespace", ""))


async def open_store(url: str, *, namespaces: Sequence[str] = ()) -> RegistryStore:
    """Open a registry for reading and writing; close it with ``await store.close()``.

    Args:
        url: its address.
        namespaces: those to list in a registry in Kubernetes; empty for the whole cluster.

    Raises:
        ConfigurationError: the address is invalid, or there is no registry at it; the message has the remedy.
        RefusedError, TransientError: see serinus.errors.
    """
    match parse_address(url):
        case DynamoDbAddress(settings=settings):
            from serinus.registry.dynamodb.store import DynamoDbStore  # noqa: PLC0415 - boto3 takes half a second to load

            return await DynamoDbStore.open(settings)
        case KubernetesAddress():
            from serinus.kube.client import KubernetesClient  # noqa: PLC0415 - the client is slow to load
            from serinus.registry.kubernetes.store import KubernetesStore  # noqa: PLC0415 - likewise

            client = await KubernetesClient.open()
            return KubernetesStore(client, namespaces=namespaces, on_close=client.close)


def open_reader(url: str) -> RegistryReader:
    """Open a registry for reading from serving code, without sending a request; exported as ``serinus.registry.open``.

    Raises:
        ConfigurationError: the address is invalid or not that of a registry in DynamoDB.
    """
    match parse_address(url):
        case DynamoDbAddress(settings=settings, namespace=namespace):
            from serinus.registry.dynamodb.client import connect  # noqa: PLC0415 - boto3 takes half a second to load
            from serinus.registry.dynamodb.reader import DynamoDbReader  # noqa: PLC0415 - likewise

            return DynamoDbReader(settings, namespace, connect(settings))
        case KubernetesAddress():
            raise ConfigurationError(
                f"{url}: serving code reads a registry in DynamoDB; in a cluster read the Model's status.production, "
                "or use open_store"
            )

"""Opens a registry by its address: ``kubernetes:`` or ``dynamodb://<table-prefix>?region=…&scope=…&namespace=…``.

Libraries of a kind of store are loaded when one is opened: importing this costs next to nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ProductionVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore
from serinus.settings import DynamoDbSettings

FORMS: Final = "kubernetes: or dynamodb://<table-prefix>?region=…&endpoint=…&scope=…&namespace=…"
_PARAMETERS: Final = frozenset({"region", "endpoint", "scope", "namespace"})


@dataclass(frozen=True, slots=True)
class KubernetesAddress:
    """The registry of the cluster that the kubeconfig, or the pod's own account, names."""


@dataclass(frozen=True, slots=True)
class DynamoDbAddress:
    """A registry in DynamoDB; ``namespace`` is that of models that are named without one."""

    settings: DynamoDbSettings
    namespace: str = ""


Address = KubernetesAddress | DynamoDbAddress


class RegistryReader(Protocol):
    """What serving code may ask; a model is named ``name`` or ``namespace/name``.

    Every method blocks for at most a few time-outs and may be called inside a process with a running event loop. It
    raises TransientError where the registry could not be asked, RefusedError where it will not answer, and
    InvalidObjectError where a name is none.
    """

    def production(self, model: str) -> ProductionVersion | None:
        """Return the version that serves, strongly consistent, in one request; None where none does."""

    def get(self, model: str, version: str) -> VersionEntry:
        """Return one version; NotFoundError where it is not registered."""

    def list(self, model: str, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that the query wants, the newest first in the order of SemVer."""

    def history(self, model: str, *, after: int = 0) -> Iterator[AuditRecordSpec]:
        """Yield the audit trail in order, page by page."""

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self:
        """Close at the end of a ``with``."""

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def parse_address(url: str) -> Address:
    """Return the registry that an address names; ConfigurationError where it names none."""
    parts = urlsplit(url)
    match parts.scheme:
        case "kubernetes":
            if url != "kubernetes:":
                raise ConfigurationError(f"{url}: kubernetes: takes nothing more, the kubeconfig names the cluster")
            return KubernetesAddress()
        case "dynamodb":
            return _dynamodb_address(url)
        case _:
            raise ConfigurationError(f"{url!r} is no registry: write {FORMS}")


def _dynamodb_address(url: str) -> DynamoDbAddress:
    parts = urlsplit(url)
    if not parts.netloc or parts.path or parts.fragment:
        raise ConfigurationError(f"{url}: between dynamodb:// and ? stands the table prefix alone: {FORMS}")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as problem:
        raise ConfigurationError(f"{url}: {problem}: write parameters as name=value with & between them") from problem
    given = dict(pairs)
    unknown = sorted(given.keys() - _PARAMETERS)
    if unknown:
        raise ConfigurationError(
            f"{url}: unknown parameter {', '.join(unknown)}: known are {', '.join(sorted(_PARAMETERS))}"
        )
    if len(given) != len(pairs):
        raise ConfigurationError(f"{url}: a parameter stands there twice")
    settings = DynamoDbSettings(
        region=given.get("region") or None,
        endpoint=given.get("endpoint") or None,
        table_prefix=parts.netloc,
        scope=given.get("scope", ""),
    )
    return DynamoDbAddress(settings, given.get("namespace", ""))


async def open_store(url: str, *, namespaces: Sequence[str] = ()) -> RegistryStore:
    """Open a registry to read and write it; close it with ``await store.close()``.

    Args:
        url: its address.
        namespaces: of a registry in Kubernetes, those that may be listed; empty for the whole cluster.

    Raises:
        ConfigurationError: the address names none, or there is none at it; the sentence says what to do.
        RefusedError, TransientError: as they say.
    """
    match parse_address(url):
        case DynamoDbAddress(settings=settings):
            from serinus.registry.dynamodb.store import DynamoDbStore  # noqa: PLC0415 - boto3 takes half a second to load

            return await DynamoDbStore.open(settings)
        case KubernetesAddress():
            from serinus.kube.client import KubernetesClient  # noqa: PLC0415 - the client takes long to load
            from serinus.registry.kubernetes.store import KubernetesStore  # noqa: PLC0415 - likewise

            client = await KubernetesClient.open()
            return KubernetesStore(client, namespaces=namespaces, on_close=client.close)


def open_reader(url: str) -> RegistryReader:
    """Open a registry to read it from serving code; nothing is sent yet. As ``serinus.registry.open(url)``.

    Raises:
        ConfigurationError: the address names none that can be read so.
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

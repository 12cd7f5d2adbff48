"""What the commands on a registry share: its address, the namespace of models, and the access to the outside."""

import getpass
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

import click

from serinus import __version__
from serinus.api.audit_record import Actor, ActorKind, Authentication, OperatorIdentity
from serinus.api.names import ObjectKey
from serinus.api.schema import DIGEST, NAME, SEMVER, SEMVER_ADVICE, in_python
from serinus.cli import cluster_names
from serinus.cli.command import Params, together
from serinus.cli.context import CliContext
from serinus.cli.kubectl import current_namespace
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.address import DynamoDbAddress, KubernetesAddress, parse_address, with_cluster
from serinus.settings import DynamoDbSettings

CLUSTER: Final = "kubernetes:"
MIN_REASON_LENGTH: Final = 10


class ArgumentError(click.BadParameter, ConfigurationError):
    """What is wrong can be seen in the words alone: wrong usage; an error of ours to whoever catches those."""


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """The registry that a command works on and the namespace of models: the options of :data:`registry_options`.

    Attributes:
        url: the registry's address.
        namespace: that of models named without one; None for the current one.
    """

    url: str
    namespace: str | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ArgumentError for an address that is none of a registry."""
        url = with_cluster(params["registry"], params["cluster"]) if params["cluster"] else params["registry"]
        try:
            parse_address(url)
        except ConfigurationError as problem:
            raise ArgumentError(str(problem), param_hint="'--registry'") from problem
        return cls(url=url, namespace=params["namespace"])

    @property
    def in_cluster(self) -> bool:
        """Whether a cluster holds the registry."""
        return isinstance(parse_address(self.url), KubernetesAddress)

    def model_key(self, model: str) -> ObjectKey:
        """Return the key of a model given as ``namespace/name``, or as a name in the namespace of the options.

        Raises:
            ArgumentError: neither Kubernetes nor a registry without a cluster has such names.
        """
        namespace, slash, name = model.rpartition("/")
        key = ObjectKey(namespace if slash else self.namespace or self.current_namespace(), name)
        try:
            check_model_key(key, repr(model))
        except ConfigurationError as problem:
            raise ArgumentError(str(problem), param_hint="'MODEL'") from problem
        return key

    def current_namespace(self) -> str:
        """Return the default namespace: the address's for DynamoDB, kubectl's current one for a cluster."""
        match parse_address(self.url):
            case DynamoDbAddress(namespace=namespace):
                return namespace
            case KubernetesAddress():
                return current_namespace() or "default"


def check_model_key(model: ObjectKey, shown: str) -> None:
    """Raise ConfigurationError for names that no model can have; ``shown`` is what the message has in their place."""
    names = (model.name, model.namespace) if model.namespace else (model.name,)
    if not all(re.fullmatch(in_python(NAME), name) for name in names):
        raise ConfigurationError(
            f"{shown} is no model in namespace {model.namespace!r}: a name and a namespace have at most 63 lower-case "
            "letters, digits and dashes"
        )


model_argument: Final = click.argument(
    "model", metavar="MODEL", shell_complete=cluster_names.models, help="the model, as name or namespace/name"
)
"""The argument that names the model."""


def parse_version_argument(text: str) -> str:
    """Return the text if it is a version, else raise click.BadParameter."""
    if re.fullmatch(in_python(SEMVER), text) is None:
        raise click.BadParameter(f"invalid version {text!r}: {SEMVER_ADVICE}")
    return text


def parse_tables_address(url: str) -> DynamoDbSettings:
    """Return the settings of a registry in DynamoDB, else raise click.BadParameter."""
    try:
        address = parse_address(url)
    except ConfigurationError as problem:
        raise click.BadParameter(str(problem)) from problem
    match address:
        case DynamoDbAddress(settings=settings):
            return settings
        case KubernetesAddress():
            raise click.BadParameter(f"{url!r} is no registry in DynamoDB: write dynamodb://<table-prefix>?region=…")


def parse_digest(text: str) -> str:
    """Return the text if it is a digest as the registry has them, else raise click.BadParameter."""
    if re.fullmatch(in_python(DIGEST), text) is None:
        raise click.BadParameter(f"invalid digest {text!r}: write sha256: and 64 hexadecimal digits, in lower case")
    return text


version_argument: Final = click.argument(
    "version",
    metavar="VERSION",
    type=parse_version_argument,
    shell_complete=cluster_names.versions,
    help="such as 2.3.1",
)
"""The argument that names the version."""

registry_options: Final = together(
    click.option(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        shell_complete=cluster_names.namespaces,
        help="namespace of the model (default: the current one)",
    ),
    click.option(
        "--registry",
        default=CLUSTER,
        metavar="URL",
        help="kubernetes: (the current cluster, the default) or dynamodb://<table-prefix>?region=…&cluster=…&namespace=…",
    ),
    click.option(
        "--cluster",
        metavar="NAME",
        help="the cluster whose heads are meant, where several share tables in DynamoDB",
    ),
)
"""The options for the registry and the namespace."""


def name_of(model: ObjectKey) -> str:
    """Return a model as people write it and commands accept it: without a slash if it has no namespace."""
    return str(model) if model.namespace else model.name


@asynccontextmanager
async def open_registry(
    registry: RegistryOptions, context: CliContext, *, everywhere: bool = False
) -> AsyncIterator[RegistryStore]:
    """Open the registry of a command, and close it at the end.

    Args:
        registry: its address.
        context: opens it.
        everywhere: list every namespace of a cluster, not only that of the options.
    """
    namespaces: tuple[str, ...] = ()
    if registry.in_cluster and not everywhere:
        namespaces = (registry.namespace or registry.current_namespace(),)
    store = await context.open_store(registry.url, namespaces)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_each_cluster(
    registry: RegistryOptions, context: CliContext, *, everywhere: bool = False
) -> AsyncIterator[Mapping[str, RegistryStore]]:
    """Open the registry once for each of its clusters, by their names; once where the address names one.

    The name is empty for a registry that has no named cluster, such as that of a Kubernetes cluster.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_registry(registry, context, everywhere=everywhere))
        address = parse_address(registry.url)
        if isinstance(address, DynamoDbAddress) and address.settings.cluster:
            yield {address.settings.cluster: store}
            return
        stores = {}
        for name in await store.clusters():
            named = replace(registry, url=with_cluster(registry.url, name))
            stores[name] = await stack.enter_async_context(open_registry(named, context, everywhere=everywhere))
        yield stores or {"": store}


def this_process() -> OperatorIdentity:
    """Return this program and host, which a record names as its writer."""
    return OperatorIdentity(version=__version__, instance=f"cli@{socket.gethostname()}"[:253])


def checked_reason(text: str) -> str:
    """Return the reason without surrounding spaces; ArgumentError if it is too short to be of use to an auditor."""
    reason = text.strip()
    if len(reason) < MIN_REASON_LENGTH:
        raise ArgumentError(
            f"explain the change in at least {MIN_REASON_LENGTH} characters: the audit trail keeps them",
            param_hint="'--reason'",
        )
    return reason


def local_user() -> Actor:
    """Return the local user as an actor whose name nothing verifies."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unverified"
    return Actor(name=name, kind=ActorKind.UNKNOWN, authentication=Authentication.NONE)

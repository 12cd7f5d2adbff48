"""What every command on the registry needs: which registry and model, who acts, the outside that a test replaces."""

import argparse
import getpass
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from serinus import __version__
from serinus.api.audit_record import Actor, ActorKind, Authentication, OperatorIdentity
from serinus.api.model import ModelSpec
from serinus.api.names import MODEL, ObjectKey
from serinus.api.parsing import decode
from serinus.clock import SystemClock
from serinus.errors import NotFoundError, SerinusError
from serinus.ports.registry_store import RegistryStore
from serinus.ports.services import Clock
from serinus.registry.address import DynamoDbAddress, KubernetesAddress, parse_address

CLUSTER: Final = "kubernetes:"
LEAST_REASON: Final = 10
_SECONDS: Final = 10.0


async def _open_store(url: str, namespaces: Sequence[str]) -> RegistryStore:
    from serinus.registry.address import open_store  # noqa: PLC0415 - a test that gives its own store loads nothing

    return await open_store(url, namespaces=namespaces)


async def _read_policy(model: ObjectKey) -> ModelSpec | None:
    from serinus.kube.client import KubernetesClient  # noqa: PLC0415 - the client takes long to load
    from serinus.kube.kinds import object_path  # noqa: PLC0415 - likewise

    async with await KubernetesClient.open() as client:
        try:
            raw = await client.request("GET", object_path(MODEL, model))
        except NotFoundError:
            return None
    return decode(ModelSpec, raw.get("spec", {}), "spec")


@dataclass(frozen=True, slots=True)
class CliContext:
    """What a command asks of the outside.

    Attributes:
        open_store: opens a registry by its address; the namespaces are those of a cluster that may be listed.
        read_policy: what the cluster's Model says; None where there is none.
        clock: the time.
    """

    open_store: Callable[[str, Sequence[str]], Awaitable[RegistryStore]] = _open_store
    read_policy: Callable[[ObjectKey], Awaitable[ModelSpec | None]] = _read_policy
    clock: Clock = field(default_factory=SystemClock)


def add_registry(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which registry and which namespace."""
    parser.add_argument("-n", "--namespace", help="the model's namespace; the current one where it is not given")
    parser.add_argument(
        "--registry",
        default=CLUSTER,
        metavar="URL",
        help="kubernetes: (the current cluster, by default) or dynamodb://<table-prefix>?region=…&scope=…&namespace=…",
    )


def in_cluster(given: argparse.Namespace) -> bool:
    """Say whether the registry is the cluster's; ConfigurationError where the address is none."""
    return isinstance(parse_address(given.registry), KubernetesAddress)


def model_of(given: argparse.Namespace) -> ObjectKey:
    """Return the model that the command names: as ``namespace/name``, by --namespace, or in the current one."""
    namespace, slash, name = given.model.rpartition("/")
    if slash:
        return ObjectKey(namespace, name)
    return ObjectKey(given.namespace or current_namespace(given.registry), given.model)


def name_of(model: ObjectKey) -> str:
    """Return how people name a model, and commands take it: without a slash where it has no namespace."""
    return str(model) if model.namespace else model.name


def current_namespace(url: str) -> str:
    """Return the namespace of models that are named without one."""
    match parse_address(url):
        case DynamoDbAddress(namespace=namespace):
            return namespace
        case KubernetesAddress():
            return _kubectls_namespace() or "default"


def _kubectls_namespace() -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return ""
    words = [kubectl, "config", "view", "--minify", "--output=jsonpath={..namespace}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@asynccontextmanager
async def opened(
    given: argparse.Namespace, outside: CliContext, *, everywhere: bool = False
) -> AsyncIterator[RegistryStore]:
    """Open the registry that the command names, and close it."""
    namespaces: tuple[str, ...] = ()
    if in_cluster(given) and not everywhere:
        namespaces = (given.namespace or current_namespace(given.registry),)
    store = await outside.open_store(given.registry, namespaces)
    try:
        yield store
    finally:
        await store.close()


def this_process() -> OperatorIdentity:
    """Return what a record says wrote it: this program on this host."""
    return OperatorIdentity(version=__version__, instance=f"cli@{socket.gethostname()}"[:253])


class ReasonError(SerinusError):
    """A reason is missing or too short."""


def reason_of(given: argparse.Namespace) -> str:
    """Return the reason that the command gives; ReasonError where it is too short to tell an auditor anything."""
    reason: str = (given.reason or "").strip()
    if len(reason) < LEAST_REASON:
        raise ReasonError(
            f"--reason: say why in at least {LEAST_REASON} characters: it stands in the audit trail for good"
        )
    return reason


def local_user() -> Actor:
    """Return who runs this, as the machine says: nobody vouches for it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unverified"
    return Actor(name=name, kind=ActorKind.UNKNOWN, authentication=Authentication.NONE)

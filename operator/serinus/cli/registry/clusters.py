"""``serinus registry dynamodb clusters | release-cluster``: which clusters share the tables, and who has each name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

import click

from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.registry.read import print_table
from serinus.cli.session import parse_tables_address
from serinus.settings import DynamoDbSettings

if TYPE_CHECKING:
    from serinus.registry.dynamodb.clusters import ClusterDirectory

OK: Final = 0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClustersOptions:
    """Options of ``serinus registry dynamodb clusters``."""

    registry: DynamoDbSettings

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(registry=params["registry"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """Options of ``serinus registry dynamodb release-cluster``.

    Attributes:
        confirmed: release the name; otherwise only say whose it is.
    """

    registry: DynamoDbSettings
    name: str
    confirmed: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(registry=params["registry"], name=params["name"], confirmed=params["yes"])


_registry_option: Final = click.option(
    "--registry",
    type=parse_tables_address,
    metavar="URL",
    required=True,
    help="dynamodb://<table-prefix>?region=…&scope=…",
)


@command(
    "clusters",
    ClustersOptions.from_params,
    "print the clusters that have heads in the tables, and the identity of each",
)
@_registry_option
def clusters(options: ClustersOptions, _: CliContext) -> int:
    """Run the command."""
    claims = _in_directory(options.registry, lambda directory: directory.claims())
    if not claims:
        echo("No clusters found.", err=True)
        return OK
    print_table([{"CLUSTER": claim.name, "IDENTITY": claim.identity or "(nobody)"} for claim in claims])
    return OK


@command(
    "release-cluster",
    ReleaseOptions.from_params,
    "free the name of a cluster that does not run any more, so that its successor takes over its heads",
)
@click.argument("name", metavar="NAME", help="the cluster's name")
@_registry_option
@click.option("--yes", is_flag=True, help="release it (default: only print whose it is)")
def release(options: ReleaseOptions, _: CliContext) -> int:
    """Release the name and return 0; NotFoundError where no cluster has it."""
    name = options.name
    if not options.confirmed:
        claims = _in_directory(options.registry, lambda directory: directory.claims())
        identity = next((claim.identity for claim in claims if claim.name == name), "") or "nobody"
        echo(f"{name}: would be released from {identity}: see that no operator of that cluster runs, then give --yes")
        return OK
    identity = _in_directory(options.registry, lambda directory: directory.release(name)) or "nobody"
    echo(f"{name}: released from {identity}; the next operator of that name takes over its heads")
    return OK


def _in_directory(settings: DynamoDbSettings, ask: "Callable[[ClusterDirectory], T]") -> T:
    # boto3 takes half a second to load: other verbs must not wait for it.
    from serinus.registry.dynamodb.client import connect  # noqa: PLC0415
    from serinus.registry.dynamodb.clusters import ClusterDirectory  # noqa: PLC0415

    clients = connect(settings)
    try:
        return ask(ClusterDirectory(settings, clients))
    finally:
        clients.close()

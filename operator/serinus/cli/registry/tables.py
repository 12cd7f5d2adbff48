"""``serinus registry dynamodb create-tables``: creates the registry's tables, or checks existing ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import click

from serinus.cli.actor import is_aws
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import parse_tables_address
from serinus.settings import DynamoDbSettings, load_settings

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTablesOptions:
    """Options of ``serinus registry dynamodb create-tables``.

    Attributes:
        registry: None for the configured one.
        config: the operator's configuration file; None for that of SERINUS_CONFIG.
        protected: with deletion protection and point-in-time recovery, if the endpoint supports them.
    """

    registry: DynamoDbSettings | None
    config: Path | None
    protected: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(registry=params["registry"], config=params["config"], protected=not params["no_protection"])


@command(
    "create-tables",
    CreateTablesOptions.from_params,
    "create the tables, or check existing ones",
    exclusive=("registry", "config"),
)
@click.option(
    "--registry", type=parse_tables_address, metavar="URL", help="dynamodb://<table-prefix>?region=…&endpoint=…"
)
@click.option("--config", type=FILE, metavar="FILE", help="the operator's configuration file (default: SERINUS_CONFIG)")
@click.option(
    "--no-protection",
    is_flag=True,
    help="omit deletion protection and point-in-time recovery, as at every endpoint other than AWS's",
)
def create_tables(options: CreateTablesOptions, _: CliContext) -> int:
    """Create the missing tables, print each step, and return 0; idempotent.

    Raises:
        ConfigurationError: the configuration is invalid, or a table of that name belongs to others.
        RefusedError: a permission is missing.
        TransientError, AmbiguousError: run the command again.
    """
    # boto3 takes half a second to load: other verbs must not wait for it.
    from serinus.registry.dynamodb.client import connect  # noqa: PLC0415
    from serinus.registry.dynamodb.names import TableNames  # noqa: PLC0415
    from serinus.registry.dynamodb.tables import create, probe  # noqa: PLC0415

    settings = _settings(options)
    tables, clients = TableNames.of(settings), connect(settings)
    try:
        for step in create(clients.reads, tables, protect=options.protected and is_aws(settings.endpoint)):
            echo(step)
        probe(clients.reads, tables)
    finally:
        clients.close()
    echo("transactions work: the registry can be used")
    return OK


def _settings(options: CreateTablesOptions) -> DynamoDbSettings:
    if options.registry is None:
        return load_settings(options.config).registry.dynamodb
    return options.registry

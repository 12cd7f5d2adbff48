"""``serinus registry dynamodb create-tables``: makes the registry's tables, or says what is wrong with those there."""

import argparse
from pathlib import Path
from urllib.parse import urlsplit

from serinus.cli.output import echo
from serinus.errors import ConfigurationError
from serinus.registry.address import DynamoDbAddress, parse_address
from serinus.settings import DynamoDbSettings, load_settings

OK = 0
# Also those of a VPC's own endpoints.
_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--registry", metavar="URL", help="dynamodb://<table-prefix>?region=…&endpoint=…")
    place.add_argument("--config", type=Path, help="the operator's configuration file; SERINUS_CONFIG where not given")
    parser.add_argument(
        "--no-protection",
        action="store_true",
        help="leave out deletion protection and point-in-time recovery, as at every endpoint that is not AWS's",
    )


def create_tables(given: argparse.Namespace) -> int:
    """Make what is missing, say what was done, and return 0; doing it again changes nothing.

    Raises:
        ConfigurationError: the address or the configuration is wrong, or a table of that name is another's.
        RefusedError: the rights are missing.
        TransientError, AmbiguousError: run it again.
    """
    # boto3 takes half a second to load; a verb at a terminal must not wait for it.
    from serinus.registry.dynamodb.client import connect  # noqa: PLC0415
    from serinus.registry.dynamodb.names import TableNames  # noqa: PLC0415
    from serinus.registry.dynamodb.tables import create, probe  # noqa: PLC0415

    settings = _settings(given.registry, given.config)
    tables, clients = TableNames.of(settings), connect(settings)
    protect = _is_aws(settings.endpoint) and not given.no_protection
    try:
        for done in create(clients.reads, tables, protect=protect):
            echo(done)
        probe(clients.reads, tables)
    finally:
        clients.close()
    echo("transactions work: the registry can be used")
    return OK


def _is_aws(endpoint: str | None) -> bool:
    host = urlsplit(endpoint).hostname if endpoint is not None else None
    return endpoint is None or (host or "").endswith(_AWS_DOMAINS)


def _settings(url: str | None, config: Path | None) -> DynamoDbSettings:
    if url is None:
        return load_settings(config).registry.dynamodb
    match parse_address(url):
        case DynamoDbAddress(settings=settings):
            return settings
        case _:
            raise ConfigurationError(
                f"{url}: only a registry in DynamoDB has tables: dynamodb://<table-prefix>?region=…"
            )

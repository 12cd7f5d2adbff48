"""``serinus registry``: the registry from a terminal, for fleets that read it without a cluster."""

from serinus.cli.audit import log
from serinus.cli.command import Subparsers
from serinus.cli.registry import read, register, tables, write


def add_parser(verbs: Subparsers) -> None:
    """Add ``registry`` and its verbs."""
    parser = verbs.add_parser("registry", help="read and, without a cluster, write the registry of versions")
    kinds = parser.add_subparsers(required=True, metavar="VERB")
    read.add_parsers(kinds)
    register.add_register(kinds.add_parser("register", help="make the ModelVersions of a file known"))
    write.add_parsers(kinds)
    log.add_log(kinds.add_parser("history", help="print what happened to a model; as serinus audit log"))
    dynamodb = kinds.add_parser("dynamodb", help="the tables of a registry in DynamoDB")
    table_verbs = dynamodb.add_subparsers(required=True, metavar="VERB")
    tables.add_create_tables(table_verbs.add_parser("create-tables", help="make the tables, or check those there"))

"""``serinus registry``: reads the registry, and writes one that fleets use without a cluster."""

from serinus.cli.audit import log
from serinus.cli.command import Subparsers
from serinus.cli.registry import clusters, production, read, register, tables, write, yank


def add_parser(verbs: Subparsers) -> None:
    """Add ``registry`` and its verbs."""
    parser = verbs.add_parser("registry", help="read the registry of versions and, without a cluster, write it")
    kinds = parser.add_subparsers(required=True, metavar="VERB")
    read.add_parsers(kinds)
    explanation = "print the production version, in each cluster of a fleet (exit status 1 if there is none)"
    production.add_production(kinds.add_parser("production", help=explanation, description=explanation))
    register.add_register(kinds.add_parser("register", help="register the ModelVersions of a file"))
    write.add_parsers(kinds)
    yank.add_parsers(kinds)
    log.add_log(kinds.add_parser("history", help="print the audit records of a model, as serinus audit log does"))
    dynamodb = kinds.add_parser("dynamodb", help="manage the tables of a registry in DynamoDB")
    table_verbs = dynamodb.add_subparsers(required=True, metavar="VERB")
    clusters.add_parsers(table_verbs)
    tables.add_create_tables(table_verbs.add_parser("create-tables", help="create the tables, or check existing ones"))

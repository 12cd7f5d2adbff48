"""``serinus audit``: read the trail, verify it, take it out, and have it witnessed by somebody outside."""

from serinus.cli.audit import checkpoint, export, log, prune, verify
from serinus.cli.command import Subparsers


def add_parser(verbs: Subparsers) -> None:
    """Add ``audit`` and its verbs."""
    audit = verbs.add_parser("audit", help="read, verify, export and keep the audit trail")
    kinds = audit.add_subparsers(required=True, metavar="VERB")
    log.add_log(kinds.add_parser("log", help="print what happened to a model, newest last"))
    export.add_export(kinds.add_parser("export", help="write the records to a file, with a manifest beside it"))
    verify.add_parser(kinds)
    prune.add_parser(kinds)
    checkpoint.add_parsers(kinds)

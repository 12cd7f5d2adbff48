"""``serinus audit``: reads, verifies, exports and prunes the audit trail, and signs checkpoints of it."""

from serinus.cli.audit import checkpoint, export, log, prune, restore, verify
from serinus.cli.command import Subparsers


def add_parser(verbs: Subparsers) -> None:
    """Add ``audit`` and its verbs."""
    audit = verbs.add_parser("audit", help="read, verify, export and prune the audit trail")
    kinds = audit.add_subparsers(required=True, metavar="VERB")
    log.add_log(kinds.add_parser("log", help="print the audit records of a model, newest last"))
    export.add_export(
        kinds.add_parser("export", help="write the records of a model to a file, with a manifest beside it")
    )
    verify.add_parser(kinds)
    prune.add_parser(kinds)
    restore.add_parser(kinds)
    checkpoint.add_parsers(kinds)

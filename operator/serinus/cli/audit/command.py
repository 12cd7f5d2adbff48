"""``serinus audit``: reads, verifies, exports and prunes the audit trail, and signs checkpoints of it."""

from typing import Final

from serinus.cli.command import Group

audit: Final = Group(
    "audit",
    "read, verify, export and prune the audit trail",
    {
        "log": "serinus.cli.audit.log:log",
        "export": "serinus.cli.audit.export:export",
        "verify": "serinus.cli.audit.verify:verify",
        "prune": "serinus.cli.audit.prune:prune",
        "restore": "serinus.cli.audit.restore:restore_head",
        "checkpoint": "serinus.cli.audit.checkpoint:checkpoint",
        "keygen": "serinus.cli.audit.checkpoint:keygen",
    },
)

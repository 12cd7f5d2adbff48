"""Parses the command line; each verb's work is in a module of its own."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from serinus import __version__
from serinus.api.names import Command
from serinus.cli import importing, rollback
from serinus.cli.ask import ask
from serinus.cli.audit import command as audit_command
from serinus.cli.diff import command as diff_command
from serinus.cli.registry import command as registry_command
from serinus.cli.report import command as report_command
from serinus.errors import ConfigurationError, SerinusError

OK, FAILED = 0, 1

_VERBS = {
    Command.PROMOTE: "let the run leave its stage: gives the approval, or ends the wait; the evidence is still needed",
    Command.PAUSE: "let the run stay where it is; a breach still rolls back",
    Command.RESUME: "let a paused run go on",
    Command.ABORT: "end the run and roll the candidate back",
    Command.RETRY: "start a version again that was rolled back",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 not done, 2 wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        return _do(given)
    except ConfigurationError as problem:
        print(f"serinus: {problem}", file=sys.stderr)  # noqa: T201 - this is the command line
        return FAILED
    except SerinusError as problem:
        print(f"serinus: {problem}", file=sys.stderr)  # noqa: T201 - this is the command line
        return FAILED


def _do(given: argparse.Namespace) -> int:
    if given.verb == "version":
        print(__version__)  # noqa: T201 - this is the command line
        return OK
    if given.verb == "run":
        # The operator's libraries take half a second to load; a verb at a terminal must not wait for them.
        from serinus.cli.run import run  # noqa: PLC0415

        return run(given.config, given.log_format)
    if given.verb in _FAMILIES:
        return _FAMILIES[given.verb](given)
    return ask(Command(given.verb), given.name, given.reason, namespace=given.namespace, context=given.context)


_FAMILIES: Final = {
    "audit": audit_command.run,
    "diff": diff_command.run,
    "import": importing.run,
    "registry": registry_command.run,
    "report": report_command.run,
    "rollback": rollback.run,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serinus", description="Puts model versions into production safely.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("version", help="print the version")
    run = verbs.add_parser("run", help="run the operator")
    run.add_argument("--config", type=Path, help="the configuration file; SERINUS_CONFIG where it is not given")
    run.add_argument("--log-format", choices=("text", "json"), default="text", help="one line of text or JSON each")
    for family in (audit_command, report_command, diff_command, importing, registry_command, rollback):
        family.add_parser(verbs)
    for command, explanation in _VERBS.items():
        verb = verbs.add_parser(command.value, help=explanation, description=explanation)
        verb.add_argument("name", help="the Rollout")
        verb.add_argument("-n", "--namespace", help="its namespace; kubectl's current one where it is not given")
        verb.add_argument("--context", help="the kubeconfig context")
        verb.add_argument("--reason", default="", help="why, for the status and the audit trail")
    return parser

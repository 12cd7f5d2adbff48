"""Parses the command line; each verb's work is in a module of its own."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from serinus import __version__
from serinus.cli import annotate, import_mlflow, rollback
from serinus.cli.audit import command as audit_command
from serinus.cli.diff import command as diff_command
from serinus.cli.output import echo, echo_error
from serinus.cli.registry import command as registry_command
from serinus.cli.report import command as report_command
from serinus.errors import ConfigurationError, SerinusError

OK, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 not done, 2 wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        return _do(given)
    except ConfigurationError as problem:
        echo_error(problem)
        return FAILED
    except SerinusError as problem:
        echo_error(problem)
        return FAILED


def _do(given: argparse.Namespace) -> int:
    if given.verb == "version":
        echo(__version__)
        return OK
    if given.verb == "run":
        # The operator's libraries take half a second to load; a verb at a terminal must not wait for them.
        from serinus.cli.run import run  # noqa: PLC0415

        return run(given.config, given.log_format)
    if given.verb in _FAMILIES:
        return _FAMILIES[given.verb](given)
    return annotate.run(given)


_FAMILIES: Final = {
    "audit": audit_command.run,
    "diff": diff_command.run,
    "import": import_mlflow.run,
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
    for family in (audit_command, report_command, diff_command, import_mlflow, registry_command, rollback):
        family.add_parser(verbs)
    annotate.add_parsers(verbs)
    return parser

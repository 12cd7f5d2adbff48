"""Entry point of the command line; each verb is in a module of its own."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from serinus import __version__
from serinus.cli.command import STATUSES, Parser, Subparsers, run_command, set_handler
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error
from serinus.errors import SerinusError

OK, FAILED = 0, 1
INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

LEADERSHIP_LOST: Final = 3

_FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "status": "serinus.cli.rollouts.status",
        "list": "serinus.cli.rollouts.listing",
        "history": "serinus.cli.rollouts.history",
        "explain": "serinus.cli.rollouts.explain",
        "promote": "serinus.cli.rollouts.annotate",
        "pause": "serinus.cli.rollouts.annotate",
        "resume": "serinus.cli.rollouts.annotate",
        "abort": "serinus.cli.rollouts.annotate",
        "retry": "serinus.cli.rollouts.annotate",
        "rollback": "serinus.cli.rollback",
        "audit": "serinus.cli.audit.command",
        "report": "serinus.cli.report.command",
        "diff": "serinus.cli.diff.command",
        "import": "serinus.cli.importing.command",
        "lint": "serinus.cli.lint.command",
        "check": "serinus.cli.check.command",
        "registry": "serinus.cli.registry.command",
        "web": "serinus.cli.web",
        "simulate": "serinus.cli.simulate.command",
    }
)
"""By verb, the module whose ``add_parser`` adds it. The modules load slowly together, so a verb loads its own only."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 failed, 2 wrong usage, unless the command has its own."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = build_parser(words[0] if words else None)
    for word in words:
        if not _is_text(word):
            parser.error(f"an argument is not UTF-8: {word!a}")
    return run_parsed(parser.parse_args(words), CliContext())


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def run_parsed(args: argparse.Namespace, context: CliContext) -> int:
    """Run the command that was parsed, print an error of ours, and return the exit status."""
    try:
        return run_command(args, context)
    except SerinusError as problem:
        echo_error(problem)
        return FAILED
    except KeyboardInterrupt:
        echo_error("interrupted")
        return INTERRUPTED


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; of this verb's family alone where the verb is known."""
    parser = Parser(prog="serinus", description="Puts model versions into production safely.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    set_handler(verbs.add_parser("version", help="print the version"), lambda args: args, _print_version)
    _add_run(verbs)
    if verb is not None and verb in _FAMILIES:
        modules = [_FAMILIES[verb]]
    else:
        modules = [] if verb in verbs.choices else [*dict.fromkeys(_FAMILIES.values())]
    for module in modules:
        import_module(module).add_parser(verbs)
    return parser


def _print_version(_: argparse.Namespace, __: CliContext) -> int:
    echo(__version__)
    return OK


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of ``serinus run``."""

    config: Path | None
    log_format: str

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(config=args.config, log_format=args.log_format)


def _add_run(verbs: Subparsers) -> None:
    parser = verbs.add_parser("run", help="run the operator")
    parser.add_argument("--config", type=Path, help="configuration file (default: SERINUS_CONFIG)")
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="format of log lines (default: text)"
    )
    ends = {OK: "stopped by a signal", LEADERSHIP_LOST: "another process leads"}
    set_handler(parser, RunOptions.from_args, _run_operator, statuses=STATUSES | ends)


def _run_operator(options: RunOptions, _: CliContext) -> int:
    # The operator's libraries take half a second to load: other verbs must not wait for them.
    from serinus.cli.run import run  # noqa: PLC0415

    return run(options.config, options.log_format)

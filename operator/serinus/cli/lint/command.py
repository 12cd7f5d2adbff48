"""``serinus lint``: checks manifests without a cluster."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from serinus.cli.command import STATUSES, Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.output import echo

CLEAN, FINDINGS = 0, 1
FORMATS: Final = ("text", "github", "json", "sarif")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """Options of ``serinus lint``.

    Attributes:
        files: files and folders; ``-`` for standard input.
        output: one of :data:`FORMATS`.
    """

    files: Sequence[str]
    output: str

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(files=tuple(args.files), output=args.output)


def add_parser(verbs: Subparsers) -> None:
    """Add the command."""
    about = "check manifests without a cluster: what the API server and the operator would refuse, and what is missing"
    parser = verbs.add_parser("lint", help=about, description=about)
    parser.add_argument(
        "-f", "--filename", dest="files", metavar="FILE", nargs="+", action="extend", required=True,
        help="files, folders with all below them, or - for standard input",
    )  # fmt: skip
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="format (default: text)")
    ends = {CLEAN: "no findings", FINDINGS: "findings; or a file could not be read"}
    set_handler(parser, LintOptions.from_args, lint, statuses=STATUSES | ends)


def lint(options: LintOptions, _: CliContext) -> int:
    """Run the command."""
    # The CRDs' schemas and difflib: other commands must not wait for them.
    from serinus.cli.lint.check import check_files  # noqa: PLC0415
    from serinus.cli.lint.output import Format, print_findings  # noqa: PLC0415

    checked = check_files(options.files)
    print_findings(checked.findings, Format(options.output))
    echo(checked.summary, err=True)
    return FINDINGS if checked.findings else CLEAN

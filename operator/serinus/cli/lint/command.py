"""``serinus lint``: checks manifests without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import click

from serinus.cli.command import FILE, STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo

CLEAN, FINDINGS = 0, 1
_ENDS: Final = STATUSES | {CLEAN: "no findings", FINDINGS: "findings; or a file could not be read"}
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
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(files=tuple(map(str, (*params["files"], *params["more"]))), output=params["output"])


@command(
    "lint",
    LintOptions.from_params,
    "check manifests without a cluster: what the API server and the operator would refuse, and what is missing",
    statuses=_ENDS,
    needed=("files", "more"),
)
@click.option(
    "-f",
    "--filename",
    "files",
    metavar="FILE",
    type=FILE,
    multiple=True,
    help="files, folders with all below them, or - for standard input; several may follow",
)
@click.argument("more", metavar="[FILE]…", type=FILE, nargs=-1, help="the same")
@click.option("-o", "--output", type=choice(FORMATS), default="text", show_default=True, help="format")
def lint(options: LintOptions, _: CliContext) -> int:
    """Run the command."""
    # The CRDs' schemas and difflib: other commands must not wait for them.
    from serinus.cli.lint.check import check_files  # noqa: PLC0415
    from serinus.cli.lint.output import Format, print_findings  # noqa: PLC0415

    checked = check_files(options.files)
    print_findings(checked.findings, Format(options.output))
    echo(checked.summary, err=True)
    return FINDINGS if checked.findings else CLEAN

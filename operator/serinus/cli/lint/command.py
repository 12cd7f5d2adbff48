"""``serinus lint``: checks manifests, without a cluster or with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import click

from serinus.cli import cluster_names
from serinus.cli.command import FILE, STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.kubeconfig import kubeconfig_options
from serinus.cli.output import echo

if TYPE_CHECKING:
    from serinus.cli.lint.check import FolderCheck

CLEAN, FINDINGS = 0, 1
_ENDS: Final = STATUSES | {
    CLEAN: "no errors",
    FINDINGS: "errors; or a file could not be read, or with --cluster, the cluster could not be reached",
}
_OF_CLUSTER: Final = {"namespace": "--namespace", "context": "--context", "prometheus": "--prometheus"}
FORMATS: Final = ("text", "github", "json", "sarif")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """Options of ``serinus lint``.

    Attributes:
        files: files and folders; ``-`` for standard input.
        output: one of :data:`FORMATS`.
        cluster: whether a cluster is asked too.
        namespace: of objects that name none; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
        prometheus: the address of a Prometheus to ask in the place of the operator's metric sources; None for these.
    """

    files: Sequence[str]
    output: str
    cluster: bool
    namespace: str | None
    kube_context: str | None
    prometheus: str | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; click.UsageError for one of a cluster that is not to be asked."""
        for name, option in _OF_CLUSTER.items():
            if params[name] is not None and not params["cluster"]:
                raise click.UsageError(f"{option} needs --cluster.")
        return cls(
            files=tuple(map(str, (*params["files"], *params["more"]))),
            output=params["output"],
            cluster=params["cluster"],
            namespace=params["namespace"],
            kube_context=params["context"],
            prometheus=params["prometheus"],
        )


@command(
    "lint",
    LintOptions.from_params,
    "check manifests: what the API server and the operator would refuse, and what is missing",
    details="Without --cluster nothing but the files is read.",
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
@click.option(
    "--cluster",
    is_flag=True,
    help="also ask the cluster, through your own kubectl, for what the Rollouts name and how it is measured",
)
@click.option(
    "-n",
    "--namespace",
    metavar="NAMESPACE",
    shell_complete=cluster_names.namespaces,
    help="with --cluster: namespace of objects that name none (default: kubectl's current one)",
)
@kubeconfig_options("with --cluster: ")
@click.option(
    "--prometheus",
    metavar="URL",
    help="with --cluster: ask this Prometheus, in the place of the operator's metric sources",
)
def lint(options: LintOptions, context: CliContext) -> int:
    """Run the command."""
    # The CRDs' schemas and difflib: other commands must not wait for them.
    from serinus.cli.lint.check import check_files  # noqa: PLC0415
    from serinus.cli.lint.output import Format, print_findings  # noqa: PLC0415

    checked = check_files(options.files, _folder_check(options, context))
    print_findings(checked.findings, Format(options.output))
    echo(checked.summary, err=True)
    return FINDINGS if checked.has_errors else CLEAN


def _folder_check(options: LintOptions, context: CliContext) -> "FolderCheck":
    """Return what checks the objects against each other, and with a cluster also against that."""
    if not options.cluster:
        from serinus.cli.lint.folder_check import folder_findings  # noqa: PLC0415 - as above

        return folder_findings
    # The routers and the client of Prometheus: a check without a cluster must not wait for them.
    from serinus.cli.lint.cluster.findings import ClusterCheck  # noqa: PLC0415

    return ClusterCheck(
        namespace=options.namespace,
        kube_context=options.kube_context,
        prometheus=options.prometheus,
        clock=context.clock,
    )

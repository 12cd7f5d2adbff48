"""``serinus version``: of this program, and of the operators in a cluster."""

from dataclasses import dataclass
from typing import Final, Self

import click

from serinus import __version__
from serinus.cli import cluster_names
from serinus.cli.command import FAILED, STATUSES, Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error

OK: Final = 0
OTHER: Final = 1
_ENDS: Final = STATUSES | {OTHER: f"with --operator, an operator is of another version, or there is none; or {FAILED}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOptions:
    """Options of ``serinus version``.

    Attributes:
        operator: whether the operators of the cluster are asked for.
        kube_context: the kubeconfig context; None for kubectl's current one.
    """

    operator: bool
    kube_context: str | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(operator=params["operator"], kube_context=params["context"])


@command(
    "version", VersionOptions.from_params, "print the version, and whether the operator has the same", statuses=_ENDS
)
@click.option("--operator", is_flag=True, help="ask the cluster for its operators, and compare")
@click.option(
    "--context",
    metavar="CONTEXT",
    shell_complete=cluster_names.contexts,
    help="with --operator: kubeconfig context (default: the current one)",
)
def version(options: VersionOptions, _: CliContext) -> int:
    """Run the command."""
    if not options.operator:
        echo(__version__)
        return OK
    from serinus.cli.check.cluster import OPERATORS, Cluster, text_at  # noqa: PLC0415 - only this option needs it

    found = Cluster(None, options.kube_context).get("deployments", OPERATORS, everywhere=True)
    echo(f"client    {__version__}")
    if not found:
        echo_error("no Deployment of the chart is in the cluster")
        return OTHER
    versions = {
        f"{text_at(one, 'metadata', 'namespace')}/{text_at(one, 'metadata', 'name')}": text_at(
            one, "metadata", "labels", "app.kubernetes.io/version"
        )
        for one in found
    }
    for place, number in sorted(versions.items()):
        same = "the same" if number == __version__ else "another: use the same version of both"
        echo(f"operator  {number or 'unknown'} ({place}): {same}")
    return OK if set(versions.values()) == {__version__} else OTHER

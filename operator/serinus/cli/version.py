"""``serinus version``: of this program, and of the operators in a cluster."""

import json
from dataclasses import asdict, dataclass
from typing import Final, Self

import click

from serinus import __version__
from serinus.cli.command import FAILED, STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.kubeconfig import kubeconfig_options
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
    as_json: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        as_json = params["output"] == "json"
        return cls(operator=params["operator"], kube_context=params["context"], as_json=as_json)


@command(
    "version", VersionOptions.from_params, "print the version, and whether the operator has the same", statuses=_ENDS
)
@click.option("--operator", is_flag=True, help="ask the cluster for its operators, and compare")
@kubeconfig_options("with --operator: ")
@click.option("-o", "--output", type=choice(("text", "json")), default="text", show_default=True, help="format")
def version(options: VersionOptions, _: CliContext) -> int:
    """Run the command."""
    found = _operators(options.kube_context) if options.operator else []
    same = bool(found) and all(one.version == __version__ for one in found)
    if options.as_json:
        compared = {"operators": [asdict(one) for one in found], "same": same} if options.operator else {}
        echo(json.dumps({"client": __version__, **compared}, indent=2))
    elif options.operator:
        echo(f"client    {__version__}")
        for one in found:
            told = "the same" if one.version == __version__ else "another: use the same version of both"
            echo(f"operator  {one.version or 'unknown'} ({one.namespace}/{one.name}): {told}")
    else:
        echo(__version__)
    if options.operator and not found:
        echo_error("no Deployment of the chart is in the cluster")
    return OK if same or not options.operator else OTHER


@dataclass(frozen=True, slots=True, order=True)
class _Operator:
    """An operator's Deployment; ``version`` is empty where its label is missing."""

    namespace: str
    name: str
    version: str


def _operators(kube_context: str | None) -> list[_Operator]:
    from serinus.cli.check.cluster import OPERATORS, Cluster, text_at  # noqa: PLC0415 - only this option needs it

    return sorted(
        _Operator(
            namespace=text_at(one, "metadata", "namespace"),
            name=text_at(one, "metadata", "name"),
            version=text_at(one, "metadata", "labels", "app.kubernetes.io/version"),
        )
        for one in Cluster(None, kube_context).get("deployments", OPERATORS, everywhere=True)
    )

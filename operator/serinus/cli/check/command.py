"""``serinus check``: whether a cluster is ready for Rollouts, each line with its remedy."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, Self

import click

from serinus.cli import cluster_names
from serinus.cli.check.line import Line, State, failed, unknown
from serinus.cli.command import STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.kubeconfig import kubeconfig_options
from serinus.cli.output import echo
from serinus.errors import SerinusError

if TYPE_CHECKING:
    from serinus.cli.check.cluster import Cluster
    from serinus.ports.services import Clock

READY, NOT_READY = 0, 1
_MARKS: Final = {State.OK: "ok", State.WARNING: "warn", State.FAILED: "FAIL", State.UNKNOWN: "?"}
_ENDS: Final = STATUSES | {
    READY: "nothing failed",
    NOT_READY: "a check failed; or failed, standard error says why",
}
_REMEDY: Final = " " * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Options of ``serinus check``.

    Attributes:
        namespace: where the Rollouts are to be; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
        output: ``text`` or ``json``.
    """

    namespace: str | None
    kube_context: str | None
    output: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(namespace=params["namespace"], kube_context=params["context"], output=params["output"])


@command(
    "check",
    CheckOptions.from_params,
    "say whether this cluster is ready: kinds, your rights, policies, gateways, the operator and its metric sources",
    statuses=_ENDS,
)
@click.option(
    "-n",
    "--namespace",
    metavar="NAMESPACE",
    shell_complete=cluster_names.namespaces,
    help="where the Rollouts are to be (default: kubectl's current one)",
)
@kubeconfig_options()
@click.option("-o", "--output", type=choice(("text", "json")), default="text", show_default=True, help="format")
def check(options: CheckOptions, context: CliContext) -> int:
    """Run the command."""
    lines = list(_lines(options, context.clock))
    if options.output == "json":
        echo(json.dumps([_as_json(line) for line in lines], indent=2))
    else:
        width = get_terminal_size().columns if sys.stdout.isatty() else None
        for line in lines:
            echo(_as_text(line, width))
    return NOT_READY if any(line.state is State.FAILED for line in lines) else READY


def _lines(options: CheckOptions, clock: "Clock") -> Iterator[Line]:
    # The CRDs' schemas, the presets and the settings: other commands must not wait for them.
    from serinus.cli.check import api  # noqa: PLC0415
    from serinus.cli.check.cluster import Cluster  # noqa: PLC0415

    cluster = Cluster(options.namespace, options.kube_context)
    namespace = cluster.current_namespace()
    reached = cluster.raw("/version")
    yield Line("api-server", State.OK, f"Kubernetes {reached.get('gitVersion', '')}")
    missing = api.missing_namespace(cluster, namespace)
    if missing is not None:
        yield missing
    kinds = list(_asked("crds", lambda: api.kinds(cluster)))
    yield from kinds
    if kinds[0].state is State.FAILED:
        return
    if missing is None:
        yield from _asked("rights", lambda: api.rights(cluster, namespace))
        yield from _asked("actor-stamp", lambda: iter((api.stamp(cluster),)))
    yield from _asked("policies", lambda: iter((api.policies(cluster),)))
    existing = namespace if missing is None else None
    yield from _asked("gateway-api", lambda: api.gateways(cluster, existing))
    yield from _operator_lines(cluster, existing, clock)


def _operator_lines(cluster: "Cluster", namespace: str | None, clock: "Clock") -> Iterator[Line]:
    """Yield what is found of the operator; ``namespace`` is None where there is none that it could watch."""
    from serinus.cli.check import operation  # noqa: PLC0415 - see _lines

    try:
        lines, settings = operation.operator(cluster, clock.now())
    except SerinusError as problem:
        yield unknown("operator", f"not known: {problem}", "try again")
        return
    yield from lines
    if settings is None:
        return
    if namespace is not None and settings.namespaces and namespace not in settings.namespaces:
        said = f"the operator watches {', '.join(settings.namespaces)}, not {namespace}"
        yield failed("namespaces", said, "add it to the chart's namespaces, or take one of these")
    yield from _asked("sources", lambda: operation.sources(cluster, settings))


def _asked(name: str, ask: Callable[[], Iterator[Line]]) -> Sequence[Line]:
    """Return the lines of one group; one that says why where the API server did not answer."""
    try:
        return list(ask())
    except SerinusError as problem:
        return [unknown(name, f"not known: {problem}", "try again, or ask an administrator")]


def _as_json(line: Line) -> dict[str, Any]:
    return {"check": line.name, "state": line.state, "message": line.said, "remedy": line.remedy}


def _as_text(line: Line, width: int | None) -> str:
    """Return the line with its remedy below it, wrapped to the width of a terminal if there is one."""
    first = f"{_MARKS[line.state]:5}{line.name:19}"
    parts = [(first, line.said)] + ([(_REMEDY, line.remedy)] if line.remedy else [])
    return "\n".join(_wrapped(before, " ".join(text.split()), width) for before, text in parts)


def _wrapped(before: str, text: str, width: int | None) -> str:
    if width is None:
        return before + text
    return fill(
        text,
        max(width, len(_REMEDY) * 2),
        initial_indent=before,
        subsequent_indent=_REMEDY,
        break_long_words=False,
        break_on_hyphens=False,
    )

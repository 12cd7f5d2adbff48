"""``serinus diff``: what a new version's schema changes, before it is registered; from files or the cluster."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import click

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import encode
from serinus.cli import cluster_names
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.diff.page import page
from serinus.cli.diff.sources import Place, find_both
from serinus.cli.kubeconfig import kubeconfig_options
from serinus.cli.manifests import read_policy
from serinus.cli.output import echo, echo_error
from serinus.engine.versions.comparison import Answer, answer_of
from serinus.errors import SerinusError

ACCEPTED, REFUSED, USAGE = 0, 1, 2
_STATUSES: Final = {
    ACCEPTED: "the number is large enough",
    REFUSED: "it is not",
    USAGE: "the versions cannot be compared, or wrong usage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions:
    """Options of ``serinus diff``.

    Attributes:
        old: a version, or a file with one ModelVersion.
        new: likewise, the later version.
        place: where versions are looked up.
        policy: a file with the Model; None for the one in the same files or in the cluster.
    """

    old: str
    new: str
    place: Place
    policy: Path | None
    as_json: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        place = Place(params["model"], tuple(params["files"]), params["namespace"], params["context"])
        return cls(old=params["old"], new=params["new"], place=place, policy=params["policy"], as_json=params["json"])


@command(
    "diff",
    DiffOptions.from_params,
    "show what a version's schema changes, and whether its number allows it",
    details="The answer is the operator's while the older version serves.",
    statuses=_STATUSES,
)
@click.argument("old", metavar="OLD", help="the version that serves, such as v2.2.4, or a file with one ModelVersion")
@click.argument("new", metavar="NEW", help="the later version, or a file")
@click.option(
    "-f",
    "--files",
    multiple=True,
    type=FILE,
    metavar="PATH",
    help="file or folder of ModelVersions, repeatable (default: the cluster, if a version is not a file)",
)
@click.option(
    "--policy", type=FILE, metavar="FILE", help="manifest of the Model (default: the one beside the versions)"
)
@click.option("--model", metavar="NAME", help="name of the model, if there are several")
@click.option(
    "-n",
    "--namespace",
    metavar="NAMESPACE",
    shell_complete=cluster_names.namespaces,
    help="namespace of the versions (default: kubectl's current one)",
)
@kubeconfig_options()
@click.option("--json", is_flag=True, help="print JSON")
def diff(options: DiffOptions, _: CliContext) -> int:
    """Print the differences of two versions; return 0 accepted, 1 not accepted, 2 cannot be compared."""
    try:
        pair = find_both(options.old, options.new, options.place)
        if options.policy is not None:
            pair = replace(pair, policy=read_policy(options.policy, pair.after.spec.model))
    except SerinusError as problem:
        echo_error(problem)
        return USAGE
    answer = answer_of(pair)
    before, after = pair.before.spec, pair.after.spec
    text = (
        _as_json(before, after, answer)
        if options.as_json
        else page(after.model, answer, old=before.version, new=after.version)
    )
    echo(text)
    return ACCEPTED if answer.accepted else REFUSED


def _as_json(before: ModelVersionSpec, after: ModelVersionSpec, answer: Answer) -> str:
    told = {
        "model": after.model,
        "old": before.version,
        "new": after.version,
        "accepted": answer.accepted,
        "reason": answer.reason,
        "message": answer.message,
        "remarks": list(answer.remarks),
        "declared": answer.compatibility.declared.value,
        "required": answer.compatibility.required.value,
        "wayBack": answer.way_back.value,
        "changes": [{"rollbackSafe": False, **encode(change)} for change in answer.changes],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)

"""``serinus diff``: what a new version's schema changes, before it is registered; from files or the cluster."""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import encode
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.diff.page import page
from serinus.cli.diff.sources import Place, find_both
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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        place = Place(args.model, tuple(args.files), args.namespace, args.context)
        return cls(old=args.old, new=args.new, place=place, policy=args.policy, as_json=args.json)


def add_parser(verbs: Subparsers) -> None:
    """Add the verb to the command line."""
    explanation = "show what a version's schema changes, and whether its number allows it"
    parser = verbs.add_parser(
        "diff",
        help=explanation,
        description=f"{explanation[0].upper()}{explanation[1:]}. "
        "The answer is the operator's while the older version serves.",
    )
    parser.add_argument("old", help="the version that serves, such as v2.2.4, or a file with one ModelVersion")
    parser.add_argument("new", help="the later version, or a file")
    parser.add_argument(
        "-f",
        "--files",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="file or folder of ModelVersions, repeatable (default: the cluster, if a version is not a file)",
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="manifest of the Model (default: the one beside the versions)"
    )
    parser.add_argument("--model", help="name of the model, if there are several")
    parser.add_argument("-n", "--namespace", help="namespace of the versions (default: kubectl's current one)")
    parser.add_argument("--context", help="kubeconfig context (default: the current one)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    set_handler(parser, DiffOptions.from_args, _diff, statuses=_STATUSES)


def _diff(options: DiffOptions, _: CliContext) -> int:
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

"""``serinus diff``: what a new version's schema changes, before it is registered; from files or the cluster."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from serinus.api.modelversion import ModelVersionSpec, SchemaChange
from serinus.api.parsing import encode
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.diff.page import page
from serinus.cli.diff.sources import Place, find_both
from serinus.cli.output import echo, echo_error
from serinus.cli.session import CliContext
from serinus.engine.schema.compatibility import CompatibilityVerdict, KnownVersion, judge
from serinus.engine.schema.diff import diff as differences
from serinus.engine.versions.catalogue import spec_hash
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
    """

    old: str
    new: str
    place: Place
    as_json: bool

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        place = Place(args.model, tuple(args.files), args.namespace, args.context)
        return cls(old=args.old, new=args.new, place=place, as_json=args.json)


def add_parser(verbs: Subparsers) -> None:
    """Add the verb to the command line."""
    explanation = "show what a version's schema changes, and whether its number allows it"
    parser = verbs.add_parser(
        "diff",
        help=explanation,
        description=f"{explanation[0].upper()}{explanation[1:]}.",
    )
    parser.add_argument("old", help="a version such as v2.2.4, or a file with one ModelVersion")
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
    parser.add_argument("--model", help="name of the model, if there are several")
    parser.add_argument("-n", "--namespace", help="namespace of the versions (default: kubectl's current one)")
    parser.add_argument("--context", help="kubeconfig context (default: the current one)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    set_handler(parser, DiffOptions.from_args, _diff, statuses=_STATUSES)


def _diff(options: DiffOptions, _: CliContext) -> int:
    """Print the differences of two versions; return 0 accepted, 1 not accepted, 2 cannot be compared."""
    try:
        before, after = find_both(options.old, options.new, options.place)
    except SerinusError as problem:
        echo_error(problem)
        return USAGE
    verdict = judge(_known(after), [_known(before)], before.version)
    changes = _all_changes(before, after)
    text = (
        _as_json(before, after, verdict, changes)
        if options.as_json
        else page(after.model, verdict, changes, old=before.version, new=after.version)
    )
    echo(text)
    return ACCEPTED if verdict.accepted else REFUSED


def _known(spec: ModelVersionSpec) -> KnownVersion:
    return KnownVersion(
        version=spec.version,
        signature=spec.signature,
        digest=(spec.artifact.digest or "") if spec.artifact is not None else "",
        spec_hash=spec_hash(spec),
    )


def _all_changes(before: ModelVersionSpec, after: ModelVersionSpec) -> tuple[SchemaChange, ...]:
    # Unlike a status, which has only the gravest changes, the terminal shows all.
    if before.signature is None or after.signature is None:
        return ()
    return differences(before.signature, after.signature)


def _as_json(
    before: ModelVersionSpec, after: ModelVersionSpec, verdict: CompatibilityVerdict, changes: tuple[SchemaChange, ...]
) -> str:
    answer = {
        "model": after.model,
        "old": before.version,
        "new": after.version,
        "accepted": verdict.accepted,
        "reason": verdict.reason.value,
        "message": verdict.message,
        "declared": verdict.compatibility.declared.value,
        "required": verdict.compatibility.required.value,
        "wayBack": verdict.way_back.value,
        "changes": [{"rollbackSafe": False, **encode(change)} for change in changes],
    }
    return json.dumps(answer, indent=2, ensure_ascii=False)

"""``serinus audit verify``: whether the trail is whole. 0: it is. 1: it is not. 2: that could not be found out."""

import argparse
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from serinus.api.names import ObjectKey
from serinus.cli.audit.output import count, finding_lines
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.output import echo, echo_error
from serinus.cli.session import CliContext, RegistryOptions, add_registry, name_of, open_registry, this_process
from serinus.engine.audit.chain import ChainFinding
from serinus.errors import ConfigurationError, SerinusError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

if TYPE_CHECKING:
    from serinus.audit.checkpoint_reader import Seen
    from serinus.audit.verify import Proof

WHOLE, WRONG, NOT_ASKED = 0, 1, 2
_MOST_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSource:
    """Where checkpoints are read, and whose they must be: what :func:`add_checkpoints` adds.

    Attributes:
        url: of the bucket; None where no checkpoints are read.
        public_keys: the operator's keys in PEM, that of today and earlier ones.
    """

    url: str | None
    public_keys: tuple[Path, ...]

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(url=args.checkpoints, public_keys=tuple(args.public_key or ()))

    def check(self) -> None:
        """Raise ConfigurationError where there is a bucket without a key, or a key without a bucket."""
        if (self.url is None) != (not self.public_keys):
            raise ConfigurationError(
                "--checkpoints and --public-key go together: a checkpoint proves what its key signed"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """Options of ``serinus audit verify``: one of a model, all models and a file.

    Attributes:
        archive: where retention put what it removed; None where that is not verified.
        file: an export.
    """

    model: str | None
    all_models: bool
    registry: RegistryOptions
    checkpoints: CheckpointSource
    archive: str | None
    file: Path | None

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            model=args.model,
            all_models=args.all,
            registry=RegistryOptions.from_args(args),
            checkpoints=CheckpointSource.from_args(args),
            archive=args.archive,
            file=args.file,
        )

    def check(self) -> None:
        """Raise ConfigurationError where the options contradict each other."""
        if (self.model is not None) + self.all_models + (self.file is not None) != 1:
            raise ConfigurationError("name one MODEL, or --all, or --file")
        self.checkpoints.check()


def add_parser(verbs: Subparsers) -> None:
    """Add ``verify``."""
    explanation = "recompute the chain and hold it against the head, checkpoints and archive"
    parser = verbs.add_parser(
        "verify", help=explanation, description=f"{explanation}. Ends with 0: whole, 1: not, 2: could not find out."
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the model, as name or namespace/name")
    parser.add_argument("--all", action="store_true", help="all models of the registry, or of --namespace")
    add_registry(parser)
    add_checkpoints(parser)
    parser.add_argument("--archive", metavar="PLACE", help="where retention put what it removed: verifies that as well")
    parser.add_argument("--file", type=Path, help="verify an export instead of the registry, offline")
    set_handler(parser, VerifyOptions.from_args, _verify, closed_pipe=WHOLE)


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where checkpoints are and whose they must be."""
    parser.add_argument("--checkpoints", metavar="S3URL", help="s3://bucket/prefix?region=…&endpoint=…")
    parser.add_argument(
        "--public-key",
        type=Path,
        action="append",
        metavar="FILE",
        help="the operator's public key in PEM; again for each earlier one",
    )


async def _verify(options: VerifyOptions, context: CliContext) -> int:
    """Verify what was given and return 0, 1 or 2 as the module says."""
    try:
        options.check()
        if options.file is not None:
            return await _verify_file(options.file, options.checkpoints)
        return await _verify_registry(options, context)
    except SerinusError as problem:
        echo_error(f"could not verify: {problem}")
        return NOT_ASKED


# ---- a registry -------------------------------------------------------------------------------


async def _verify_registry(options: VerifyOptions, context: CliContext) -> int:
    from serinus.audit.archive import open_archive  # noqa: PLC0415 - loads what only this needs
    from serinus.audit.verify import prove  # noqa: PLC0415 - likewise

    namespace = options.registry.namespace
    only = options.registry.model_key(options.model) if options.model is not None else None
    # The checkpoints first: one that has seen more than the head says afterwards is a finding, not a race.
    seen = await seen_by_checkpoints(options.checkpoints, only)
    for note in seen.notes:
        echo_error(f"note: {note}")
    _print_findings(seen.findings)
    statuses = [WRONG] if seen.findings else []
    async with AsyncExitStack() as stack:
        everywhere = only is None and not namespace
        store = await stack.enter_async_context(open_registry(options.registry, context, everywhere=everywhere))
        archive = open_archive(options.archive) if options.archive else None
        if archive is not None:
            stack.push_async_callback(archive.close)
        registry = Registry(store, context.clock, this_process())
        models = [only] if only is not None else await _all_models(store, seen, namespace)
        for model in models:
            try:
                statuses.append(_print_proof(await prove(registry, model, seen, archive), alone=only is not None))
            except SerinusError as problem:
                echo_error(f"{name_of(model)}: could not verify: {problem}")
                statuses.append(NOT_ASKED)
    if not models:
        echo_error("could not verify: there is no model in the registry")
        return WRONG if statuses else NOT_ASKED
    return WRONG if WRONG in statuses else max(statuses)


async def seen_by_checkpoints(source: CheckpointSource, only: ObjectKey | None) -> "Seen":
    """Read the checkpoints that the command names; an empty answer where it names none."""
    from serinus.audit.bucket import Bucket, parse_place  # noqa: PLC0415 - boto3
    from serinus.audit.checkpoint_reader import Seen, read_checkpoints  # noqa: PLC0415 - cryptography
    from serinus.audit.signing_keys import load_public_keys  # noqa: PLC0415 - likewise

    if source.url is None:
        return Seen()
    keys = load_public_keys(source.public_keys)
    bucket = Bucket(parse_place(source.url))
    try:
        return await read_checkpoints(bucket, keys, only=[only] if only is not None else None)
    finally:
        await bucket.close()


async def _all_models(store: RegistryStore, seen: "Seen", namespace: str | None) -> list[ObjectKey]:
    """Return every model that the registry or a checkpoint knows: one that is gone altogether is missed too."""
    known = {model async for model, _ in store.list_models()} | set(seen.anchors)
    return sorted(model for model in known if namespace is None or model.namespace == namespace)


def _print_proof(proof: "Proof", *, alone: bool) -> int:
    name = "" if alone else f"{name_of(proof.model)}: "
    for note in proof.notes:
        echo_error(f"note: {name}{note}")
    if proof.unknown and not alone:
        echo(f"{name}ok: no records yet")
        return WHOLE
    if proof.unknown:
        echo_error(
            f"could not verify: there is no record of {name_of(proof.model)}: is the name right, and the namespace?"
        )
        return NOT_ASKED
    audit = proof.head.audit
    archived = f" ({proof.archived} of them archived)" if proof.archived else ""
    if proof.ok:
        parts = [f"{count(proof.records, 'record')}{archived}", f"head #{audit.sequence} {audit.hash}"]
        parts += [count(proof.checkpoints, "checkpoint")] if proof.checkpoints else []
        echo(f"{name}ok: {', '.join(parts)}")
        return WHOLE
    echo(
        f"{name_of(proof.model)}: {count(len(proof.findings), 'finding')} in {count(proof.records, 'record')}{archived}"
    )
    _print_findings(proof.findings)
    return WRONG


# ---- a file -----------------------------------------------------------------------------------


async def _verify_file(file: Path, source: CheckpointSource) -> int:
    from serinus.audit.export import manifest_file  # noqa: PLC0415 - only this way needs it
    from serinus.audit.export_reader import check_export  # noqa: PLC0415 - likewise

    probe = check_export(file)
    manifest = probe.manifest
    if manifest is None:
        echo_error(f"note: there is no {manifest_file(file)}, so nothing says where the file must begin and end")
    checked, held = probe, 0
    findings: tuple[ChainFinding, ...] = ()
    if source.url is not None:
        if manifest is None:
            raise ConfigurationError("without the manifest nobody knows which model the checkpoints must have seen")
        model = ObjectKey(manifest.namespace, manifest.model)
        seen = await seen_by_checkpoints(source, model)
        last = probe.last.sequence
        anchors = tuple(anchor for anchor in seen.of(model) if anchor.sequence <= last)
        held, findings = len(anchors), seen.findings
        checked = check_export(file, anchors)
    found = (*findings, *checked.findings)
    if found:
        echo(f"{file}: {count(len(found), 'finding')} in {count(checked.records, 'record')}")
        _print_findings(found)
        return WRONG
    if not checked.records:
        echo_error(f"could not verify: {file} holds no record")
        return NOT_ASKED
    against = f", {count(held, 'record')} as checkpoints have seen" if source.url is not None else ""
    echo(f"ok: {count(checked.records, 'record')}, the last is #{checked.last.sequence} {checked.last.hash}{against}")
    return WHOLE


def _print_findings(findings: tuple[ChainFinding, ...]) -> None:
    for finding in findings[:_MOST_SHOWN]:
        echo(finding_lines(finding))
    if len(findings) > _MOST_SHOWN:
        echo(f"  … and {len(findings) - _MOST_SHOWN} more")

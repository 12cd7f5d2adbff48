"""``serinus audit verify``: verifies the audit trail. Exit status: 0 intact, 1 not intact, 2 could not be verified."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import click

from serinus.api.names import ObjectKey
from serinus.cli import cluster_names
from serinus.cli.audit.output import count, finding_lines
from serinus.cli.command import FILE, Params, command, together
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error
from serinus.cli.session import RegistryOptions, name_of, open_each_cluster, registry_options, this_process
from serinus.engine.audit.chain import Anchor, ChainFinding, ChainOwner
from serinus.errors import ConfigurationError, RefusedError, SerinusError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

if TYPE_CHECKING:
    from serinus.audit.checkpoint_reader import CheckpointAnchors
    from serinus.audit.verify import Proof

INTACT, BROKEN, UNVERIFIED = 0, 1, 2
_STATUSES: Final = {INTACT: "intact", BROKEN: "not intact", UNVERIFIED: "could not be verified, or wrong usage"}
_MAX_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSource:
    """Where checkpoints are read and which keys must have signed them: the options of :data:`checkpoint_options`.

    Attributes:
        url: of the bucket; None to read no checkpoints.
        public_keys: the operator's keys in PEM, the current and earlier ones.
    """

    url: str | None
    public_keys: tuple[Path, ...]

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a bucket without a key, or the reverse."""
        if (params["checkpoints"] is None) != (not params["public_key"]):
            raise ConfigurationError(
                "--checkpoints and --public-key go together: a checkpoint proves nothing without its key"
            )
        return cls(url=params["checkpoints"], public_keys=tuple(params["public_key"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """Options of ``serinus audit verify``: exactly one of a model, all models and a file.

    Attributes:
        archive: the archive of removed records; None not to verify them.
        file: an export.
    """

    model: str | None
    all_models: bool
    registry: RegistryOptions
    checkpoints: CheckpointSource
    archive: str | None
    file: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError if they contradict each other."""
        if (params["model"] is not None) + params["all"] + (params["file"] is not None) != 1:
            raise ConfigurationError("name one MODEL, or --all, or --file")
        return cls(
            model=params["model"],
            all_models=params["all"],
            registry=RegistryOptions.from_params(params),
            checkpoints=CheckpointSource.from_params(params),
            archive=params["archive"],
            file=params["file"],
        )


checkpoint_options: Final = together(
    click.option(
        "--checkpoints", metavar="S3URL", help="bucket of the checkpoints: s3://bucket/prefix?region=…&endpoint=…"
    ),
    click.option(
        "--public-key",
        type=FILE,
        multiple=True,
        metavar="FILE",
        help="the operator's public key in PEM; repeat for earlier keys",
    ),
)
"""The options for the checkpoints and their keys."""


@command(
    "verify",
    VerifyOptions.from_params,
    "recompute the chain and compare it with the head, checkpoints and archive",
    closed_pipe=UNVERIFIED,
    statuses=_STATUSES,
)
@click.argument(
    "model",
    metavar="[MODEL]",
    required=False,
    shell_complete=cluster_names.models,
    help="the model, as name or namespace/name",
)
@click.option("--all", is_flag=True, help="verify all models of the registry, or of --namespace")
@registry_options
@checkpoint_options
@click.option(
    "--archive", metavar="PLACE", help="archive of the records that retention removed, to verify them as well"
)
@click.option("--file", type=FILE, metavar="FILE", help="verify an export instead of the registry, offline")
async def verify(options: VerifyOptions, context: CliContext) -> int:
    """Verify and return the exit status."""
    try:
        if options.file is not None:
            return await _verify_file(options.file, options.checkpoints)
        return await _verify_registry(options, context)
    except SerinusError as problem:
        echo_error(f"could not verify: {problem}")
        return UNVERIFIED


# ---- a registry -------------------------------------------------------------------------------


async def _verify_registry(options: VerifyOptions, context: CliContext) -> int:
    from serinus.audit.archive import open_archive  # noqa: PLC0415 - slow to load
    from serinus.audit.verify import prove  # noqa: PLC0415 - likewise

    namespace = options.registry.namespace
    only = options.registry.model_key(options.model) if options.model is not None else None
    # Read before the head: a checkpoint that is ahead of the head is then a finding, not a race.
    seen = await seen_by_checkpoints(options.checkpoints, only)
    for note in seen.notes:
        echo_error(f"note: {note}")
    _print_findings(seen.findings)
    statuses = [BROKEN] if seen.findings else []
    async with AsyncExitStack() as stack:
        everywhere = only is None and not namespace
        opened = open_each_cluster(options.registry, context, everywhere=everywhere)
        clusters = await stack.enter_async_context(opened)
        archive = open_archive(options.archive) if options.archive else None
        if archive is not None:
            stack.push_async_callback(archive.close)
        known = [
            (cluster if len(clusters) > 1 else "", store, model)
            for cluster, store in clusters.items()
            for model in ([only] if only is not None else await _all_models(store, seen, namespace))
        ]
        for cluster, store, model in known:
            registry, alone = Registry(store, context.clock, this_process()), only is not None and not cluster
            try:
                proof = await prove(registry, model, seen, archive)
                statuses.append(_print_proof(proof, cluster, alone=alone))
            except SerinusError as problem:
                echo_error(f"{_place(cluster, model)}could not verify: {problem}")
                statuses.append(UNVERIFIED)
    if not known:
        echo_error("could not verify: there is no model in the registry")
        return BROKEN if statuses else UNVERIFIED
    return BROKEN if BROKEN in statuses else max(statuses)


def _place(cluster: str, model: ObjectKey) -> str:
    """Return what a line begins with: the model, after its cluster where there are several."""
    return f"{cluster}: {name_of(model)}: " if cluster else f"{name_of(model)}: "


async def seen_by_checkpoints(source: CheckpointSource, only: ObjectKey | None) -> "CheckpointAnchors":
    """Return what the checkpoints of a source prove; nothing if there is no source."""
    from serinus.audit.bucket import Bucket, parse_place  # noqa: PLC0415 - boto3
    from serinus.audit.checkpoint_reader import CheckpointAnchors, read_checkpoints  # noqa: PLC0415 - cryptography
    from serinus.audit.signing_keys import load_public_keys  # noqa: PLC0415 - likewise

    if source.url is None:
        return CheckpointAnchors()
    keys = load_public_keys(source.public_keys)
    bucket = Bucket(parse_place(source.url))
    try:
        return await read_checkpoints(bucket, keys, only=[only] if only is not None else None)
    finally:
        await bucket.close()


async def _all_models(store: RegistryStore, seen: "CheckpointAnchors", namespace: str | None) -> list[ObjectKey]:
    """Return every model that has a head, a record or a checkpoint, so that one that was deleted is found."""
    owner = await store.owner()
    known = {model async for model, _ in store.list_models()}
    known |= {model for model in seen.anchors if seen.of(model, owner)}
    try:
        known |= {model async for model in store.list_chains()}
    except RefusedError as problem:
        echo_error(
            f"note: a model whose head was removed is not found, for the audit trail cannot be listed: {problem}"
        )
    return sorted(model for model in known if namespace is None or model.namespace == namespace)


def _print_proof(proof: "Proof", cluster: str, *, alone: bool) -> int:
    name = "" if alone else _place(cluster, proof.model)
    for note in proof.notes:
        echo_error(f"note: {name}{note}")
    if proof.unknown and not alone:
        echo(f"{name}ok: no records yet")
        return INTACT
    if proof.unknown:
        echo_error(
            f"could not verify: there is no record of {name_of(proof.model)}: is the name right, and the namespace?"
        )
        return UNVERIFIED
    audit = proof.head.audit
    archived = f" ({proof.archived} of them archived)" if proof.archived else ""
    if proof.ok:
        parts = [f"{count(proof.records, 'record')}{archived}", f"head #{audit.sequence} {audit.hash}"]
        parts += [count(proof.checkpoints, "checkpoint")] if proof.checkpoints else []
        echo(f"{name}ok: {', '.join(parts)}")
        return INTACT
    place, findings = _place(cluster, proof.model), count(len(proof.findings), "finding")
    echo(f"{place}{findings} in {count(proof.records, 'record')}{archived}")
    _print_findings(proof.findings)
    return BROKEN


# ---- a file -----------------------------------------------------------------------------------


async def _verify_file(file: Path, source: CheckpointSource) -> int:
    from serinus.audit.export import manifest_file  # noqa: PLC0415 - only files need it
    from serinus.audit.export_reader import check_export  # noqa: PLC0415 - likewise

    probe = check_export(file)
    manifest = probe.manifest
    if manifest is None:
        echo_error(f"note: there is no {manifest_file(file)}: the file may lack records at either end")
    checked = probe
    anchors: tuple[Anchor, ...] = ()
    findings: tuple[ChainFinding, ...] = ()
    if source.url is not None:
        if manifest is None:
            raise ConfigurationError("--checkpoints needs the manifest beside the file, which names the model")
        model = ObjectKey(manifest.namespace, manifest.model)
        seen = await seen_by_checkpoints(source, model)
        last = probe.last.sequence
        anchors = tuple(
            anchor
            for anchor in seen.of(model, ChainOwner(manifest.cluster, not manifest.cluster))
            if anchor.sequence <= last
        )
        findings, checked = seen.findings, check_export(file, anchors)
    findings = (*findings, *checked.findings)
    if findings:
        echo(f"{file}: {count(len(findings), 'finding')} in {count(checked.records, 'record')}")
        _print_findings(findings)
        return BROKEN
    if not checked.records:
        echo_error(f"could not verify: {file} contains no records")
        return UNVERIFIED
    against = f", {count(len(anchors), 'record')} as in checkpoints" if source.url is not None else ""
    echo(f"ok: {count(checked.records, 'record')}, the last is #{checked.last.sequence} {checked.last.hash}{against}")
    return INTACT


def _print_findings(findings: tuple[ChainFinding, ...]) -> None:
    for finding in findings[:_MAX_SHOWN]:
        echo(finding_lines(finding))
    if len(findings) > _MAX_SHOWN:
        echo(f"  … and {len(findings) - _MAX_SHOWN} more")

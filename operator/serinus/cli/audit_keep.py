"""``serinus audit checkpoint | prune | keygen``: have the trail witnessed, let go of what is old."""

import argparse
import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from msgspec import structs

from serinus.api.model import ModelSpec
from serinus.api.names import MODEL, ObjectKey
from serinus.api.parsing import decode
from serinus.cli.audit_output import count, finding_lines
from serinus.cli.audit_verify import add_checkpoints, seen_by_checkpoints
from serinus.cli.manifests import read_manifests
from serinus.cli.registry_access import (
    CLUSTER,
    Outside,
    add_registry,
    in_cluster,
    local_user,
    model_of,
    name_of,
    opened,
    this_process,
)
from serinus.cli.times import moment, when
from serinus.errors import ConfigurationError
from serinus.ports import RegistryStore
from serinus.registry.verbs import Registry
from serinus.settings import CheckpointSettings, RegistryKind, Settings, load_settings

if TYPE_CHECKING:
    from serinus.registry.retention import Removal

OK, NOT_DONE = 0, 1
_MOST_SHOWN: Final = 20


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three verbs."""
    _add_checkpoint(verbs.add_parser("checkpoint", help="sign what all chains have come to and put it into the bucket"))
    _add_prune(verbs.add_parser("prune", help="archive and remove records that are older than the Model's retention"))
    keygen = verbs.add_parser("keygen", help="make the key that signs checkpoints")
    keygen.add_argument("-o", "--output", type=Path, default=Path("serinus-checkpoints.pem"), metavar="FILE")


def run(given: argparse.Namespace, outside: Outside) -> int:
    """Do what was given; SerinusError where it could not be done."""
    match given.audit:
        case "checkpoint":
            return asyncio.run(_checkpoint(given, outside))
        case "prune":
            return asyncio.run(_prune(given, outside))
        case _:
            return _keygen(given.output)


def _print(line: str) -> None:
    print(line)  # noqa: T201 - this is the command line


# ---- checkpoint -------------------------------------------------------------------------------


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the operator's configuration; SERINUS_CONFIG by default")
    parser.add_argument("--registry", metavar="URL", help="instead of the configured one")
    parser.add_argument("--checkpoints", metavar="S3URL", help="instead of the configured bucket")
    parser.add_argument("--key-file", metavar="FILE", help="instead of the configured Ed25519 private key")
    parser.add_argument("--retention-days", type=int, metavar="DAYS", help="instead of the configured 2555 (7 years)")
    parser.set_defaults(namespace=None)


def _settings_of(given: argparse.Namespace, settings: Settings) -> CheckpointSettings:
    """Return the configured checkpoints with what the command says instead."""
    from serinus.registry.bucket import parse_place  # noqa: PLC0415 - boto3's exceptions

    more = {
        name: value
        for name, value in (("key_file", given.key_file), ("retention_days", given.retention_days))
        if value is not None
    }
    if given.checkpoints is not None:
        place = parse_place(given.checkpoints)
        more |= {"bucket": place.bucket, "prefix": place.prefix, "s3": place.s3}
    configured = settings.audit.checkpoints
    if configured is not None:
        return structs.replace(configured, **more)
    if {"bucket", "key_file"} - set(more):
        raise ConfigurationError(
            "no checkpoints are configured: set audit.checkpoints in --config, or give --checkpoints and --key-file"
        )
    return CheckpointSettings(**more)


def registry_url(settings: Settings) -> str:
    """Return the address of the configured registry."""
    if settings.registry.kind is RegistryKind.KUBERNETES:
        return CLUSTER
    found = settings.registry.dynamodb
    given = {"region": found.region, "endpoint": found.endpoint, "scope": found.scope}
    return f"dynamodb://{found.table_prefix}?{urlencode({name: value for name, value in given.items() if value})}"


async def _checkpoint(given: argparse.Namespace, outside: Outside) -> int:
    from serinus.registry.checkpoints import Checkpoints  # noqa: PLC0415 - cryptography and boto3

    settings = load_settings(given.config)
    given.registry = given.registry or registry_url(settings)
    checkpoints = Checkpoints(_settings_of(given, settings))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(checkpoints.close)
        store = await outside.open_store(given.registry, settings.namespaces)
        stack.push_async_callback(store.close)
        heads = [(model, head.audit) async for model, head in store.list_models()]
        written = await checkpoints.write(heads, outside.clock.now())
    chains = count(written.chains, "chain")
    _print(f"{checkpoints.bucket.place}{written.name}: {chains} as of {written.at:%Y-%m-%d %H:%M:%SZ}")
    return OK


# ---- prune ------------------------------------------------------------------------------------


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    add_registry(parser)
    add_checkpoints(parser)
    parser.add_argument("--before", type=when, metavar="TIME", help="only records from before then, and too old")
    parser.add_argument("--archive", metavar="PLACE", help="a folder or s3://bucket/prefix; the last one by default")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the Model's manifest, where there is no cluster")
    parser.add_argument("--reason", default="", help="why, for the audit trail; the retention by default")
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")


async def _prune(given: argparse.Namespace, outside: Outside) -> int:
    from serinus.registry.proof import prove  # noqa: PLC0415 - loads what only this needs
    from serinus.registry.retention import finish_removal, plan_removal  # noqa: PLC0415 - likewise

    model, now = model_of(given), outside.clock.now()
    if (given.checkpoints is None) != (not given.public_key):
        raise ConfigurationError("--checkpoints and --public-key go together: a checkpoint proves what its key signed")
    policy = await _policy(given, outside, model)
    if policy is None or policy.retention_days is None:
        _print(f"{name_of(model)} has no spec.retentionDays: its records are kept for ever, nothing is pruned")
        return OK
    too_old = now - timedelta(days=policy.retention_days)
    before = min(too_old, moment(given.before, now)) if given.before is not None else too_old
    seen = await seen_by_checkpoints(given, model)
    async with opened(given, outside) as store:
        proof = await prove(Registry(store, outside.clock, this_process()), model, seen)
        if found := (*seen.findings, *proof.findings):
            _print(f"{name_of(model)} does not verify, so nothing is pruned:")
            for finding in found[:_MOST_SHOWN]:
                _print(finding_lines(finding))
            return NOT_DONE
        if given.yes and (left := await finish_removal(store, model)):
            _print(f"{count(left, 'record')} that an earlier run had archived, still there: removed")
        covered = max((one.sequence for one in seen.of(model)), default=0) if given.checkpoints else None
        removal = await plan_removal(store, model, recorded_before=before, covered=covered)
        return await _removed(given, outside, _Plan(store, model, removal, before, policy.retention_days))


async def _policy(given: argparse.Namespace, outside: Outside, model: ObjectKey) -> ModelSpec | None:
    """Return what the model's team wants: of the cluster's Model, else of the manifest that is given."""
    if given.policy is None:
        return await outside.read_policy(model) if in_cluster(given) else None
    if in_cluster(given):
        raise ConfigurationError("--policy is for a registry without a cluster: here the cluster's Model says it")
    for found in read_manifests(given.policy, MODEL):
        if found["metadata"].get("name") == model.name:
            return decode(ModelSpec, found.get("spec", {}), "spec")
    raise ConfigurationError(f"{given.policy} holds no Model {model.name}")


@dataclass(frozen=True, slots=True)
class _Plan:
    store: RegistryStore
    model: ObjectKey
    removal: "Removal"
    before: datetime
    days: int


async def _removed(given: argparse.Namespace, outside: Outside, plan: _Plan) -> int:
    from serinus.registry.archive_places import open_archive  # noqa: PLC0415 - boto3's exceptions
    from serinus.registry.retention import Remover  # noqa: PLC0415 - likewise

    removal, model = plan.removal, plan.model
    if not removal.records:
        _print(f"{name_of(model)}: nothing to prune before {plan.before:%Y-%m-%d %H:%M:%SZ}: {removal.bound}")
        return OK
    address = given.archive or (await plan.store.read_head(model)).audit.archive
    if not address:
        raise ConfigurationError("--archive: name a folder or s3://bucket/prefix, which keeps what is removed")
    archive = open_archive(address)
    numbers = f"#{removal.after + 1} to #{removal.through}"
    what = f"{count(removal.records, 'record')}, {numbers}, recorded until {removal.last_at:%Y-%m-%d}"
    if not given.yes:
        _print(f"{name_of(model)}: would archive to {archive.address} and remove {what}.")
        _print(f"It would stop there: {removal.bound}.")
        _print("Nothing was changed: do it with --yes")
        return OK
    reason = given.reason or f"Older than the {plan.days} days of spec.retentionDays."
    remover = Remover(
        store=plan.store,
        archive=archive,
        actor=local_user(),
        reason=reason,
        by=this_process(),
        clock=outside.clock,
    )
    try:
        await remover.remove(model, removal)
    finally:
        await archive.close()
    _print(f"{name_of(model)}: archived to {archive.address} and removed {what}.")
    _print(f"It stopped there: {removal.bound}.")
    _print(f"Verify all of it: serinus audit verify {name_of(model)} --archive {archive.address}")
    return OK


# ---- keygen -----------------------------------------------------------------------------------


def _keygen(file: Path) -> int:
    from serinus.registry.signing_keys import fingerprint, new_key, private_pem, public_pem  # noqa: PLC0415 - cryptography

    key = new_key()
    public = file.with_suffix(".pub.pem")
    for path, content, mode in ((file, private_pem(key), 0o600), (public, public_pem(key.public_key()), 0o644)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
                out.write(content)
        except FileExistsError as problem:
            raise ConfigurationError(
                f"{path} is there already: a key is never written over; name another with -o"
            ) from problem
        except OSError as problem:
            raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem
    _print(f"{file}: the private key, for the operator alone; put it into a Secret, then remove it here")
    _print(f"{public}: the public key, for whoever verifies; keep a copy where the operator cannot write")
    _print(f"fingerprint {fingerprint(key.public_key())}")
    return OK

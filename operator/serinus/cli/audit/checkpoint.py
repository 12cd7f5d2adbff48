"""``serinus audit checkpoint | keygen``: signs the heads of all chains and stores them outside the registry."""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import click
from msgspec import structs

from serinus.cli.audit.output import count
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import CLUSTER
from serinus.errors import ConfigurationError
from serinus.settings import CheckpointSettings, RegistryKind, Settings, load_settings

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOptions:
    """Options of ``serinus audit checkpoint``: each but the first overrides a configured value.

    Attributes:
        config: the operator's configuration file; None for that of SERINUS_CONFIG.
        registry: address of the registry.
        checkpoints: address of the bucket.
        key_file: the Ed25519 private key.
        retention_days: a checkpoint cannot be deleted for so many days.
    """

    config: Path | None
    registry: str | None
    checkpoints: str | None
    key_file: str | None
    retention_days: int | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            config=params["config"],
            registry=params["registry"],
            checkpoints=params["checkpoints"],
            key_file=params["key_file"],
            retention_days=params["retention_days"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenOptions:
    """Options of ``serinus audit keygen``."""

    output: Path

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(output=params["output"])


# ---- checkpoint -------------------------------------------------------------------------------


@command("checkpoint", CheckpointOptions.from_params, "sign the heads of all chains and store them in the bucket")
@click.option("--config", type=FILE, metavar="FILE", help="the operator's configuration file (default: SERINUS_CONFIG)")
@click.option("--registry", metavar="URL", help="address of the registry (default: the configured one)")
@click.option("--checkpoints", metavar="S3URL", help="address of the bucket (default: the configured one)")
@click.option("--key-file", metavar="FILE", help="Ed25519 private key (default: the configured one)")
@click.option(
    "--retention-days",
    type=int,
    metavar="DAYS",
    help="days for which a checkpoint cannot be deleted (default: the configured number, else 2555)",
)
async def checkpoint(options: CheckpointOptions, context: CliContext) -> int:
    """Run the command."""
    from serinus.audit.checkpoint_writer import Checkpoints  # noqa: PLC0415 - cryptography and boto3

    settings = load_settings(options.config)
    checkpoints = Checkpoints(_checkpoint_settings(options, settings))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(checkpoints.close)
        store = await context.open_store(options.registry or registry_url(settings), settings.namespaces)
        stack.push_async_callback(store.close)
        heads = [(model, head.audit) async for model, head in store.list_models()]
        owner = await store.owner()
        written = await checkpoints.write(heads, context.clock.now(), cluster=owner.cluster)
    chains = count(written.chains, "chain")
    echo(f"{checkpoints.bucket.place}{written.name}: {chains} as of {written.at:%Y-%m-%d %H:%M:%SZ}")
    return OK


def _checkpoint_settings(options: CheckpointOptions, settings: Settings) -> CheckpointSettings:
    """Return the configured settings, overridden by the options."""
    from serinus.audit.bucket import parse_place  # noqa: PLC0415 - boto3's exceptions

    overrides: dict[str, Any] = {}
    if options.key_file is not None:
        overrides["key_file"] = options.key_file
    if options.retention_days is not None:
        overrides["retention_days"] = options.retention_days
    if options.checkpoints is not None:
        place = parse_place(options.checkpoints)
        overrides |= {"bucket": place.bucket, "prefix": place.prefix, "s3": place.s3}
    configured = settings.audit.checkpoints
    if configured is not None:
        return structs.replace(configured, **overrides)
    if {"bucket", "key_file"} - set(overrides):
        raise ConfigurationError(
            "no checkpoints are configured: set audit.checkpoints in --config, or give --checkpoints and --key-file"
        )
    return CheckpointSettings(**overrides)


def registry_url(settings: Settings) -> str:
    """Return the address of the configured registry."""
    if settings.registry.kind is RegistryKind.KUBERNETES:
        return CLUSTER
    dynamodb = settings.registry.dynamodb
    parameters = {
        "region": dynamodb.region,
        "endpoint": dynamodb.endpoint,
        "cluster": dynamodb.cluster,
        "scope": dynamodb.scope,
    }
    return f"dynamodb://{dynamodb.table_prefix}?{urlencode({name: text for name, text in parameters.items() if text})}"


# ---- keygen -----------------------------------------------------------------------------------


@command("keygen", KeygenOptions.from_params, "create the key that signs checkpoints")
@click.option(
    "-o",
    "--output",
    type=FILE,
    default="serinus-checkpoints.pem",
    show_default=True,
    metavar="FILE",
    help="file to write",
)
def keygen(options: KeygenOptions, _: CliContext) -> int:
    """Run the command."""
    from serinus.audit.signing_keys import fingerprint, new_key, private_pem, public_pem  # noqa: PLC0415 - cryptography

    if not options.output.name:
        raise ConfigurationError(f"{options.output} is a folder: name a file with -o")
    key = new_key()
    private, public = options.output, options.output.with_suffix(".pub.pem")
    _write_new(private, private_pem(key), mode=0o600)
    _write_new(public, public_pem(key.public_key()), mode=0o644)
    echo(f"{private}: the private key, for the operator only: store it in a Secret, then remove this file")
    echo(f"{public}: the public key, for verifiers: keep a copy where the operator cannot write")
    echo(f"fingerprint {fingerprint(key.public_key())}")
    return OK


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
    except FileExistsError as problem:
        raise ConfigurationError(
            f"{path} already exists: a key is never overwritten; name another file with -o"
        ) from problem
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem

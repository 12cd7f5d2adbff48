"""``serinus audit checkpoint | keygen``: signs the heads of all chains and stores them outside the registry."""

import argparse
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from msgspec import structs

from serinus.cli.audit.output import count
from serinus.cli.command import Subparsers, set_handler
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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            config=args.config,
            registry=args.registry,
            checkpoints=args.checkpoints,
            key_file=args.key_file,
            retention_days=args.retention_days,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenOptions:
    """Options of ``serinus audit keygen``."""

    output: Path

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(output=args.output)


def add_parsers(verbs: Subparsers) -> None:
    """Add the verbs."""
    _add_checkpoint(verbs.add_parser("checkpoint", help="sign the heads of all chains and store them in the bucket"))
    keygen = verbs.add_parser("keygen", help="create the key that signs checkpoints")
    keygen.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("serinus-checkpoints.pem"),
        metavar="FILE",
        help="file to write (default: serinus-checkpoints.pem)",
    )
    set_handler(keygen, KeygenOptions.from_args, _keygen)


# ---- checkpoint -------------------------------------------------------------------------------


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the operator's configuration file (default: SERINUS_CONFIG)")
    parser.add_argument("--registry", metavar="URL", help="address of the registry (default: the configured one)")
    parser.add_argument("--checkpoints", metavar="S3URL", help="address of the bucket (default: the configured one)")
    parser.add_argument("--key-file", metavar="FILE", help="Ed25519 private key (default: the configured one)")
    parser.add_argument(
        "--retention-days",
        type=int,
        metavar="DAYS",
        help="days for which a checkpoint cannot be deleted (default: the configured number, else 2555)",
    )
    set_handler(parser, CheckpointOptions.from_args, _checkpoint)


async def _checkpoint(options: CheckpointOptions, context: CliContext) -> int:
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


def _keygen(options: KeygenOptions, _: CliContext) -> int:
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

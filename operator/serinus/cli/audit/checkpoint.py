"""``serinus audit checkpoint | keygen``: have the trail witnessed by somebody outside."""

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
from serinus.cli.output import echo
from serinus.cli.session import CLUSTER, CliContext
from serinus.errors import ConfigurationError
from serinus.settings import CheckpointSettings, RegistryKind, Settings, load_settings

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOptions:
    """Options of ``serinus audit checkpoint``: each but the first stands instead of a configured value.

    Attributes:
        config: the operator's configuration file; None for that of SERINUS_CONFIG.
        registry: the registry's address.
        checkpoints: the bucket's address.
        key_file: the Ed25519 private key.
        retention_days: for so many days a checkpoint cannot be deleted.
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
    """Add the two verbs."""
    _add_checkpoint(verbs.add_parser("checkpoint", help="sign what all chains have come to and put it into the bucket"))
    keygen = verbs.add_parser("keygen", help="make the key that signs checkpoints")
    keygen.add_argument("-o", "--output", type=Path, default=Path("serinus-checkpoints.pem"), metavar="FILE")
    set_handler(keygen, KeygenOptions.from_args, _keygen, closed_pipe=OK)


# ---- checkpoint -------------------------------------------------------------------------------


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the operator's configuration; SERINUS_CONFIG by default")
    parser.add_argument("--registry", metavar="URL", help="instead of the configured one")
    parser.add_argument("--checkpoints", metavar="S3URL", help="instead of the configured bucket")
    parser.add_argument("--key-file", metavar="FILE", help="instead of the configured Ed25519 private key")
    parser.add_argument("--retention-days", type=int, metavar="DAYS", help="instead of the configured 2555 (7 years)")
    set_handler(parser, CheckpointOptions.from_args, _checkpoint, closed_pipe=OK)


async def _checkpoint(options: CheckpointOptions, context: CliContext) -> int:
    from serinus.audit.checkpoint_writer import Checkpoints  # noqa: PLC0415 - cryptography and boto3

    settings = load_settings(options.config)
    checkpoints = Checkpoints(_checkpoint_settings(options, settings))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(checkpoints.close)
        store = await context.open_store(options.registry or registry_url(settings), settings.namespaces)
        stack.push_async_callback(store.close)
        heads = [(model, head.audit) async for model, head in store.list_models()]
        written = await checkpoints.write(heads, context.clock.now())
    chains = count(written.chains, "chain")
    echo(f"{checkpoints.bucket.place}{written.name}: {chains} as of {written.at:%Y-%m-%d %H:%M:%SZ}")
    return OK


def _checkpoint_settings(options: CheckpointOptions, settings: Settings) -> CheckpointSettings:
    """Return the configured checkpoints with what the command says instead."""
    from serinus.audit.bucket import parse_place  # noqa: PLC0415 - boto3's exceptions

    more: dict[str, Any] = {}
    if options.key_file is not None:
        more["key_file"] = options.key_file
    if options.retention_days is not None:
        more["retention_days"] = options.retention_days
    if options.checkpoints is not None:
        place = parse_place(options.checkpoints)
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
    dynamodb = settings.registry.dynamodb
    parameters = {"region": dynamodb.region, "endpoint": dynamodb.endpoint, "scope": dynamodb.scope}
    return f"dynamodb://{dynamodb.table_prefix}?{urlencode({name: text for name, text in parameters.items() if text})}"


# ---- keygen -----------------------------------------------------------------------------------


def _keygen(options: KeygenOptions, _: CliContext) -> int:
    from serinus.audit.signing_keys import fingerprint, new_key, private_pem, public_pem  # noqa: PLC0415 - cryptography

    key = new_key()
    private, public = options.output, options.output.with_suffix(".pub.pem")
    _write_new(private, private_pem(key), mode=0o600)
    _write_new(public, public_pem(key.public_key()), mode=0o644)
    echo(f"{private}: the private key, for the operator alone; put it into a Secret, then remove it here")
    echo(f"{public}: the public key, for whoever verifies; keep a copy where the operator cannot write")
    echo(f"fingerprint {fingerprint(key.public_key())}")
    return OK


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
    except FileExistsError as problem:
        raise ConfigurationError(
            f"{path} is there already: a key is never written over; name another with -o"
        ) from problem
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem

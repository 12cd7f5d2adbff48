"""``serinus audit checkpoint | keygen``: have the trail witnessed by somebody outside."""

import argparse
import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from msgspec import structs

from serinus.cli.audit.output import count
from serinus.cli.output import echo
from serinus.cli.session import (
    CLUSTER,
    CliContext,
)
from serinus.errors import ConfigurationError
from serinus.settings import CheckpointSettings, RegistryKind, Settings, load_settings

OK, NOT_DONE = 0, 1
_MOST_SHOWN: Final = 20


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the two verbs."""
    _add_checkpoint(verbs.add_parser("checkpoint", help="sign what all chains have come to and put it into the bucket"))
    keygen = verbs.add_parser("keygen", help="make the key that signs checkpoints")
    keygen.add_argument("-o", "--output", type=Path, default=Path("serinus-checkpoints.pem"), metavar="FILE")


def run(given: argparse.Namespace, outside: CliContext) -> int:
    """Do what was given; SerinusError where it could not be done."""
    match given.audit:
        case "checkpoint":
            return asyncio.run(_checkpoint(given, outside))
        case _:
            return _keygen(given.output)


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
    from serinus.audit.bucket import parse_place  # noqa: PLC0415 - boto3's exceptions

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


async def _checkpoint(given: argparse.Namespace, outside: CliContext) -> int:
    from serinus.audit.checkpoint_writer import Checkpoints  # noqa: PLC0415 - cryptography and boto3

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
    echo(f"{checkpoints.bucket.place}{written.name}: {chains} as of {written.at:%Y-%m-%d %H:%M:%SZ}")
    return OK


# ---- keygen -----------------------------------------------------------------------------------


def _keygen(file: Path) -> int:
    from serinus.audit.signing_keys import fingerprint, new_key, private_pem, public_pem  # noqa: PLC0415 - cryptography

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
    echo(f"{file}: the private key, for the operator alone; put it into a Secret, then remove it here")
    echo(f"{public}: the public key, for whoever verifies; keep a copy where the operator cannot write")
    echo(f"fingerprint {fingerprint(key.public_key())}")
    return OK

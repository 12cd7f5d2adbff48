"""``serinus registry``: the registry from a terminal, for fleets that read it without a cluster."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.api.model import Head
from serinus.api.modelversion import VersionStage
from serinus.api.names import API_VERSION, MODEL_VERSION, ObjectKey, model_version_name
from serinus.api.parsing import encode
from serinus.cli.audit import command as audit_command
from serinus.cli.audit.output import plain
from serinus.cli.output import echo, echo_error
from serinus.cli.registry import register, tables, write
from serinus.cli.session import CliContext, add_registry, model_of, name_of, opened, this_process
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.engine.versions.lifecycle import version_stage
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

OK, NOTHING = 0, 1
_SHORT_HASH: Final = len("sha256:") + 12


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``registry`` and its verbs."""
    parser = verbs.add_parser("registry", help="read and, without a cluster, write the registry of versions")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="VERB")
    _add_reads(kinds)
    add = kinds.add_parser("register", help="make the ModelVersions of a file known")
    add.add_argument("-f", "--file", type=Path, required=True, metavar="FILE", help="YAML, as for kubectl apply")
    add.add_argument("--policy", type=Path, metavar="FILE", help="the Model's manifest with the team's policy")
    add_registry(add)
    write.add_reason(add)
    promote = _of_version(kinds, "promote", "make a registered version the production version")
    write.add_reason(promote)
    write.add_guards(promote)
    release = _of_version(kinds, "release", "let a version serve again that was rolled back")
    write.add_reason(release)
    history = kinds.add_parser("history", help="print what happened to a model; as serinus audit log")
    audit_command.add_log_options(history)
    dynamodb = kinds.add_parser("dynamodb", help="the tables of a registry in DynamoDB")
    table_verbs = dynamodb.add_subparsers(dest="tables", required=True, metavar="VERB")
    tables.arguments(table_verbs.add_parser("create-tables", help="make the tables, or check those there"))


def _add_reads(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    found = kinds.add_parser("list", help="print the models, or the versions of one, the newest first")
    found.add_argument("model", metavar="MODEL", nargs="?", help="as name or namespace/name; all models without it")
    add_registry(found)
    found.add_argument(
        "--stage", type=VersionStage, choices=list(VersionStage), metavar="STAGE", help="where it stands"
    )
    found.add_argument("--digest", help="of the artifact; without MODEL: which models have it")
    found.add_argument("--data-digest", help="of data that it was trained on; without MODEL: which models saw it")
    found.add_argument("--major", type=int, help="the major line")
    found.add_argument("--label", action="append", type=_label, metavar="NAME=VALUE", help="that it must have")
    found.add_argument("-o", "--output", choices=("table", "json"), default="table")
    get = _of_version(kinds, "get", "print one version as a manifest")
    get.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml")
    production = kinds.add_parser("production", help="print the version that serves; ends with 1 where none does")
    production.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    add_registry(production)
    production.add_argument("-o", "--output", choices=("version", "json"), default="version")


def _of_version(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, explanation: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=explanation, description=explanation)
    parser.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    parser.add_argument("version", metavar="VERSION", help="such as 2.3.1")
    add_registry(parser)
    return parser


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: write name=value")
    return name, value


def run(given: argparse.Namespace, outside: CliContext | None = None) -> int:
    """Do what ``serinus registry`` was given, and return 0; 1 where nothing is in production.

    Raises:
        SerinusError: it could not be done.
    """
    found = outside or CliContext()
    match given.what:
        case "list":
            return asyncio.run(_list(given, found))
        case "get":
            return asyncio.run(_get(given, found))
        case "production":
            return asyncio.run(_production(given, found))
        case "register":
            return asyncio.run(register.register(given, found))
        case "promote":
            return asyncio.run(write.promote(given, found))
        case "release":
            return asyncio.run(write.release(given, found))
        case "history":
            given.audit = "log"
            return audit_command.run(given, found)
        case _:
            return tables.create_tables(given)


# ---- reading ----------------------------------------------------------------------------------


async def _list(given: argparse.Namespace, outside: CliContext) -> int:
    query = Query(
        stage=given.stage,
        digest=given.digest,
        data_digest=given.data_digest,
        major=given.major,
        labels=tuple(given.label or ()),
    )
    async with opened(given, outside, everywhere=given.model is None and not given.namespace) as store:
        if given.model is not None:
            model = model_of(given)
            head = await store.read_head(model)
            entries = await Registry(store, outside.clock, this_process()).list(model, query)
            _table(given, [_version_row(model, head, entry) for entry in entries])
        elif query.digest or query.data_digest:
            _table(given, [row async for row in _found(store, query, given.namespace)])
        elif query != Query():
            raise ConfigurationError("name a MODEL: --stage, --major and --label choose among its versions")
        else:
            rows = [_model_row(model, head) async for model, head in store.list_models()]
            _table(given, sorted(rows, key=lambda row: row["MODEL"]))
    return OK


async def _found(store: RegistryStore, query: Query, namespace: str | None) -> AsyncIterator[dict[str, str]]:
    async for model, entry in store.find_versions(query):
        if namespace is None or model.namespace == namespace:
            yield _version_row(model, await store.read_head(model), entry)


def _version_row(model: ObjectKey, head: Head, entry: VersionEntry) -> dict[str, str]:
    return {
        "MODEL": name_of(model),
        "VERSION": entry.version,
        "STAGE": version_stage(head, entry.version).value,
        "REGISTERED": f"{entry.registered_at:%Y-%m-%d %H:%M:%SZ}",
        "DIGEST": entry.digest,
        "YANKED": plain(entry.yanked),
    }


def _model_row(model: ObjectKey, head: Head) -> dict[str, str]:
    serving, candidate = head.production, head.candidate
    return {
        "MODEL": name_of(model),
        "PRODUCTION": serving.version if serving is not None else "",
        "SINCE": f"{serving.since:%Y-%m-%d %H:%M:%SZ}" if serving is not None else "",
        "CANDIDATE": f"{candidate.version} {candidate.traffic}".strip() if candidate is not None else "",
        "RECORDS": str(head.audit.sequence),
        "ROLLOUT": head.managed_by,
    }


def _table(given: argparse.Namespace, rows: list[dict[str, str]]) -> None:
    if given.output == "json":
        for row in rows:
            echo(json.dumps({name.lower(): value for name, value in row.items()}))
        return
    if not rows:
        echo("There is none.", err=True)
        return
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    shown = [{name: row[name][:_SHORT_HASH] if name == "DIGEST" else row[name] for name in names} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in shown)) for name in names}
    for line in ({name: name for name in names}, *shown):
        echo("  ".join(f"{line[name]:{widths[name]}}" for name in names).rstrip())


async def _get(given: argparse.Namespace, outside: CliContext) -> int:
    model = model_of(given)
    async with opened(given, outside) as store:
        entry = await Registry(store, outside.clock, this_process()).get(model, given.version)
        head = await store.read_head(model)
    shown = _manifest(model, head, entry)
    if given.output == "json":
        echo(json.dumps(shown))
    else:
        echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120).rstrip())
    return OK


def _manifest(model: ObjectKey, head: Head, entry: VersionEntry) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"name": model_version_name(entry.spec.model, entry.version)}
    metadata |= {"namespace": model.namespace} if model.namespace else {}
    metadata |= {"labels": dict(entry.labels)} if entry.labels else {}
    status = {
        "stage": version_stage(head, entry.version).value,
        "specHash": entry.spec_hash,
        "registeredAt": f"{entry.registered_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {
        "apiVersion": API_VERSION,
        "kind": MODEL_VERSION.kind,
        "metadata": metadata,
        "spec": encode(entry.spec),
        "status": status | ({"yanked": entry.yanked} if entry.yanked else {}),
    }


async def _production(given: argparse.Namespace, outside: CliContext) -> int:
    model = model_of(given)
    async with opened(given, outside) as store:
        head = await store.read_head(model)
    if head.production is None:
        echo_error(f"nothing of {name_of(model)} is in production")
        return NOTHING
    if given.output == "json":
        echo(json.dumps(encode(head.production) | {"generation": head.generation}))
    else:
        echo(head.production.version)
    return OK

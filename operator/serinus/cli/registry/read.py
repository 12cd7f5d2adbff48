"""``serinus registry list | get``: prints models and versions, for people and for scripts."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import click
import yaml

from serinus.api.model import Head, ProductionVersion
from serinus.api.modelversion import VersionStage
from serinus.api.names import API_VERSION, MODEL_VERSION, ObjectKey, model_version_name
from serinus.api.parsing import encode
from serinus.cli import cluster_names
from serinus.cli.audit.output import plain
from serinus.cli.command import Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import (
    RegistryOptions,
    model_argument,
    name_of,
    open_registry,
    parse_digest,
    registry_options,
    this_process,
    version_argument,
)
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.engine.versions.lifecycle import version_stage
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.promotions import last_promotion
from serinus.registry.service import Registry

OK: Final = 0
_SHORT_HASH: Final = len("sha256:") + 12

_STAGES: Final = ", ".join(VersionStage)

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """Options of ``serinus registry list``; without a model it lists all models."""

    model: str | None
    registry: RegistryOptions
    query: Query
    output: Literal["table", "json"]

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a filter without a model."""
        query = Query(
            stage=VersionStage(params["stage"]) if params["stage"] is not None else None,
            digest=params["digest"],
            data_digest=params["data_digest"],
            major=params["major"],
            labels=tuple(params["label"]),
        )
        in_all_models = query.digest is not None or query.data_digest is not None
        if params["model"] is None and query != Query() and not in_all_models:
            raise ConfigurationError("name a MODEL: --stage, --major and --label filter its versions")
        return cls(
            model=params["model"], registry=RegistryOptions.from_params(params), query=query, output=params["output"]
        )

    @property
    def selects_versions(self) -> bool:
        """Whether versions are listed, not models."""
        return self.model is not None or self.query != Query()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """Options of ``serinus registry get``."""

    model: str
    version: str
    registry: RegistryOptions
    output: Literal["yaml", "json"]

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        registry = RegistryOptions.from_params(params)
        return cls(model=params["model"], version=params["version"], registry=registry, output=params["output"])


def _major(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise click.BadParameter(f"invalid major number {text!r}: write a number such as 2")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"invalid label {text!r}: write name=value")
    return name, value


# ---- list -------------------------------------------------------------------------------------


@command("list", ListOptions.from_params, "print all models, or the versions of one, newest first", closed_pipe=OK)
@click.argument(
    "model",
    metavar="[MODEL]",
    required=False,
    shell_complete=cluster_names.models,
    help="the model, as name or namespace/name (default: all models)",
)
@registry_options
@click.option("--stage", type=choice(VersionStage), metavar="STAGE", help=f"versions in this stage: {_STAGES}")
@click.option(
    "--digest", type=parse_digest, metavar="DIGEST", help="versions with this artifact; without MODEL, of all models"
)
@click.option(
    "--data-digest",
    type=parse_digest,
    metavar="DIGEST",
    help="versions trained on this data; without MODEL, of all models",
)
@click.option("--major", type=_major, metavar="NUMBER", help="versions of this major line")
@click.option("--label", multiple=True, type=_label, metavar="NAME=VALUE", help="versions with this label; repeatable")
@click.option("-o", "--output", type=choice(("table", "json")), default="table", show_default=True, help="format")
async def list_versions(options: ListOptions, context: CliContext) -> int:
    """Run the command."""
    everywhere = options.model is None and not options.registry.namespace
    async with open_registry(options.registry, context, everywhere=everywhere) as store:
        rows = [row async for row in _rows(options, context, store)]
    if options.output == "json":
        for row in rows:
            echo(json.dumps({name.lower(): value for name, value in row.items()}))
    elif rows:
        print_table(rows)
    if not rows:
        echo("No versions found." if options.selects_versions else "No models found.", err=True)
    return OK


async def _rows(options: ListOptions, context: CliContext, store: RegistryStore) -> AsyncIterator[Row]:
    query, namespace = options.query, options.registry.namespace
    if options.model is not None:
        model = options.registry.model_key(options.model)
        head = await store.read_head(model)
        for entry in await Registry(store, context.clock, this_process()).list(model, query):
            yield _version_row(model, head, entry)
    elif query.digest or query.data_digest:
        async for model, entry in store.find_versions(query):
            if namespace is None or model.namespace == namespace:
                yield _version_row(model, await store.read_head(model), entry)
    else:
        rows = [_model_row(model, head) async for model, head in store.list_models()]
        for row in sorted(rows, key=lambda row: row["MODEL"]):
            yield row


def _version_row(model: ObjectKey, head: Head, entry: VersionEntry) -> Row:
    return {
        "MODEL": name_of(model),
        "VERSION": entry.version,
        "STAGE": version_stage(head, entry.version).value,
        "REGISTERED": f"{entry.registered_at:%Y-%m-%d %H:%M:%SZ}",
        "DIGEST": entry.digest,
        "YANKED": plain(entry.yanked),
    }


def _model_row(model: ObjectKey, head: Head) -> Row:
    serving, candidate = head.production, head.candidate
    return {
        "MODEL": name_of(model),
        "PRODUCTION": serving.version if serving is not None else "",
        "SINCE": f"{serving.since:%Y-%m-%d %H:%M:%SZ}" if serving is not None else "",
        "CANDIDATE": f"{candidate.version} {candidate.traffic}".strip() if candidate is not None else "",
        "RECORDS": str(head.audit.sequence),
        "ROLLOUT": head.managed_by,
    }


def print_table(rows: Sequence[Row]) -> None:
    """Print a table; a column that is empty in every row is left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    shown = [{name: row[name][:_SHORT_HASH] if name == "DIGEST" else row[name] for name in names} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in shown)) for name in names}
    for line in ({name: name for name in names}, *shown):
        echo("  ".join(f"{line[name]:{widths[name]}}" for name in names).rstrip())


# ---- get --------------------------------------------------------------------------------------


@command("get", GetOptions.from_params, "print one version as a manifest", closed_pipe=OK)
@model_argument
@version_argument
@registry_options
@click.option("-o", "--output", type=choice(("yaml", "json")), default="yaml", show_default=True, help="format")
async def get(options: GetOptions, context: CliContext) -> int:
    """Run the command."""
    model = options.registry.model_key(options.model)
    async with open_registry(options.registry, context) as store:
        entry = await Registry(store, context.clock, this_process()).get(model, options.version)
        head = await store.read_head(model)
        promotion = await last_promotion(store, model, head, entry.version)
    manifest = _manifest(model, head, entry, promotion)
    if options.output == "json":
        echo(json.dumps(manifest))
    else:
        echo(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120).rstrip())
    return OK


def promotion_facts(promotion: ProductionVersion | None) -> dict[str, str]:
    """Return when a version was promoted, by whom and why, as the status of a ModelVersion names them."""
    if promotion is None:
        return {}
    facts = {
        "promotedAt": str(encode(promotion)["promotedAt"]),
        "promotedBy": promotion.promoted_by,
        "promotedBecause": promotion.promoted_because,
    }
    return {name: text for name, text in facts.items() if text}


def _manifest(
    model: ObjectKey, head: Head, entry: VersionEntry, promotion: ProductionVersion | None
) -> Mapping[str, Any]:
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
        "status": status | promotion_facts(promotion) | ({"yanked": entry.yanked} if entry.yanked else {}),
    }

"""``serinus registry production``: prints the production version of a model, in one cluster or in each of a fleet."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import click

from serinus.api.model import Head
from serinus.api.parsing import encode
from serinus.cli.audit.output import plain
from serinus.cli.command import FAILED, STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error
from serinus.cli.registry.read import Row, print_table, promotion_facts
from serinus.cli.session import RegistryOptions, model_argument, name_of, open_each_cluster, registry_options

OK, NOTHING = 0, 1
_STATUSES: Final = STATUSES | {NOTHING: f"no version is in production; or {FAILED}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionOptions:
    """Options of ``serinus registry production``."""

    model: str
    registry: RegistryOptions
    output: Literal["version", "json"]

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(model=params["model"], registry=RegistryOptions.from_params(params), output=params["output"])


@command(
    "production",
    ProductionOptions.from_params,
    "print the production version, in each cluster of a fleet (exit status 1 if there is none)",
    closed_pipe=OK,
    statuses=_STATUSES,
)
@model_argument
@registry_options
@click.option("-o", "--output", type=choice(("version", "json")), default="version", show_default=True, help="format")
async def production(options: ProductionOptions, context: CliContext) -> int:
    """Print the version; where several clusters share the tables and none is named, a line for each of them."""
    model = options.registry.model_key(options.model)
    async with open_each_cluster(options.registry, context) as clusters:
        heads = {cluster: await store.read_head(model) for cluster, store in clusters.items()}
    if options.output == "json":
        for cluster, head in heads.items():
            if head.production is not None or len(heads) > 1:
                echo(json.dumps(_facts(cluster, head)))
    elif len(heads) > 1:
        print_table([_row(cluster, head) for cluster, head in heads.items()])
    else:
        for head in heads.values():
            if head.production is not None:
                echo(head.production.version)
    if all(head.production is None for head in heads.values()):
        echo_error(f"no version of {name_of(model)} is in production")
        return NOTHING
    return OK


def _facts(cluster: str, head: Head) -> dict[str, Any]:
    """Return the production version with who promoted it; of a cluster where nothing serves only that."""
    named: dict[str, Any] = {"cluster": cluster} if cluster else {}
    if head.production is None:
        return named | {"version": None, "generation": head.generation}
    facts = encode(head.production) | promotion_facts(head.production)
    return named | facts | {"generation": head.generation}


def _row(cluster: str, head: Head) -> Row:
    serving = head.production
    return {
        "CLUSTER": cluster,
        "PRODUCTION": serving.version if serving is not None else "none",
        "SINCE": f"{serving.since:%Y-%m-%d %H:%M:%SZ}" if serving is not None else "",
        "BY": plain(serving.promoted_by) if serving is not None else "",
        "BECAUSE": plain(serving.promoted_because) if serving is not None else "",
        "DIGEST": serving.digest if serving is not None else "",
    }

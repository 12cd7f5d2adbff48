"""``serinus registry yank`` and ``unyank``: bar a version from serving, and take that back; each with who and why."""

from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import click

from serinus.api.audit_record import AuditEvent
from serinus.api.names import MODEL_VERSION, REASON_ANNOTATION, YANKED_ANNOTATION, model_version_name
from serinus.cli.command import Params, command, together
from serinus.cli.context import CliContext
from serinus.cli.kubectl import run_kubectl
from serinus.cli.output import echo
from serinus.cli.registry.write import OK, Change, change_of, reason_option, retry_by_id
from serinus.cli.session import checked_reason, model_argument, name_of, registry_options, version_argument


@dataclass(frozen=True, slots=True, kw_only=True)
class YankOptions:
    """Options of ``serinus registry yank`` and ``unyank``; ``yanks`` says which."""

    change: Change
    version: str
    yanks: bool

    @classmethod
    def from_params(cls, yanks: bool, params: Params) -> Self:  # noqa: FBT001 - bound by partial
        """Return the options that were parsed."""
        return cls(change=Change.from_params(params), version=params["version"].removeprefix("v"), yanks=yanks)


async def _set_yanked(options: YankOptions, context: CliContext) -> int:
    """Record the change in a registry without a cluster; in a cluster annotate the ModelVersion for the operator."""
    reason = checked_reason(options.change.reason)
    if options.change.registry.in_cluster:
        _annotate(options, reason)
        return OK
    async with change_of(options.change, context) as writer:
        entry = writer.entry(AuditEvent.VERSION_YANKED if options.yanks else AuditEvent.VERSION_UNYANKED)
        with retry_by_id(options.change):
            sequence = await writer.registry.set_yanked(
                writer.model, options.version, reason if options.yanks else "", entry
            )
    result = "never serves again" if options.yanks else "may serve again"
    echo(f"{name_of(writer.model)}: {options.version} {result}, record #{sequence}")
    return OK


def _annotate(options: YankOptions, reason: str) -> None:
    """Annotate the ModelVersion with the user's own kubectl: the API server stamps who did it."""
    model = options.change.registry.model_key(options.change.model)
    name = model_version_name(model.name, options.version)
    yank = f"{YANKED_ANNOTATION}={reason}" if options.yanks else f"{YANKED_ANNOTATION}-"
    kind = f"{MODEL_VERSION.plural}.{MODEL_VERSION.group}"
    why = f"{REASON_ANNOTATION}={reason}"
    run_kubectl(["annotate", kind, name, "--overwrite", yank, why, "--namespace", model.namespace])
    echo(f"ModelVersion {model.namespace}/{name}: {yank}")
    echo(f"The operator records it: kubectl describe mv {name} --namespace {model.namespace}")


def _verb(name: str, about: str, *, yanks: bool) -> click.Command:
    parameters = together(model_argument, version_argument, registry_options, reason_option)
    return command(name, partial(YankOptions.from_params, yanks), about)(parameters(_set_yanked))


yank: Final = _verb("yank", "bar a version: it never serves again, and loses the traffic of a run", yanks=True)
unyank: Final = _verb("unyank", "take a yank back: the version may serve again", yanks=False)

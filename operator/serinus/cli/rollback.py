"""``serinus rollback``: through the operator of a cluster, or directly in a registry that clients read themselves."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import click

from serinus.api.names import Command
from serinus.cli import cluster_names
from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.kubeconfig import kubeconfig_options
from serinus.cli.kubectl import Place
from serinus.cli.registry.write import Change, Guards, guard_options, reason_options, roll_back
from serinus.cli.rollouts.annotate import AnnotateOptions, annotate, override_option, wait_of, wait_options
from serinus.cli.rollouts.outcome import COMMAND_ENDS
from serinus.cli.session import RegistryOptions, parse_version_argument, registry_options
from serinus.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """Options of ``serinus rollback``.

    Attributes:
        change: the model, the registry, the reason and the id; in a cluster the model is the Rollout.
        guards: preconditions, in a registry without a cluster.
        to: the version to go back to; None for the rollback target or the last known good version.
        kube_context: the kubeconfig context; None for kubectl's current one.
        override: do without the approval that the Rollout's plan asks for.
        wait: how long the operator may take to act on it; None where nobody waits.
    """

    change: Change
    guards: Guards
    to: str | None
    kube_context: str | None
    override: bool
    wait: timedelta | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError if they contradict each other."""
        registry = RegistryOptions.from_params(params)
        guards = Guards.from_params(params)
        if registry.in_cluster and (guards != Guards() or params["id"] is not None):
            raise ConfigurationError("--force, --generation and --id are for a registry without a cluster")
        if params["override"] and not registry.in_cluster:
            raise ConfigurationError("--override is for a Rollout: a registry without a cluster has no approvals")
        return cls(
            change=Change.from_params(params),
            guards=guards,
            to=params["to"],
            kube_context=params["context"],
            override=params["override"],
            wait=wait_of(params),
        )


@command(
    "rollback",
    RollbackOptions.from_params,
    "go back to the rollback target at once, without stages",
    statuses=COMMAND_ENDS,
)
@click.argument(
    "model",
    metavar="NAME",
    shell_complete=cluster_names.rollouts,
    help="name of the Rollout; with --registry that of the model",
)
@click.option(
    "--to",
    metavar="VERSION",
    type=parse_version_argument,
    shell_complete=cluster_names.versions,
    help="version to go back to (default: the rollback target or last good version)",
)
@kubeconfig_options()
@registry_options
@reason_options
@guard_options
@override_option
@wait_options
def rollback(options: RollbackOptions, context: CliContext) -> int:
    """Command the operator to roll back, or change the production version of a registry without a cluster.

    Raises:
        RefusedError: a Rollout moves this model's traffic, or there is no version to go back to.
        SerinusError: the rollback failed.
    """
    change = options.change
    if not change.registry.in_cluster:
        return asyncio.run(roll_back(change, options.guards, context, to=options.to))
    return annotate(
        AnnotateOptions(
            command=Command.ROLLBACK,
            name=change.model,
            place=Place(namespace=change.registry.namespace, kube_context=options.kube_context),
            reason=change.reason,
            to=options.to,
            override=options.override,
            wait=options.wait,
        ),
        context,
    )

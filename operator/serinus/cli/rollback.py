"""``serinus rollback``: through the operator of a cluster, or directly in a registry that clients read themselves."""

import argparse
import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from serinus.api.names import Command
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place
from serinus.cli.registry.write import Change, Guards, add_guards, add_reason, roll_back
from serinus.cli.rollouts.annotate import AnnotateOptions, add_override, add_wait, annotate, wait_of
from serinus.cli.rollouts.outcome import COMMAND_ENDS
from serinus.cli.session import RegistryOptions, add_registry, parse_version_argument
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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; ConfigurationError if they contradict each other."""
        registry = RegistryOptions.from_args(args)
        guards = Guards.from_args(args)
        if registry.in_cluster and (guards != Guards() or args.id is not None):
            raise ConfigurationError("--force, --generation and --id are for a registry without a cluster")
        if args.override and not registry.in_cluster:
            raise ConfigurationError("--override is for a Rollout: a registry without a cluster has no approvals")
        return cls(
            change=Change.from_args(args),
            guards=guards,
            to=args.to,
            kube_context=args.context,
            override=args.override,
            wait=wait_of(args),
        )


def add_parser(verbs: Subparsers) -> None:
    """Add ``rollback``."""
    explanation = "go back to the rollback target at once, without stages"
    parser = verbs.add_parser("rollback", help=explanation, description=explanation)
    parser.add_argument("model", metavar="NAME", help="name of the Rollout; with --registry that of the model")
    parser.add_argument(
        "--to",
        metavar="VERSION",
        type=parse_version_argument,
        help="version to go back to (default: the rollback target or last good version)",
    )
    parser.add_argument("--context", help="kubeconfig context (default: the current one)")
    add_registry(parser)
    add_reason(parser)
    add_guards(parser)
    add_override(parser)
    add_wait(parser)
    set_handler(parser, RollbackOptions.from_args, _run, statuses=COMMAND_ENDS)


def _run(options: RollbackOptions, context: CliContext) -> int:
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

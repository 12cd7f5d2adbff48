"""``serinus rollback``: one command, whether a cluster moves the traffic or clients read the registry themselves."""

import argparse
import asyncio

from serinus.api.names import Command
from serinus.cli.annotate import annotate
from serinus.cli.registry.write import add_guards, add_reason, rollback
from serinus.cli.session import CliContext, add_registry, in_cluster
from serinus.errors import ConfigurationError


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``rollback``."""
    explanation = "go back to the rollback target at once, without stages"
    parser = verbs.add_parser("rollback", help=explanation, description=explanation)
    parser.add_argument("model", metavar="NAME", help="the Rollout; with --registry the model")
    parser.add_argument(
        "--to", metavar="VERSION", help="where to; the rollback target, or the last known good version, by default"
    )
    parser.add_argument("--context", help="the kubeconfig context")
    add_registry(parser)
    add_reason(parser)
    add_guards(parser)


def run(given: argparse.Namespace, outside: CliContext | None = None) -> int:
    """Ask the operator to go back, or move the pointer in a registry without a cluster. Returns 0.

    Raises:
        ConfigurationError: an option does not go with the others.
        RefusedError: a Rollout moves this model's traffic, or there is nothing to go back to.
        SerinusError: it could not be done.
    """
    if not in_cluster(given):
        return asyncio.run(rollback(given, outside or CliContext()))
    if given.force or given.generation is not None or given.id is not None:
        raise ConfigurationError("--force, --generation and --id are for a registry without a cluster")
    return annotate(
        Command.ROLLBACK,
        given.model,
        given.reason,
        namespace=given.namespace,
        context=given.context,
        to=given.to,
    )

"""The options that the commands about Rollouts share. It loads fast: kubectl is started before the rest is loaded."""

import argparse
import re
from enum import StrEnum
from typing import Final

from serinus.api.names import ROLLOUT
from serinus.api.schema import SUBDOMAIN, in_python
from serinus.cli.kubectl import Place
from serinus.errors import ConfigurationError

RESOURCE: Final = f"{ROLLOUT.plural}.{ROLLOUT.group}"
"""How kubectl is asked for Rollouts: Argo Rollouts has a kind of the same name."""


class Output(StrEnum):
    """The form of the result."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options for the namespace and the kubeconfig context."""
    parser.add_argument("-n", "--namespace", help="namespace of the Rollout (default: kubectl's current one)")
    parser.add_argument("--context", help="kubeconfig context (default: the current one)")


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the Rollout."""
    parser.add_argument("name", metavar="NAME", help="name of the Rollout")


def place_of(args: argparse.Namespace) -> Place:
    """Return where the Rollout is, from the options that :func:`add_place` adds."""
    return Place(namespace=args.namespace, kube_context=args.context)


def checked_name(name: str) -> str:
    """Return the name; ConfigurationError for one that no Rollout has, which kubectl may take for an option."""
    if re.fullmatch(in_python(SUBDOMAIN), name) is None:
        raise ConfigurationError(f"{name!r} is not the name of a Rollout: give --namespace on its own")
    return name

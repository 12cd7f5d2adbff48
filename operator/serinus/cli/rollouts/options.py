"""The options that the commands about Rollouts share. It loads fast: kubectl is started before the rest is loaded."""

import re
from enum import StrEnum
from typing import Final

import click

from serinus.api.names import ROLLOUT
from serinus.api.schema import SUBDOMAIN, in_python
from serinus.cli import cluster_names
from serinus.cli.command import Params, choice, together
from serinus.cli.kubeconfig import kubeconfig_options
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


place_options: Final = together(
    click.option(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        shell_complete=cluster_names.namespaces,
        help="namespace of the Rollout (default: kubectl's current one)",
    ),
    kubeconfig_options(),
)
"""The options for the namespace and the kubeconfig context."""

name_argument: Final = click.argument(
    "name", metavar="NAME", shell_complete=cluster_names.rollouts, help="name of the Rollout"
)
"""The argument that names the Rollout."""

output_option: Final = click.option(
    "-o", "--output", type=choice(Output), default=Output.TEXT.value, show_default=True, help="form of the result"
)
"""The option for the form of the result."""

data_option: Final = click.option(
    "-o",
    "--output",
    type=choice(("text", "json", "yaml")),
    default="text",
    show_default=True,
    help="form of the result",
)
"""The same where the result is no object of the API server."""


def place_of(params: Params) -> Place:
    """Return where the Rollout is, from :data:`place_options`."""
    return Place(namespace=params["namespace"], kube_context=params["context"])


def checked_name(name: str) -> str:
    """Return the name; ConfigurationError for one that no Rollout has, which kubectl may take for an option."""
    if re.fullmatch(in_python(SUBDOMAIN), name) is None:
        raise ConfigurationError(f"{name!r} is not the name of a Rollout: give --namespace on its own")
    return name

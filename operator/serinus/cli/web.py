"""``serinus web``: a read-only page of all Rollouts, through the user's own kubeconfig."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import click

from serinus.cli import cluster_names
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo, flush_output

OK: Final = 0
_PORT: Final = 8321
_CA: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
_LARGEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Options of ``serinus web``.

    Attributes:
        address: of this machine.
        port: 0 for any free one.
        namespace: the only one that is shown; empty for all.
        in_cluster: whether each request is answered with the rights of its own token, in a pod.
        hosts: the names by which the page is reached there.
        ca_file: the certificates that the API server's is checked against there.
    """

    address: str
    port: int
    namespace: str
    in_cluster: bool
    hosts: tuple[str, ...]
    ca_file: Path

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            address=params["address"],
            port=params["port"],
            namespace=params["namespace"] or "",
            in_cluster=params["in_cluster"],
            hosts=tuple(params["host"]),
            ca_file=params["ca_file"],
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_PORT))) or int(text) > _LARGEST_PORT:
        raise click.BadParameter(f"invalid port {text!r}: give a number from 0 to {_LARGEST_PORT}")
    return int(text)


@command(
    "web",
    WebOptions.from_params,
    "serve a read-only page of all Rollouts to the browser of this machine",
    exclusive=("namespace", "all_namespaces", "in_cluster"),
)
@click.option(
    "--port",
    type=_port,
    default=str(_PORT),
    show_default=True,
    metavar="PORT",
    help="port to listen on, 0 for a free one",
)
@click.option("--address", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="local address to listen on")
@click.option(
    "-n", "--namespace", metavar="NAMESPACE", shell_complete=cluster_names.namespaces, help="show this namespace only"
)
@click.option("-A", "--all-namespaces", is_flag=True, help="show all namespaces (the default)")
@click.option(
    "--in-cluster", is_flag=True, help="in a pod: answer each request with the rights of the token that it bears"
)
@click.option(
    "--host",
    multiple=True,
    metavar="NAME",
    help="with --in-cluster: a name by which browsers reach the page; may be repeated",
)
@click.option(
    "--ca-file",
    type=FILE,
    default=str(_CA),
    show_default=True,
    metavar="FILE",
    help="with --in-cluster: certificates of the API server",
)
async def web(options: WebOptions, _: CliContext) -> int:
    """Run the command."""
    # The server and the templates take a third of a second to load: other verbs must not wait for them.
    from serinus.web.serve import serve, serve_users  # noqa: PLC0415

    if options.in_cluster:
        await serve_users(options.address, options.port, options.hosts, options.ca_file)
        return OK
    await serve(options.address, options.port, options.namespace, _announce)
    return OK


def _announce(address: str) -> None:
    echo(f"Serving {address} until Ctrl-C. It shows what your kubeconfig may read, and changes nothing.")
    flush_output()

"""``serinus web``: a read-only page of all Rollouts, through the user's own kubeconfig."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from serinus.cli.command import Subparsers, set_handler
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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            address=args.address,
            port=args.port,
            namespace=args.namespace or "",
            in_cluster=args.in_cluster,
            hosts=tuple(args.host),
            ca_file=args.ca_file,
        )


def add_parser(verbs: Subparsers) -> None:
    """Add ``web``."""
    explanation = "serve a read-only page of all Rollouts to the browser of this machine"
    parser = verbs.add_parser("web", help=explanation, description=explanation)
    parser.add_argument(
        "--port", type=_port, default=_PORT, help=f"port to listen on, 0 for a free one (default: {_PORT})"
    )
    parser.add_argument("--address", default="127.0.0.1", help="local address to listen on (default: 127.0.0.1)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("-n", "--namespace", help="show this namespace only")
    shown.add_argument("-A", "--all-namespaces", action="store_true", help="show all namespaces (the default)")
    shown.add_argument(
        "--in-cluster",
        action="store_true",
        help="in a pod: answer each request with the rights of the token that it bears",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        help="with --in-cluster: a name by which browsers reach the page; may be repeated",
    )
    parser.add_argument(
        "--ca-file", type=Path, default=_CA, help=f"with --in-cluster: certificates of the API server (default: {_CA})"
    )
    set_handler(parser, WebOptions.from_args, _serve)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_PORT))) or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"invalid port {text!r}: give a number from 0 to {_LARGEST_PORT}")
    return int(text)


async def _serve(options: WebOptions, _: CliContext) -> int:
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

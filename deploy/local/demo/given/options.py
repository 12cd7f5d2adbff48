"""What a person says about the cluster."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from demo.errors import DemoError
from demo.manifests import HOSTNAME
from demo.metrics.dataplanes import DATA_PLANES
from demo.traffic.load import MAX_PER_SECOND_ELSEWHERE, refuse_unusable
from localcluster.settings import CHECKOUT
from serinus.api.names import ObjectKey

IMAGE: Final = "docker.io/library/python:3.13-slim"
NAMESPACE: Final = "serinus-demo"
RATE: Final = 100.0

_LEAST_RATE: Final = 20.0
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of ``python -m demo cluster``.

    Attributes:
        kubeconfig: names the cluster; never taken from the environment.
        context: of the kubeconfig; empty for its current one.
        gateway: namespace and name of the Gateway.
        gateway_url: where this machine reaches it.
        prometheus: where this machine reaches the Prometheus that scrapes the gateway.
        preset: how that Prometheus tells of it.
        source: what the operator's configuration calls that Prometheus.
        namespace: made for the demo, and removed in the end.
        hostname: host name of the route.
        image: of the model servers: any with Python 3.11 or newer.
        rate: requests per second.
        folder: for result.json, the logs and the manifests.
        yes: whether to begin without a question.
        keep: whether to leave the namespace.
    """

    kubeconfig: Path
    context: str
    gateway: ObjectKey
    gateway_url: str
    prometheus: str
    preset: str
    source: str
    namespace: str
    hostname: str
    image: str
    rate: float
    folder: Path
    yes: bool
    keep: bool

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            DemoError: the message says what to write instead.
        """
        refuse_unusable(self.gateway_url)
        if not self.prometheus.startswith(("http://", "https://")):
            raise DemoError(f"{self.prometheus}: give the address of Prometheus as http://HOST:PORT")
        if not self.kubeconfig.is_file():
            raise DemoError(f"{self.kubeconfig} is not a file: give the kubeconfig of the cluster")
        if not _NAME.fullmatch(self.namespace):
            raise DemoError(f"{self.namespace!r} cannot be the name of a namespace")
        if not _LEAST_RATE <= self.rate <= MAX_PER_SECOND_ELSEWHERE:
            raise DemoError(f"give a rate of {_LEAST_RATE:g} to {MAX_PER_SECOND_ELSEWHERE:g} requests per second")

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the options that were parsed.

        Raises:
            DemoError: one of them cannot work.
        """
        namespace, slash, name = options.gateway.partition("/")
        if not (slash and _NAME.fullmatch(namespace) and name):
            raise DemoError(f"--gateway {options.gateway}: write NAMESPACE/NAME")
        return cls(
            kubeconfig=options.kubeconfig,
            context=options.context,
            gateway=ObjectKey(namespace, name),
            gateway_url=options.gateway_url.rstrip("/"),
            prometheus=options.prometheus.rstrip("/"),
            preset=options.preset,
            source=options.source,
            namespace=options.namespace,
            hostname=options.hostname,
            image=options.image,
            rate=options.rate,
            folder=options.folder,
            yes=options.yes,
            keep=options.keep,
        )


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    needed = parser.add_argument_group("the cluster")
    needed.add_argument("--kubeconfig", type=Path, required=True, help="the cluster; $KUBECONFIG is not read")
    needed.add_argument("--context", default="", help="of the kubeconfig; default: its current one")
    needed.add_argument("--gateway", required=True, metavar="NAMESPACE/NAME", help="a Gateway that is programmed")
    needed.add_argument("--gateway-url", required=True, help="http://HOST:PORT of the gateway, seen from this machine")
    needed.add_argument("--prometheus", required=True, help="URL of Prometheus, seen from this machine")
    needed.add_argument("--preset", choices=sorted(DATA_PLANES), default="contour", help="default contour")
    needed.add_argument("--source", default="default", help="the operator's metric source; default %(default)s")
    own = parser.add_argument_group("the demo")
    own.add_argument("--namespace", default=NAMESPACE, help="made and removed; default %(default)s")
    own.add_argument("--hostname", default=HOSTNAME, help="host name of the route; default %(default)s")
    own.add_argument("--image", default=IMAGE, help="with Python 3.11 or newer; default %(default)s")
    own.add_argument("--rate", type=float, default=RATE, help="requests per second; default %(default)g")
    own.add_argument("--folder", type=Path, default=CHECKOUT / ".demo", help="for result.json, logs and manifests")
    own.add_argument("--yes", action="store_true", help="begin without a question")
    own.add_argument("--keep", action="store_true", help="leave the namespace in the cluster")

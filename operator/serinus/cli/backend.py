"""The Service and port of a version in the arguments of commands."""

import re
from typing import Final

import click

from serinus.api.modelversion import BackendRef
from serinus.api.schema import SUBDOMAIN

_BACKEND: Final = re.compile(rf"(?P<name>{SUBDOMAIN.strip('^$')}):(?P<port>[0-9]{{1,5}})")
_PORTS: Final = range(1, 65536)


def parse_backend(text: str) -> BackendRef:
    """Return the Service of ``name:port``; click.BadParameter for any other text."""
    match = _BACKEND.fullmatch(text)
    if match is None or int(match["port"]) not in _PORTS:
        raise click.BadParameter(f"invalid Service and port {text!r}: write name:port, such as fraud-v2-3-1:80")
    return BackendRef(name=match["name"], port=int(match["port"]))

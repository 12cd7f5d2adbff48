"""Pages of a list, whose objects are decoded one by one: they need not all be in memory at once."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec


class _Metadata(msgspec.Struct, frozen=True):
    token: str | None = msgspec.field(name="continue", default=None)


class Page(msgspec.Struct, frozen=True):
    """One page of a list as the API server sends it."""

    # Of an empty list some API servers send null.
    items: tuple[msgspec.Raw, ...] | None = None
    metadata: _Metadata | None = None

    def objects(self) -> Iterator[dict[str, Any]]:
        """Decode one object after the other; what is none is yielded as an empty one, which no kind accepts."""
        for item in self.items or ():
            decoded = msgspec.json.decode(item)
            yield decoded if isinstance(decoded, dict) else {}

    @property
    def token(self) -> str:
        """What asks for the next page; empty where this is the last one."""
        return (self.metadata.token if self.metadata is not None else None) or ""


PAGE: Final = msgspec.json.Decoder(Page)


class Pages(Protocol):
    """The part of the client by which lists are read."""

    async def read_page(self, path: str, query: Mapping[str, str], seconds: float) -> Page:
        """Read one page of a list; see :meth:`KubernetesClient.request` for what is raised."""

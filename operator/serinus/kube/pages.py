"""Pages of a list, whose objects are decoded one by one: they need not all be in memory at once."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec


class _Metadata(msgspec.Struct, frozen=True):
    version: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")] = msgspec.field(name="resourceVersion")
    token: str | None = msgspec.field(name="continue", default=None)


class Page(msgspec.Struct, frozen=True):
    """One page of a list as the API server sends it."""

    metadata: _Metadata
    # Of an empty list some API servers send null.
    items: tuple[msgspec.Raw, ...] | None = None

    def objects(self) -> Iterator[dict[str, Any]]:
        """Decode one object after the other; what is none is yielded as an empty one, which no kind accepts."""
        for item in self.items or ():
            decoded = msgspec.json.decode(item)
            yield decoded if isinstance(decoded, dict) else {}

    @property
    def token(self) -> str:
        """What asks for the next page; empty where this is the last one."""
        return self.metadata.token or ""

    @property
    def version(self) -> int:
        """The resource version of the list: it has everything that happened before."""
        return int(self.metadata.version)


PAGE: Final = msgspec.json.Decoder(Page)


class Pages(Protocol):
    """The part of the client by which lists are read."""

    async def read_page(self, path: str, query: Mapping[str, str], seconds: float) -> Page:
        """Read one page of a list; see :meth:`KubernetesClient.request` for what is raised."""

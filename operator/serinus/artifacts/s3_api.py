"""The operations of boto3's S3 client that an artifact store needs; boto3 creates the client's class at run time."""

from collections.abc import Iterable
from typing import Any, Protocol

Answer = dict[str, Any]


class Paginator(Protocol):
    """Sends the requests of a list page by page."""

    def paginate(self, **request: object) -> Iterable[Answer]:
        """Yield the pages."""


class S3Api(Protocol):
    """The operations by their names in boto3; each takes the request's parameters and returns the response."""

    def head_object(self, **request: object) -> Answer:
        """Return an object's metadata."""

    def get_object(self, **request: object) -> Answer:
        """Return an object's metadata and its body as a stream."""

    def get_paginator(self, operation_name: str, /) -> Paginator:
        """Return the paginator of an operation, such as ``list_objects_v2``."""

    def close(self) -> None:
        """Close the connections."""

"""The operations of boto3's S3 client that a bucket needs; boto3 creates the client's class at run time."""

from typing import Any, Protocol

Answer = dict[str, Any]


class S3Api(Protocol):
    """The operations by their names in boto3; each takes the request's parameters and returns the response."""

    def put_object(self, **request: object) -> Answer:
        """Store an object."""

    def get_object(self, **request: object) -> Answer:
        """Return an object's metadata and its body as a stream."""

    def list_objects_v2(self, **request: object) -> Answer:
        """Return a page of objects in the order of their keys."""

    def list_object_versions(self, **request: object) -> Answer:
        """Return a page of all versions of all objects."""

    def close(self) -> None:
        """Close the connections."""

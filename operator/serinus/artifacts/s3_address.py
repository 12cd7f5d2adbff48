"""The address of an artifact in S3, and whether a namespace may name it.

A tenant writes the URI and the operator reads it with its own rights, so what is not listed for the tenant's namespace
is refused before anything is sent: the answer must not depend on what is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from serinus.errors import RefusedError
from serinus.settings import AllowedBucket

_SCHEME = "s3://"
EVERY_NAMESPACE = "*"


@dataclass(frozen=True, slots=True)
class S3Address:
    """An object, or the folder of all objects whose keys begin with ``key`` where it ends with a slash.

    Attributes:
        bucket: the bucket's name.
        key: the object's key or the folder's prefix; never empty.
        place: the address for messages, without what follows a question mark.
    """

    bucket: str
    key: str
    place: str

    @classmethod
    def parse(cls, uri: str) -> "S3Address":
        """Parse ``s3://bucket/key``.

        Raises:
            RefusedError: it names no object, or a part of its path is ``.`` or ``..``.
        """
        # A key may contain a question mark, but a presigned address that was pasted here must not get into a message.
        place = uri.partition("?")[0]
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        if not bucket or not key:
            raise RefusedError(f"{place} names no object: write s3://bucket/key")
        if {".", ".."} & {bucket, *key.split("/")}:
            # A proxy or a service other than AWS's may resolve them, and so leave the prefix that was checked.
            raise RefusedError(f"{place}: a part of the path is . or ..: name the object without them")
        return cls(bucket, key, place)


def check_allowed(address: S3Address, namespace: str, buckets: Iterable[AllowedBucket]) -> None:
    """Raise RefusedError if the ModelVersions of this namespace may not name this address."""
    if not any(_allows(allowed, address, namespace) for allowed in buckets):
        raise RefusedError(
            f"{address.place}: artifacts.s3.buckets does not allow it for namespace {namespace}: an administrator of "
            "Serinus must list its bucket and prefix for this namespace"
        )


def _allows(allowed: AllowedBucket, address: S3Address, namespace: str) -> bool:
    of_namespace = namespace in allowed.namespaces or EVERY_NAMESPACE in allowed.namespaces
    return of_namespace and address.bucket == allowed.bucket and address.key.startswith(allowed.prefix)

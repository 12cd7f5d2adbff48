"""Types of the parts common to all raw objects; fields that are not read are left out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import field

from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.errors import InvalidObjectError
from serinus.ports.cluster_state import Meta


class Raw(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Base of objects of foreign kinds, whose unknown fields are ignored."""


class OwnerReference(Raw, frozen=True, kw_only=True):
    """One entry of metadata.ownerReferences."""

    api_version: str
    kind: str
    name: str
    uid: str = ""
    controller: bool = False


class ManagedFields(Raw, frozen=True, kw_only=True):
    """The fields set by one field manager; ``time`` is missing on some old objects."""

    manager: str = ""
    subresource: str = ""
    time: datetime | None = None
    fields_v1: dict[str, Any] = field(name="fieldsV1", default_factory=dict)


class Metadata(Raw, frozen=True, kw_only=True):
    """metav1.ObjectMeta."""

    name: str
    uid: str
    resource_version: str
    creation_timestamp: datetime
    namespace: str = ""
    generation: int = 0
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    managed_fields: tuple[ManagedFields, ...] = ()

    @property
    def meta(self) -> Meta:
        """The part that records keep; InvalidObjectError where the resourceVersion is not a number."""
        if not self.resource_version.isdecimal():
            raise InvalidObjectError("metadata.resourceVersion", f"{self.resource_version!r} is not a number")
        return Meta(key=ObjectKey(self.namespace, self.name), uid=self.uid, version=int(self.resource_version))


class Condition(Raw, frozen=True, kw_only=True):
    """One status condition of any kind."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0


T = TypeVar("T", bound=msgspec.Struct)


def read_whole(kind: type[T], raw: Mapping[str, Any]) -> T:
    """Return the object as this type; InvalidObjectError, with the field's path from the root, if malformed."""
    try:
        return decode(kind, raw, "")
    except InvalidObjectError as problem:
        raise InvalidObjectError(problem.path.lstrip("."), problem.problem) from problem


def metadata_of(raw: Mapping[str, Any]) -> Metadata:
    """Return the object's metadata; InvalidObjectError if malformed."""
    return decode(Metadata, raw.get("metadata"), "metadata")

"""The kinds that the operator watches, their API paths and the parser of each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from serinus.api.names import (
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    JOB,
    MODEL,
    MODEL_VERSION,
    NAMESPACE,
    ROLLOUT,
    ROLLOUT_LABEL,
    Kind,
    ObjectKey,
)
from serinus.kube.jobs.own import own_job_record
from serinus.kube.records import (
    endpoints_record,
    model_record,
    model_version_record,
    namespace_record,
    rollout_record,
)
from serinus.kube.routes import http_route_record
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    JobRecord,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One watched kind.

    Attributes:
        kind: group, version and plural in the API.
        record: the type of its record.
        parse: turns a raw object into the record; raises InvalidObjectError.
        label: only objects with this label are read; empty for all objects.
        namespaced: whether the kind is namespaced.
    """

    kind: Kind
    record: type[Record]
    parse: Callable[[Mapping[str, Any]], Record]
    label: str = ""
    namespaced: bool = True


SOURCES: Final[tuple[Source, ...]] = (
    Source(kind=NAMESPACE, record=NamespaceRecord, parse=namespace_record, namespaced=False),
    Source(kind=MODEL, record=ModelRecord, parse=model_record),
    Source(kind=MODEL_VERSION, record=ModelVersionRecord, parse=model_version_record),
    Source(kind=ENDPOINT_SLICE, record=EndpointsRecord, parse=endpoints_record),
    Source(kind=JOB, record=JobRecord, parse=own_job_record, label=ROLLOUT_LABEL),
    Source(kind=ROLLOUT, record=RolloutRecord, parse=rollout_record),
)
"""The kinds that are always watched. Rollouts come last, so that at start-up what they refer to is already known."""

HTTP_ROUTES: Final = Source(kind=HTTP_ROUTE, record=HttpRouteRecord, parse=http_route_record)
"""The routes of an installation that switches on no other kind."""


def sources_with(routes: Iterable[Source]) -> tuple[Source, ...]:
    """Return the kinds to watch, with these kinds of routes."""
    place = next(position for position, source in enumerate(SOURCES) if source.kind == ENDPOINT_SLICE)
    return (*SOURCES[:place], *routes, *SOURCES[place:])


def collection_path(kind: Kind, namespace: str = "") -> str:
    """Return the API path of a kind's objects, in one namespace or in all."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"


def object_path(kind: Kind, key: ObjectKey) -> str:
    """Return the API path of one object."""
    return f"{collection_path(kind, key.namespace)}/{key.name}"

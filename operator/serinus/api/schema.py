"""Constraints and CEL rules of the typed models, declared beside the fields that they concern.

They are evaluated twice: by msgspec when an object is parsed, and by the API server, through the CRDs that
:mod:`serinus.api.crd` generates from them.
"""

from typing import Any, Final

from msgspec import Meta, Struct

from serinus.api.quantities import Duration

NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
QUERY_NAME: Final = r"^[a-z][a-z0-9_]{0,62}$"
"""The left-hand side of a comparison in ``abortOn``."""

SUBDOMAIN: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
DECIMAL: Final = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?$"
# SemVer 2.0.0 (semver.org) without build metadata, which has no place in a Kubernetes name and no order.
_CORE: Final = r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
_IDENTIFIER: Final = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
SEMVER: Final = rf"^v?{_CORE}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?$"


Extension = str | bool | list[str] | list[dict[str, Any]]
"""The value of a schema extension such as x-kubernetes-list-type."""


class Model(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """The base of all stored types: immutable, keyword-only, camelCase in JSON, unknown fields refused."""


def text(description: str, *, least: int = 1, most: int = 253, pattern: str | None = None, **more: Extension) -> Meta:
    """Return the constraints of a string."""
    return Meta(
        description=description, min_length=least, max_length=most, pattern=pattern, extra_json_schema=more or None
    )


def items(description: str, *, most: int, least: int = 0, key: str | None = None, **more: Extension) -> Meta:
    """Return the constraints of a list; with ``key`` its members are unique by that field."""
    if key is not None:
        more |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return Meta(description=description, min_length=least or None, max_length=most, extra_json_schema=more or None)


def rules(*members: dict[str, Any]) -> dict[str, Any]:
    """Return the schema extension that carries these CEL rules."""
    return {"x-kubernetes-validations": list(members)}


def rule(expression: str, message: str, *, field: str | None = None, computed: bool = False) -> dict[str, Any]:
    """Return one CEL rule; ``computed``: the message is itself an expression."""
    member: dict[str, Any] = {"rule": expression, ("messageExpression" if computed else "message"): message}
    return member | ({"fieldPath": field} if field else {})


def length(description: str) -> Meta:
    """Return the description of a :class:`Duration`."""
    return Meta(description=f"{description} {Duration.DESCRIPTION}")

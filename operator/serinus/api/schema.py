"""Constraints and CEL rules of the typed models, declared beside the fields that they concern.

They are evaluated twice: by msgspec when an object is parsed, and by the API server, through the CRDs that
:mod:`serinus.api.crd` generates from them. Patterns are written in the API server's dialect, RE2; :func:`in_python`
makes Python's re read them alike.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Meta, Struct

from serinus.api.quantities import Duration

NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
QUERY_NAME: Final = r"^[a-z][a-z0-9_]{0,62}$"
"""The left-hand side of a comparison in ``abortOn``."""

SUBDOMAIN: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
UNSIGNED_DECIMAL: Final = r"^[0-9]{1,20}([.][0-9]{1,20})?$"
DECIMAL: Final = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?$"
# SemVer 2.0.0 (semver.org) without build metadata, which has no place in a Kubernetes name and no order.
_CORE: Final = r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
_IDENTIFIER: Final = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
SEMVER: Final = rf"^v?{_CORE}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?$"
SEMVER_ADVICE: Final = "write a SemVer 2.0 version, such as 2.3.1 or 2.4.0-rc.1"
TIME: Final = (
    r"^(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?$"
)
"""A time as RFC 3339 writes it, and as YAML and Python's isoformat do: with a blank, without an offset (UTC)."""


Extension = str | bool | list[str] | list[dict[str, Any]]
"""The value of a schema extension such as x-kubernetes-list-type."""


class Model(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """The base of all stored types: immutable, keyword-only, camelCase in JSON, unknown fields refused."""


class FieldError(ValueError):
    """A value does not fit the others of its object.

    Attributes:
        field: where it is, below the object that raises this, such as ``.stages[1].abortOn[0]``.
        problem: what is wrong with it, without the field.
    """

    def __init__(self, field: str, problem: str) -> None:
        """Compose the message from both."""
        super().__init__(f"{field.lstrip('.')}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


API_DEFAULT: Final = "x-default"
"""Where a schema keeps a default that the API server fills in: clients read the field where nobody has written it."""

API_PATTERN: Final = "x-pattern"
"""Where a schema keeps a pattern in the API server's dialect beside msgspec's own."""


def in_python(pattern: str) -> str:
    r"""Return a pattern with which Python's re matches what RE2 matches with the one given.

    To RE2 ``\s`` and ``\d`` are ASCII, the vertical tab is no space, and ``$`` is the end of the text, not also
    the place before a last line break.
    """
    for inside, outside in ((r"[^\s", r"[^\t\n\f\r "), (r"\s", r"[\t\n\f\r ]"), (r"\d", "[0-9]")):
        pattern = pattern.replace(inside, outside)
    return pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern


def cel_text(text: str) -> str:
    """Return a text as CEL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def matches(value: str, pattern: str) -> str:
    """Return the CEL expression of whether a value has the form of a pattern."""
    return f"{value}.matches({cel_text(pattern)})"


def text(description: str, *, least: int = 1, most: int = 253, pattern: str | None = None, **more: Extension) -> Meta:
    """Return the constraints of a string; the pattern is in the API server's dialect."""
    if pattern is not None:
        more = {API_PATTERN: pattern, **more}
    return Meta(
        description=description,
        min_length=least,
        max_length=most,
        pattern=in_python(pattern) if pattern is not None else None,
        extra_json_schema=more or None,
    )


_EXACT: Final = 2**53 - 1
"""The greatest whole number of JSON that every reader has exactly (RFC 8785): a spec with a greater one has no hash."""


def integer(description: str, *, least: int = -_EXACT) -> Meta:
    """Return the constraints of a whole number."""
    return Meta(description=description, ge=least, le=_EXACT)


def generation_seen(description: str) -> Meta:
    """Return the constraints of a status's ``observedGeneration``.

    The API server shows -1 of an object that no operator has seen: kstatus, which Flux and others wait with, takes an
    object without it for one that is done.
    """
    return Meta(description=f"{description} -1: none yet.", ge=-1)


NEVER_OBSERVED: Final = {"default": {"observedGeneration": -1}}
"""The schema extension of a status that is shown before anybody has written it."""


def refuse_twins(field: str, names: Iterable[str]) -> None:
    """Raise FieldError where two members of the list ``field`` have one name, as the API server does for a list-map."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise FieldError(f"{field}[{index}]", f"there is another {name!r} before it: each name stands there once")
        seen.add(name)


def items(description: str, *, most: int, least: int = 0, key: str | None = None, **more: Extension) -> Meta:
    """Return the constraints of a list; with ``key`` its members are unique by that field."""
    if key is not None:
        more |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return Meta(description=description, min_length=least or None, max_length=most, extra_json_schema=more or None)


def rules(*members: dict[str, Any]) -> dict[str, Any]:
    """Return the schema extension that carries these CEL rules."""
    return {"x-kubernetes-validations": list(members)}


def rule(expression: str, message: str, *, field: str | None = None, computed: str | None = None) -> dict[str, Any]:
    """Return one CEL rule.

    Args:
        expression: what must be true.
        message: what is wrong where it is not; the reference's sentence.
        field: the path that the refusal names, below the object of the rule.
        computed: a CEL expression of a sentence for the case at hand, which the API server says instead of the message.
    """
    found: dict[str, Any] = {"rule": expression, "message": message}
    found |= {"messageExpression": computed} if computed else {}
    return found | ({"fieldPath": field} if field else {})


SEMVER_RULE: Final = rule(
    matches("self", SEMVER),
    SEMVER_ADVICE,
    computed="self.matches('-v[0-9]+[.][0-9]+[.][0-9]+') ? 'write ' + self.find('-v[0-9]+[.].*').substring(2)"
    " + ', without the name of the model'"
    " : self.matches('^v?[0-9]+[.][0-9]+$') ? 'write ' + self + '.0'"
    " : self.contains('+') ? 'write ' + self.split('+')[0] + ': build metadata has no order and no place in a name'"
    f" : '{SEMVER_ADVICE}'",
)
"""What to write where :data:`SEMVER` refuses a version."""

DATE_RULE: Final = rule(
    "!self.matches('^[0-9]{4}-(02-3[01]|0[469]-31|11-31)') && (!self.matches('^[0-9]{4}-02-29')"
    " || int(self.substring(0, 4)) % 4 == 0"
    " && (int(self.substring(0, 4)) % 100 != 0 || int(self.substring(0, 4)) % 400 == 0))",
    "the calendar has no such day",
)
"""What the pattern :data:`TIME` cannot see."""


def length(description: str) -> Meta:
    """Return the description of a :class:`Duration`."""
    return Meta(description=f"{description} {Duration.DESCRIPTION}")

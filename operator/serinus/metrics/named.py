"""The administrator's own queries: checked when the operator starts, filled in for a subject, answered as they are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from typing import Final

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Measured, NoData, Subject
from serinus.errors import ConfigurationError
from serinus.metrics.promql import LABEL_NAME, escaped, literal
from serinus.settings import QuerySettings

_PLACEHOLDER: Final = re.compile(r"\$(namespace|model|version|backend)\b")
_ANY_WORD: Final = re.compile(r"\$[a-z]\w*")
_PER_VERSION: Final = frozenset({"version", "backend"})
# What PromQL's lexer takes whole: a comment, a raw string, a string in either quotes.
_TOKEN: Final = re.compile(r"""#[^\n]*|`[^`]*`|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_REGEX_MATCH: Final = re.compile(r"[=!]~\s*$")


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a value goes; ``pattern``: into a regular expression, where it must match itself only."""

    name: str
    pattern: bool


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A named query, ready to be filled in."""

    name: str
    parts: tuple[str | _Hole, ...]
    group_by: str | None
    group_value: str

    def promql(self, subject: Subject) -> str:
        """Return the query for this subject; the same text for all subjects that share one query."""
        values = _values(subject)
        return "".join(part if isinstance(part, str) else _filled(part, values[part.name]) for part in self.parts)

    def series_of(self, subject: Subject) -> str:
        """Return what tells this subject's series apart: the query, and the label's value where there is one."""
        return f"{self.promql(subject)}\n{self._group(subject)}"

    def answer(self, subject: Subject, at: datetime, rows: Iterable[tuple[Mapping[str, str], float]]) -> Answer:
        """Pick the subject's value out of the rows of its query."""
        wanted = self._group(subject)
        mine = [value for labels, value in rows if self.group_by is None or labels.get(self.group_by, "") == wanted]
        if not mine:
            where = f" with {self.group_by}={wanted!r}" if self.group_by else ""
            return NoData(
                at=at,
                cause=Cause.NO_SERIES,
                message=f"query {self.name} yields nothing{where}: try it in Prometheus for version {subject.version}",
            )
        if len(mine) > 1:
            return NoData(
                at=at,
                cause=Cause.AMBIGUOUS,
                message=f"query {self.name} yields {len(mine)} series where one is expected: aggregate it, "
                "such as by sum(…) or max(…)",
            )
        if isnan(mine[0]):
            return NoData(
                at=at,
                cause=Cause.NAN,
                message=f"query {self.name} yields NaN, mostly a division by zero requests: wait for traffic",
            )
        return Measured(at=at, value=mine[0])

    def _group(self, subject: Subject) -> str:
        if self.group_by is None:
            return ""
        values = _values(subject)
        return _PLACEHOLDER.sub(lambda found: values[found.group(1)], self.group_value)


def parse_named(source: str, name: str, settings: QuerySettings) -> NamedTemplate:
    """Check a named query and take it apart.

    Raises:
        ConfigurationError: it cannot tell versions apart, or a placeholder stands where a value could do harm.
    """
    where = f"sources.{source}.queries.{name}"
    parts = tuple(_parts(where, settings.promql))
    used = {part.name for part in parts if isinstance(part, _Hole)}
    if settings.group_by is None:
        if not used:
            raise ConfigurationError(
                f"{where}.promql mentions none of $namespace, $model, $version and $backend, so all versions would get "
                "the same value: mention one in a quoted label value, or set groupBy"
            )
        return NamedTemplate(name, parts, None, "")
    if LABEL_NAME.fullmatch(settings.group_by) is None:
        raise ConfigurationError(f"{where}.groupBy: {settings.group_by!r} is no label name")
    if used & _PER_VERSION:
        raise ConfigurationError(
            f"{where}.promql mentions ${min(used & _PER_VERSION)} though groupBy asks for all versions at once: "
            "take it out, or leave groupBy out"
        )
    _check_group_value(where, settings.group_value)
    return NamedTemplate(name, parts, settings.group_by, settings.group_value)


def _check_group_value(where: str, template: str) -> None:
    unknown = set(_ANY_WORD.findall(template)) - set(_found(template))
    if unknown:
        raise ConfigurationError(
            f"{where}.groupValue: {min(unknown)} is unknown: $namespace, $model, $version, $backend"
        )
    if not {word.removeprefix("$") for word in _found(template)} & _PER_VERSION:
        raise ConfigurationError(
            f"{where}.groupValue mentions neither $version nor $backend, so all versions would get the same value"
        )


def _found(template: str) -> list[str]:
    return [found.group() for found in _PLACEHOLDER.finditer(template)]


def _parts(where: str, promql: str) -> Iterable[str | _Hole]:
    end = 0
    for token in _TOKEN.finditer(promql):
        yield _outside(where, promql[end : token.start()])
        if token.group()[0] in "\"'":
            yield from _inside(token.group(), pattern=bool(_REGEX_MATCH.search(promql[: token.start()])))
        elif token.group()[0] == "`":
            yield _outside(where, token.group())
        end = token.end()
    yield _outside(where, promql[end:])


def _outside(where: str, text: str) -> str:
    found = _PLACEHOLDER.search(text)
    if found is None:
        return text
    raise ConfigurationError(
        f'{where}.promql: {found.group()} must stand inside a quoted label value, such as {{version="$version"}}'
    )


def _inside(text: str, *, pattern: bool) -> Iterable[str | _Hole]:
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        yield text[end : found.start()]
        yield _Hole(found.group(1), pattern)
        end = found.end()
    yield text[end:]


def _filled(hole: _Hole, value: str) -> str:
    return escaped(literal(value) if hole.pattern else value)


def _values(subject: Subject) -> Mapping[str, str]:
    return {
        "namespace": subject.namespace,
        "model": subject.model,
        "version": subject.version,
        "backend": subject.backend.name,
    }

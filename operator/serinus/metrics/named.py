"""Named queries of the administrator: validated at start, rendered for a subject, answered with their raw value."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from typing import Final

from serinus.api.abort_condition import NamedQuery
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Measured, NoData, Subject
from serinus.errors import ConfigurationError
from serinus.metrics.promql import LABEL_NAME, escaped, literal
from serinus.source_settings import QuerySettings

_PLACEHOLDER: Final = re.compile(r"\$(namespace|model|version|backend)\b")
_ANY_WORD: Final = re.compile(r"\$[a-z]\w*")
_PER_VERSION: Final = frozenset({"version", "backend"})
# Single tokens of PromQL's lexer: a comment, a raw string, a string in single or double quotes.
_TOKEN: Final = re.compile(r"""#[^\n]*|`[^`]*`|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_REGEX_MATCH: Final = re.compile(r"[=!]~\s*$")


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """Where a value is inserted; ``pattern``: inside a regular expression, so it has to be escaped as a literal."""

    name: str
    pattern: bool


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A validated named query, ready to be rendered."""

    name: str
    parts: tuple[str | _Placeholder, ...]
    group_by: str | None
    group_value: str

    def promql(self, subject: Subject) -> str:
        """Return the query for this subject; the same text for all subjects that share one query."""
        values = _values(subject)
        return "".join(part if isinstance(part, str) else _rendered(part, values[part.name]) for part in self.parts)

    def series_of(self, subject: Subject) -> str:
        """Return what identifies this subject's series: the query, and the label's value where there is one."""
        return f"{self.promql(subject)}\n{self._group(subject)}"

    def answer(self, subject: Subject, at: datetime, rows: Iterable[tuple[Mapping[str, str], float]]) -> Answer:
        """Pick the subject's value out of the rows of its query."""
        group = self._group(subject)
        values = [value for labels, value in rows if self.group_by is None or labels.get(self.group_by, "") == group]
        if not values:
            where = f" with {self.group_by}={group!r}" if self.group_by else ""
            return NoData(
                at=at,
                cause=Cause.NO_SERIES,
                message=f"query {self.name} yields nothing{where}: try it in Prometheus for version {subject.version}",
            )
        if len(values) > 1:
            return NoData(
                at=at,
                cause=Cause.AMBIGUOUS,
                message=f"query {self.name} yields {len(values)} series where one is expected: aggregate it, "
                "such as by sum(…) or max(…)",
            )
        if isnan(values[0]):
            return NoData(
                at=at,
                cause=Cause.NAN,
                message=f"query {self.name} yields NaN, mostly a division by zero requests: wait for traffic",
            )
        return Measured(at=at, value=values[0])

    def _group(self, subject: Subject) -> str:
        if self.group_by is None:
            return ""
        values = _values(subject)
        return _PLACEHOLDER.sub(lambda match: values[match.group(1)], self.group_value)


def parse_named(source: str, name: str, settings: QuerySettings) -> NamedTemplate:
    """Validate and parse a named query.

    Raises:
        ConfigurationError: it gives all versions the same value, or a placeholder is outside a quoted label value.
    """
    where = f"sources.{source}.queries.{name}"
    parts = tuple(_parts(where, settings.promql))
    used = {part.name for part in parts if isinstance(part, _Placeholder)}
    if settings.group_by is None:
        if not used:
            raise ConfigurationError(
                f"{where}.promql mentions none of $namespace, $model, $version and $backend, so all versions would get "
                "the same value: mention one in a quoted label value, or set groupBy"
            )
        return NamedTemplate(name, parts, None, "")
    if LABEL_NAME.fullmatch(settings.group_by) is None:
        raise ConfigurationError(f"{where}.groupBy: {settings.group_by!r} is not a label name")
    if used & _PER_VERSION:
        raise ConfigurationError(
            f"{where}.promql mentions ${min(used & _PER_VERSION)} though groupBy asks for all versions at once: "
            "take it out, or leave groupBy out"
        )
    _check_group_value(where, settings.group_value)
    return NamedTemplate(name, parts, settings.group_by, settings.group_value)


def missing_query(source: str, query: NamedQuery, known: Collection[str]) -> str:
    """Return that a source has no query of this name; empty where it is among those that it has."""
    if query.name in known:
        return ""
    return (
        f"source {source} has no query {query.name} (it has: {', '.join(sorted(known)) or 'none'}): correct abortOn, "
        f"or let the administrator add sources.{source}.queries.{query.name}"
    )


def _check_group_value(where: str, template: str) -> None:
    unknown = set(_ANY_WORD.findall(template)) - set(_placeholders(template))
    if unknown:
        raise ConfigurationError(
            f"{where}.groupValue: {min(unknown)} is unknown: use $namespace, $model, $version or $backend"
        )
    if not {word.removeprefix("$") for word in _placeholders(template)} & _PER_VERSION:
        raise ConfigurationError(
            f"{where}.groupValue mentions neither $version nor $backend, so all versions would get the same value"
        )


def _placeholders(template: str) -> list[str]:
    return [match.group() for match in _PLACEHOLDER.finditer(template)]


def _parts(where: str, promql: str) -> Iterable[str | _Placeholder]:
    end = 0
    for token in _TOKEN.finditer(promql):
        yield _outside_quotes(where, promql[end : token.start()])
        if token.group()[0] in "\"'":
            yield from _inside_quotes(token.group(), pattern=bool(_REGEX_MATCH.search(promql[: token.start()])))
        elif token.group()[0] == "`":
            yield _outside_quotes(where, token.group())
        end = token.end()
    yield _outside_quotes(where, promql[end:])


def _outside_quotes(where: str, text: str) -> str:
    match = _PLACEHOLDER.search(text)
    if match is None:
        return text
    raise ConfigurationError(
        f'{where}.promql: {match.group()} must be inside a quoted label value, such as {{version="$version"}}'
    )


def _inside_quotes(text: str, *, pattern: bool) -> Iterable[str | _Placeholder]:
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        yield text[end : match.start()]
        yield _Placeholder(match.group(1), pattern)
        end = match.end()
    yield text[end:]


def _rendered(placeholder: _Placeholder, value: str) -> str:
    return escaped(literal(value) if placeholder.pattern else value)


def _values(subject: Subject) -> Mapping[str, str]:
    return {
        "namespace": subject.namespace,
        "model": subject.model,
        "version": subject.version,
        "backend": subject.backend.name,
    }

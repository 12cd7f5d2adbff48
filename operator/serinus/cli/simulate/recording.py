"""A recording: counts by tick as JSON lines or a JSON list; read with bounds, written as it is read."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from serinus.api.abort_condition import AbortCondition, Latency, parse_abort_condition
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.simulation.plan import Key, key_of
from serinus.engine.simulation.replay import RecordedTick
from serinus.errors import ConfigurationError

KIND: Final = "SerinusRecording"
MOST_BYTES: Final = 64 * 1024 * 1024
MOST_TICKS: Final = 100_000

T = TypeVar("T")
_Count = Annotated[float, Meta(ge=0)]


class Figures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answer about one version: counts, a value, or why there is neither.

    Attributes:
        requests: number of requests since the tick before.
        bad: how many were certainly bad; ``likely`` and ``possible`` are the same where they are left out.
        display: the metric over the source's display window; shown only.
        coarse: the bucket bounds in seconds around a limit that is not a bound; null for none above.
        above: the whole histogram, where latencies are compared: bounds in seconds, and the requests above them.
        total: the requests of that histogram.
        open: by how much the requests without an answer have grown.
        begun: the time of the sample from which it was counted.
        value: of a named query.
        cause: why there are no figures; ``message`` says it in words.
    """

    requests: _Count | None = None
    bad: _Count = 0.0
    likely: _Count | None = None
    possible: _Count | None = None
    display: float | None = None
    coarse: tuple[float, float | None] | None = None
    above: tuple[tuple[float, _Count], ...] = ()
    total: _Count = 0.0
    open: float = 0.0
    begun: datetime | None = None
    value: float | None = None
    cause: Cause | None = None
    message: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not exactly one answer; ValueError."""
        if sum(given is not None for given in (self.requests, self.value, self.cause)) != 1:
            raise ValueError("give one of requests, value and cause")


class Pair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answers about candidate and stable version to one question."""

    candidate: Figures
    stable: Figures | None = None


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tick; ``figures`` are by question, such as ``error_rate`` or ``latency_p95 > 200ms``."""

    at: datetime
    figures: dict[str, Pair]


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The first line: what was recorded. ``began`` is when the first simulated stage began."""

    kind: Literal["SerinusRecording"]
    model: str
    version: str
    began: datetime
    scrape_interval: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording has.

    Attributes:
        header: what it is about.
        ticks: oldest first.
        known: what there are figures for at every tick.
    """

    header: Header
    ticks: tuple[RecordedTick, ...]

    @property
    def known(self) -> frozenset[Key]:
        """What every tick has figures for."""
        found = [frozenset(tick.answers) for tick in self.ticks]
        return frozenset.intersection(*found) if found else frozenset()


def question_text(condition: AbortCondition) -> str:
    """Return the name under which a recording has the figures of a condition."""
    if not isinstance(condition.metric, Latency):
        return condition.name
    return (
        f"{condition.name} x stable" if condition.compared else f"{condition.name} > {1000 * condition.threshold:g}ms"
    )


def _key(text: str) -> Key:
    """Return the question that a name stands for; ValueError where it is none."""
    if text.endswith(" x stable"):
        return key_of(parse_abort_condition(f"{text.removesuffix(' x stable')} > 1x stable"))
    if ">" in text:
        return key_of(parse_abort_condition(text))
    for suffix in (" > 1%", " < 1", " > 0"):
        try:
            return key_of(parse_abort_condition(text + suffix))
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no question: write error_rate, latency_p95 > 200ms or the name of a query")


def read_recording(file: Path) -> Recording:
    """Return the recording in a file.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is not a recording; the message names line and field.
    """
    try:
        with file.open("rb") as source:
            content = source.read(MOST_BYTES + 1)
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem.strerror}") from problem
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{file} is larger than {MOST_BYTES >> 20} MiB: record a shorter time")
    entries = _entries(file, content)
    header = _decoded(file, 1, entries[0], Header)
    ticks: list[RecordedTick] = []
    for number, entry in enumerate(entries[1:], start=2):
        line = _decoded(file, number, entry, Line)
        at = _utc(line.at)
        if ticks and at <= ticks[-1].at:
            raise ConfigurationError(f"{file}, line {number}: at: the ticks must be in order of time")
        ticks.append(RecordedTick(at, _answers(file, number, line, at)))
    if not ticks:
        raise ConfigurationError(f"{file} has no ticks after its first line")
    return Recording(msgspec.structs.replace(header, began=_utc(header.began)), tuple(ticks))


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _entries(file: Path, content: bytes) -> list[msgspec.Raw] | list[bytes]:
    """Return the header and the ticks, undecoded: the members of a list, or the lines."""
    if content.lstrip().startswith(b"["):
        try:
            listed = msgspec.json.decode(content, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as problem:
            raise ConfigurationError(f"{file} is not valid JSON: {problem}") from problem
        entries: list[bytes] = [bytes(one) for one in listed]
    else:
        entries = [line for line in content.splitlines() if line.strip()]
    if not entries:
        raise ConfigurationError(f"{file} is empty: a recording begins with a line with kind {KIND}")
    if len(entries) > MOST_TICKS:
        raise ConfigurationError(f"{file} has more than {MOST_TICKS:,} ticks: record a shorter time")
    return entries


def _decoded(file: Path, number: int, entry: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(entry, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ConfigurationError(f"{file}, line {number}: {problem}") from problem


def _answers(file: Path, number: int, line: Line, at: datetime) -> Mapping[Key, tuple[Answer, Answer | None]]:
    found = {}
    for text, pair in line.figures.items():
        try:
            key = _key(text)
        except ValueError as problem:
            raise ConfigurationError(f"{file}, line {number}: figures: {problem}") from problem
        found[key] = (_answer(pair.candidate, at), _answer(pair.stable, at) if pair.stable is not None else None)
    return found


def _answer(given: Figures, at: datetime) -> Answer:
    if given.value is not None:
        return Measured(at=at, value=given.value)
    if given.cause is not None:
        kind = CouldNotAsk if given.cause in {Cause.PROVIDER_DOWN, Cause.QUERY_INVALID} else NoData
        return kind(at=at, cause=given.cause, message=given.message)
    likely = given.bad if given.likely is None else given.likely
    batch = Batch(given.requests or 0.0, given.bad, likely, likely if given.possible is None else given.possible)
    coarse = (
        None
        if given.coarse is None
        else Coarse(given.coarse[0], math.inf if given.coarse[1] is None else given.coarse[1])
    )
    return Counted(
        at=at,
        batch=batch,
        display=given.display,
        coarse=coarse,
        above=given.above,
        total=given.total,
        open=given.open,
        begun=None if given.begun is None else _utc(given.begun),
    )


def recorded_lines(
    header: Header, ticks: Sequence[RecordedTick], conditions: Sequence[AbortCondition]
) -> Iterator[bytes]:
    """Yield the lines of a recording: its header, then a line for each tick."""
    texts = {key_of(one): question_text(one) for one in conditions}
    yield msgspec.json.encode(header)
    for tick in ticks:
        figures = {
            texts[key]: Pair(candidate=_figures(pair[0]), stable=_figures(pair[1]) if pair[1] is not None else None)
            for key, pair in tick.answers.items()
            if key in texts
        }
        yield msgspec.json.encode(Line(at=tick.at, figures=figures))


def _figures(answer: Answer) -> Figures:
    match answer:
        case Measured(value=value):
            return Figures(value=value)
        case NoData(cause=cause, message=message) | CouldNotAsk(cause=cause, message=message):
            return Figures(cause=cause, message=message)
        case Counted(batch=batch, coarse=coarse):
            upper = None if coarse is None or math.isinf(coarse.upper) else coarse.upper
            exact = batch.certain == batch.likely == batch.possible
            return Figures(
                requests=batch.requests,
                bad=batch.certain,
                likely=None if exact else batch.likely,
                possible=None if exact else batch.possible,
                display=answer.display,
                coarse=None if coarse is None else (coarse.lower, upper),
                above=answer.above,
                total=answer.total,
                open=answer.open,
                begun=answer.begun,
            )

"""The audit trail as text: lines for a terminal, rows for a spreadsheet, explanations of findings."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

from serinus.api.audit_record import Authentication
from serinus.api.names import UNVERIFIED
from serinus.cli.screen import fit, wrapped
from serinus.engine.audit.chain import ChainFault, ChainFinding, StoredRecord

_TIME, _EVENT, _VERSION, _ACTOR = 20, 22, 14, 24
_NUMBER: Final = 5
_TABLE: Final = _TIME + _NUMBER + _EVENT + _VERSION + _ACTOR + 5 * len("  ")
_LEAST_REASON: Final = 40
_MOST_LINES: Final = 3
_ROOMY: Final = 80
_INDENT: Final = " " * (_NUMBER + 2)
_SHORT_HASH: Final = len("sha256:") + 12

MEANINGS: Final[Mapping[ChainFault, str]] = {
    ChainFault.MISSING: "it was removed after it was written, or never arrived",
    ChainFault.MISPLACED: "records were exchanged, repeated or renumbered",
    ChainFault.ALTERED: "it was changed after it was written",
    ChainFault.BROKEN: "it, or the record before it, was replaced by another",
    ChainFault.TRUNCATED: "the end of the chain was cut off",
    ChainFault.HEAD_DIFFERS: "the head was changed, or the last records were written anew",
    ChainFault.CHECKPOINT_DIFFERS: "the chain was written anew after the checkpoint was made",
    ChainFault.CHECKPOINT_UNSIGNED: "somebody without the operator's key wrote or changed it: it proves nothing",
    ChainFault.UNREADABLE: "it was not written by Serinus, or was damaged",
    ChainFault.DUPLICATE: "the same fact was recorded twice, or a record was copied",
    ChainFault.ATTRIBUTE_DIFFERS: "what people search by was changed beside the content",
    ChainFault.HEAD_MISSING: "the head was removed: serinus audit restore builds it from the chain",
    ChainFault.VERSION_DIFFERS: "the version was changed or made anew after it was registered",
    ChainFault.VERSION_MISSING: "a registered version was removed from the registry",
    ChainFault.VERSION_UNRECORDED: "a version was put into the registry past the audit trail",
    ChainFault.DIGEST_DIFFERS: "other bytes served than the registered ones",
}


def plain(text: object) -> str:
    """Return text with non-printable characters escaped: whoever wrote the record must not control the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in str(text)
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 record`` or ``128 records``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def log_heading(*, wide: bool) -> str:
    """Return the headings of the columns."""
    line = f"{'TIME (UTC)':{_TIME}}  {'#':>{_NUMBER}}  {'EVENT':{_EVENT}}  {'VERSION':{_VERSION}}  {'ACTOR':{_ACTOR}}"
    more = f"  {'TRAFFIC':>7}  {'RUN/STAGE':20}  {'HASH':{_SHORT_HASH}}  {'FOR':24}" if wide else ""
    return f"{line}{more}  REASON"


def log_line(record: StoredRecord, *, wide: bool, width: int | None) -> str:
    """Return the line of one record.

    Args:
        record: as it is stored; a missing field is empty.
        wide: with more columns, nothing shortened.
        width: of the terminal, of which a record takes two lines at most; None not to shorten it.
    """
    content = record.content
    cells = [
        f"{_when(content):{_TIME}}",
        f"{record.sequence:>{_NUMBER}}",
        f"{plain(content.get('event', '')):{_EVENT}}",
        f"{_fit(_version(content), _VERSION, wide=wide):{_VERSION}}",
        f"{actor_text(content, None if wide else _ACTOR):{_ACTOR}}",
    ]
    if wide:
        cells += _more(content)
    cells.append(_why(content))
    line = "  ".join(cells).rstrip()
    return line if wide or width is None or len(line) <= 2 * width else f"{line[: 2 * width - 1]}…"


def needs_lines(width: int) -> bool:
    """Return whether a terminal of so many columns is too narrow for the table."""
    return width < _TABLE + _LEAST_REASON


def lines_heading(width: int) -> str:
    """Return the headings of :func:`record_lines`."""
    first = f"{'#':>{_NUMBER}}  {'TIME (UTC)':{_TIME}}  {'EVENT':{_event(width)}}  VERSION"
    return f"{fit(first, width)}\n{_INDENT}by ACTOR: REASON"


def record_lines(record: StoredRecord, width: int) -> str:
    """Return a record in lines for a narrow terminal: what and when, then who and why, in full where it is not long."""
    content = record.content
    version = fit(_version(content), max(_VERSION, width - len(_INDENT) - _TIME - _EVENT - 4))
    what = f"{plain(content.get('event', '')):{_event(width)}}  {version}"
    first = fit(f"{record.sequence:>{_NUMBER}}  {_when(content):{_TIME}}  {what}".rstrip(), width)
    actor, why = actor_text(content), _why(content)
    lines = wrapped(": ".join(filter(None, (f"by {actor}" if actor else "", why))), width - len(_INDENT))
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], fit(f"{lines[_MOST_LINES - 1]} …", width - len(_INDENT))]
    return "\n".join((first, *(f"{_INDENT}{line}" for line in lines if line)))


def _event(width: int) -> int:
    """Return the width of the events' column: where there is no room for one, the version follows at once."""
    return _EVENT if width >= _ROOMY else 0


def _when(content: Mapping[str, Any]) -> str:
    when = plain(content.get("at", "")).removesuffix("Z")[:19].replace("T", " ")
    return f"{when}Z" if when else ""


def _why(content: Mapping[str, Any]) -> str:
    return plain(content.get("reason") or content.get("message") or "")


def _fit(text: str, most: int, *, wide: bool) -> str:
    return text if wide or len(text) <= most else f"{text[: most - 1]}…"


def _version(content: Mapping[str, Any]) -> str:
    version, to = plain(content.get("version", "")), plain(content.get("to", ""))
    return f"{version} → {to}" if to else version


def actor_text(content: Mapping[str, Any], most: int | None = None) -> str:
    """Return the name of the actor, with a mark if it is unverified.

    Args:
        content: of the record.
        most: characters; a longer name keeps its end, which distinguishes service accounts and roles. None for all.
    """
    actor = content.get("actor")
    if not isinstance(actor, dict):
        return ""
    name = plain(actor.get("name", ""))
    if actor.get("authentication") != Authentication.NONE.value or name == UNVERIFIED:
        return _end(name, most)
    mark = f"{UNVERIFIED}: "
    return mark + _end(name, most - len(mark) if most is not None else None)


def _end(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"…{text[len(text) - most + 1 :]}"


def _more(content: Mapping[str, Any]) -> list[str]:
    rollout, behalf = _part(content, "rollout"), _part(content, "onBehalfOf")
    run = f"{rollout.get('run', '')}/{plain(rollout.get('stage', ''))}" if rollout else ""
    return [
        f"{plain(content.get('traffic', '')):>7}",
        f"{run:20}",
        f"{plain(content.get('hash', ''))[:_SHORT_HASH]:{_SHORT_HASH}}",
        f"{plain(behalf.get('name', '')):24}",
    ]


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, dict) else {}


def finding_lines(finding: ChainFinding) -> str:
    """Return a finding and its meaning, in two lines."""
    where = f"#{finding.sequence}" if finding.sequence else "-"
    return (
        f"  {where:>7}  {finding.fault.value:18}  {plain(finding.message)}\n"
        f"  {'':7}  {'':18}  {MEANINGS[finding.fault]}"
    )


# ---- spreadsheets -----------------------------------------------------------------------------

COLUMNS: Final = (
    "sequence", "at", "recordedAt", "event", "namespace", "model", "version", "to", "traffic", "actor.name",
    "actor.kind", "actor.authentication", "onBehalfOf.name", "onBehalfOf.commit", "onBehalfOf.url", "reason", "message",
    "rollout.name", "rollout.run", "rollout.stage", "before.production", "after.production", "after.candidate",
    "after.traffic", "after.generation", "digest", "specHash", "approvals", "evidence", "details", "id", "previousHash",
    "hash",
)  # fmt: skip
"""A dotted name is a nested field; a list or map is JSON in one cell."""

_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a formula, also full-width (OWASP, CSV Injection); tabs and line breaks are escaped before."""


def csv_heading() -> bytes:
    """Return the row of headings."""
    return _csv(COLUMNS)


def csv_line(record: StoredRecord) -> bytes:
    """Return the row of a record; a cell that a spreadsheet would run as a formula gets a leading apostrophe."""
    return _csv([_cell(_value(record.content, column)) for column in COLUMNS])


def _csv(cells: list[str] | tuple[str, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _value(content: Mapping[str, Any], column: str) -> object:
    value: object = content
    for name in column.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value


def _cell(value: object) -> str:
    if isinstance(value, dict | list):
        text = json.dumps(value, sort_keys=True, ensure_ascii=False) if value else ""
    else:
        text = str(value)
    text = plain(text)
    return f"'{text}" if text.startswith(_FORMULA) else text

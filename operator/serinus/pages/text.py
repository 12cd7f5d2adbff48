"""Formats values for a page: times, durations and sizes, and text from records, which is escaped.

Everything in a record may be chosen by an attacker: it is escaped for the page's language, invisible characters are
made visible, and only plain https addresses become links.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Final

from markupsafe import Markup

from serinus.api.model import ModelSpec
from serinus.engine.analysis import text
from serinus.engine.report.periods import Period

# RFC 3986 without characters that are special in Markdown or HTML: any other address is shown as text.
_ADDRESS: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~:/?#@!$&+,;=%-]*)?", re.ASCII)
# Unicode TR36: these change the reading direction, so that a text looks like another one.
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACES: Final = frozenset("\n\r\t\u2028\u2029")
_VERSION: Final = re.compile(r"[0-9A-Za-z.-]{1,64}", re.ASCII)
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]|~#$!])")
_PUNCTUATION: Final = re.compile(r"([:@/.])")
_BYTES: Final = 1000
_SHORT: Final = 12


def visible(value: object) -> str:
    """Return the text on one line, with invisible characters written as their code points."""
    text = _text(value)
    # Printable characters exclude controls, directions and every space but the plain one.
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case _:
            raise TypeError(f"a page cannot show {type(value).__name__}: give a text or a number")


def _shown(character: str) -> str:
    if character in _SPACES:
        return " "
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"}:
        return f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{ord(character):04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"
    return character


def html_text(value: object) -> Markup:
    """Return any value escaped for HTML; markup stays as it is."""
    return value if isinstance(value, Markup) else Markup.escape(visible(value))


def markdown_text(value: object) -> Markup:
    """Return any value escaped for a line or a table cell of Markdown; markup stays as it is."""
    if isinstance(value, Markup):
        return value
    text = visible(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKDOWN.sub(r"\\\1", text)
    # GitHub turns bare addresses and names after an @ into links.
    for bare, escaped in (("://", "&#58;//"), ("www.", "www&#46;"), ("@", "&#64;")):
        text = text.replace(bare, escaped)
    return Markup(text)  # noqa: S704 - this is what escapes it


def html_link(value: str) -> Markup:
    """Return a link if the text is a plain https address, else the text."""
    if _ADDRESS.fullmatch(value) is None:
        return html_text(value)
    return Markup('<a href="{0}" rel="noopener noreferrer">{0}</a>').format(value)


def breakable(value: str) -> Markup:
    """Return a long name that a narrow column may break after punctuation, not within words."""
    return Markup(_PUNCTUATION.sub(r"\1<wbr>", str(html_text(value))))  # noqa: S704 - escaped, and no entity has such punctuation


def markdown_link(value: str) -> Markup:
    """Return a link if the text is a plain https address, else the text."""
    text = markdown_text(value)
    return Markup("[{}](<{}>)").format(text, value) if _ADDRESS.fullmatch(value) is not None else text


def when(at: datetime | None, unknown: str = "not recorded") -> str:
    """Format a time in UTC to the second: ``2026-11-23 14:07:31``."""
    return unknown if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def period_range(period: Period) -> str:
    """Format the begin and end of a period as far as they are known: ``since …``, ``until …`` or ``… to …``."""
    begin, end = period.begin, period.end
    if begin is None:
        return f"until {when(end)}, since before the first kept record" if end is not None else "in all kept records"
    return f"{when(begin)} to {when(end)}" if end is not None else f"since {when(begin)}"


def day(at: datetime | date) -> str:
    """Format a date in UTC."""
    return f"{at.astimezone(UTC) if isinstance(at, datetime) else at:%Y-%m-%d}"


def length(span: timedelta | None, unknown: str = "not known") -> str:
    """Format a duration in its two largest units; below a minute to a tenth of a second."""
    if span is None:
        return unknown
    seconds = span.total_seconds()
    return f"{seconds:.1f}s" if 0 <= seconds < 60 and seconds % 1 else text.span(span)  # noqa: PLR2004 - a minute


def px(place: float) -> Markup:
    """Format a position in a chart, without commas."""
    return Markup(f"{place:g}")  # noqa: S704 - a number


def size(count: int) -> str:
    """Format a number of bytes: ``51.2 MB``."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= _BYTES and len(units) > 1:
        value /= _BYTES
        units.pop(0)
    return f"{value:.3g} {units[0]}" if value < _BYTES else f"{value:,.0f} {units[0]}"


def short(digest: str) -> str:
    """Shorten a digest to its first twelve digits, enough to compare."""
    name, colon, digits = digest.partition(":")
    return f"{name}{colon}{digits[:_SHORT]}…" if len(digits) > _SHORT else digest


def policy_text(policy: ModelSpec) -> str:
    """Format the policy of a Model as one sentence."""
    require = policy.require
    flags = {"lineage": require.lineage, "signature": require.signature, "digest": require.digest}
    required = ", ".join(name for name, flag in flags.items() if flag)
    parts = [
        f"version numbers: {policy.versioning.enforcement.value}",
        f"required: {required or 'nothing'}",
        "approval by another person than asked" if policy.approvals.four_eyes else "no second person required",
        f"records kept {policy.retention_days:,} days" if policy.retention_days else "records kept for ever",
    ]
    return "; ".join(parts)


def anchor(kind: str, name: str) -> str:
    """Return the id of a part of the page, for links."""
    safe = name if _VERSION.fullmatch(name) else sha256(name.encode(errors="replace")).hexdigest()[:_SHORT]
    return f"{kind}-{safe}"


def run_anchor(rollout: str, uid: str, run: int) -> str:
    """Return the id of a run's part; it includes the Rollout's uid, as a recreated Rollout counts runs from 1 again."""
    return f"run-{run}-{sha256(f'{rollout}/{uid}'.encode(errors='replace')).hexdigest()[:6]}"


FILTERS: Final[dict[str, Callable[..., object]]] = {
    "when": when,
    "day": day,
    "lasting": length,
    "px": px,
    "size": size,
    "period_range": period_range,
    "short": short,
}

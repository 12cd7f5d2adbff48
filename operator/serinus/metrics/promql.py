"""PromQL as text: the only module that inserts values into queries, so that escaping cannot be forgotten."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LOOKBACK_MS: Final = 600_000
"""How long a series must be absent to count as new; twice Prometheus' own lookback of 5 minutes."""

_READ_MS: Final = 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# RE2 accepts a backslash before any ASCII punctuation; these are the characters with a meaning (RE2, syntax).
_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, ord('"'), ord("'"))},
    ord("\\"): r"\\",
    # U+FFFD stands for broken text: PromQL's lexer takes it for that wherever it is written (promql/parser, lexString).
    0xFFFD: r"\ufffd",
}
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(value: str) -> str:
    """Return the value as a PromQL string literal in double quotes."""
    return f'"{escaped(value)}"'


def escaped(value: str) -> str:
    r"""Return the value escaped for a PromQL string literal in single or double quotes.

    PromQL accepts Go's escapes but rejects ``\'`` inside ``"``, and vice versa; ``\x27`` is valid in both. What cannot
    be encoded in UTF-8 becomes ``?``: no label value can contain it, so it matches nothing.
    """
    return value.encode("utf-8", "replace").decode().translate(_ESCAPES)


def literal(value: str) -> str:
    """Return the RE2 expression that matches this value and no other."""
    return _SPECIAL.sub(lambda match: "\\" + match.group(), value)


def matches(label: str, values: Iterable[str]) -> str:
    """Return a matcher for any of these literal values of a label.

    The values are sorted, so that equal sets give equal queries. A single value becomes an equality matcher, which
    Prometheus resolves by index lookup.
    """
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return f"{label}={quoted(distinct[0])}"
    return f"{label}=~{quoted('|'.join(map(literal, distinct)))}"


def grown(selector: str, span: int, lookback: int = LOOKBACK_MS) -> str:
    """Return by how much these counters have grown over the last ``span`` milliseconds.

    Those that fell have not grown, and those that are new are left out: ``fallen`` and ``born`` return them. The
    earlier value is the last one in ``lookback`` milliseconds, so a series that returns after a gap is not counted from
    zero again. A counter that is not a number stays one.
    """
    # Each selector costs Prometheus as much as the first one, so the counters are named once for each of the two times.
    return f"clamp_min({selector} - {earlier(selector, span, lookback)}, 0)"


def fallen(selector: str, span: int, lookback: int = LOOKBACK_MS) -> tuple[str, str]:
    """Return what the counters that fell show now, and what they showed before."""
    before = earlier(selector, span, lookback)
    return f"({selector} < {before})", f"({before} > {selector})"


def born(selector: str, presence: str, ignoring: str, span: int, lookback: int = LOOKBACK_MS) -> str:
    """Return the counters that are new on a target that is not.

    A counter without an earlier value has either begun at zero since then, or has it all from a time before: its target
    was not scraped, has a new label, or the store is empty. It has begun since then if a series that its target always
    has was there before, with the same labels.

    Args:
        selector: the counters.
        presence: the series that the target always has.
        ignoring: the labels that the counters have beside those of ``presence``, as a PromQL list.
        span: milliseconds.
        lookback: milliseconds.
    """
    new = f"({selector} unless {earlier(selector, span, lookback)})"
    return f"({new} and ignoring ({ignoring}) {earlier(presence, span, lookback)})"


def born_after(selector: str, presence: str, ignoring: str, span: int) -> str:
    """Return the counters that began later within the last ``span`` milliseconds than their target did.

    They have begun at zero, as those of ``born``: fewer samples are there of them than of the series that their target
    always has. A counter that its target lost and has again is one of them, and shows no more than it has counted.

    Args:
        selector: the counters.
        presence: the series that the target always has.
        ignoring: the labels that the counters have beside those of ``presence``, as a PromQL list.
        span: milliseconds; of a longer span the last hour is read, as by ``since_first``.
    """
    counted, scraped = (f"count_over_time({one}[{min(span, _READ_MS)}ms])" for one in (selector, presence))
    later = f"{counted} < ignoring ({ignoring}) group_left () max without ({ignoring}) ({scraped})"
    return f"({selector} and ({later}))"


def since_first(selector: str, span: int) -> str:
    """Return by how much these counters have grown since their first value in the last ``span`` milliseconds.

    It is for counters of which nobody knows whether they began at zero: what they showed first may be from a time
    before. Of one that fell on the way, what it has grown by since. Of a longer span the last hour is read: a day of
    each counter is more than Prometheus reads for one query, and then no later one would be answered either.
    """
    return f"({selector} - min_over_time({selector}[{min(span, _READ_MS)}ms]))"


def earlier(selector: str, span: int, lookback: int) -> str:
    """Return the last value that these series had in ``lookback`` milliseconds before the last ``span``."""
    return f"last_over_time({selector}[{lookback}ms] offset {span}ms)"


def no_reset(selector: str, span: int) -> str:
    """Return the counters that never fell in the last ``span`` milliseconds; of a longer span the last hour is read."""
    return f"resets({selector}[{min(span, _READ_MS)}ms]) == 0"


def change(plus: str, minus: str | None, span: int, lookback: int) -> str:
    """Return by how much sums of series have changed on each target over the last ``span`` milliseconds.

    Args:
        plus: the selector of the series to add; of several names at once, as each selector costs as much.
        minus: that of the series to subtract; None where there are none.
        span: milliseconds.
        lookback: milliseconds before that in which the values before are searched for.
    """
    now = _summed(plus, minus)
    before = _summed(earlier(plus, span, lookback), None if minus is None else earlier(minus, span, lookback))
    return f"(({now}) - ({before}))"


def _summed(plus: str, minus: str | None) -> str:
    return f"sum without () ({plus})" + (f" - sum without () ({minus})" if minus is not None else "")


def tagged(expression: str, tag: str, value: str) -> str:
    """Return the expression with an additional label, so that one query can return several kinds of rows."""
    return f'label_replace({expression}, "{tag}", {quoted(value)}, "", "")'


def millis(at: datetime) -> int:
    """Return whole milliseconds since 1970, the resolution of Prometheus."""
    return (at - _EPOCH) // _MILLISECOND


def seconds_text(milliseconds: int) -> str:
    """Return a time or duration in the seconds format of Prometheus' API, exact to the millisecond."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"

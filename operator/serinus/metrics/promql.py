"""PromQL as text: the only place where a value is put into a query, so that none can leave its quotes."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LOOKBACK_MS: Final = 600_000
"""How far back a series is looked for before it counts as new; twice Prometheus' own lookback of 5 minutes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# RE2 takes a backslash before any ASCII punctuation; these are the ones that mean something (RE2, syntax).
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(value: str) -> str:
    """Return the value as a PromQL string literal in double quotes."""
    return f'"{escaped(value)}"'


def escaped(value: str) -> str:
    r"""Return the value as it stands inside a PromQL string literal, be its quotes single or double.

    PromQL takes Go's escapes but refuses ``\'`` inside ``"``, and the other way round; ``\x27`` is good in both.
    What UTF-8 cannot say becomes ``?``: no label value can hold it, so it matches nothing.
    """
    safe = value.encode("utf-8", "replace").decode()
    return "".join(_escape(character) for character in safe)


def _escape(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character in "\"'" or character < " " or character == "\x7f":
        return f"\\x{ord(character):02x}"
    return character


def literal(value: str) -> str:
    """Return the RE2 expression that matches this value and no other."""
    return _SPECIAL.sub(lambda found: "\\" + found.group(), value)


def matches(label: str, values: Iterable[str]) -> str:
    """Return one matcher for any of these literal values of a label.

    They are sorted, so that equal sets give equal queries, and a set of one is an equality, which Prometheus looks up.
    """
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return f"{label}={quoted(distinct[0])}"
    return f"{label}=~{quoted('|'.join(map(literal, distinct)))}"


def increments(selector: str, span: int, lookback: int = LOOKBACK_MS) -> str:
    """Return the increments of these counters over the last ``span`` milliseconds.

    This is the three-part expression of the design (section 11: grown; reset; new) in one subtraction: what is taken
    off is the earlier value where there is one and it is not above today's, else nothing. The earlier value is the
    last one seen in ``lookback`` milliseconds, so a series that comes back after a gap is not counted from zero again.
    """
    earlier = f"last_over_time({selector}[{lookback}ms] offset {span}ms)"
    return f"({selector} - (({earlier} <= {selector}) or {selector} * 0))"


def tagged(expression: str, tag: str, value: str) -> str:
    """Return the expression with one more label, so that unlike results can share an answer."""
    return f'label_replace({expression}, "{tag}", {quoted(value)}, "", "")'


def millis(at: datetime) -> int:
    """Return the whole milliseconds since 1970, Prometheus' own resolution."""
    return (at - _EPOCH) // _MILLISECOND


def seconds_text(milliseconds: int) -> str:
    """Return a time or a length of time as Prometheus' API reads it, exact to the millisecond."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"

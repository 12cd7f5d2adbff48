"""Lines of ``abortOn`` at random: good, bad, and one condition in two spellings."""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from hypothesis import strategies as st

_STANDARD: Final = (
    *("latency_p95", "latency_p50", "latency_p999", "latency_p90", "latency_p900", "error_rate", "client_error_rate"),
    *("drift_score", "latency_p95_drift", "abort_rate", "preemption_rate", "ttft_p95", "queue_time_p990"),
)
_ODD: Final = (
    *("latency_p05", "latency_p20", "latency_p49", "latency_p100", "latency_p9", "latency_p99999", "latency_p"),
    *("latency_p99_9", "latency_p50ms", "error_rate_of_model", "my_error_rate", "p95_latency", "p95latency", "latency"),
    *(
        "latency_avg",
        "mean_latency",
        "success_rate",
        "request_success_rate",
        "error_ratio",
        "latency_95",
        "p99",
        "errors",
    ),
    *("tokens_per_second", "ttft", "ttft_p9", "tpot_p05", "time_to_first_token_p95", "itl_p95", "tps"),
    *(
        "request-success-rate",
        "error-rate",
        "latency-p95",
        "Latency_p95",
        "latency_p99.9",
        "client-error-rate",
        "_x",
        "é",
    ),
)
_NUMBERS: Final = (
    *("1", "0", "0.0", "00", "5", "99.999999999", "100", "100.0", "0.5", "0.005", "1.0", "01", "200", "0.2", "0.7"),
    *(
        "0.007",
        "0.3",
        "0.003",
        "099.9",
        "999999999999",
        "999999999999.999999999",
        "0.000000001",
        ".5",
        "1.",
        "1e3",
        "-1",
    ),
    *("1000000000000", "0.0000000001", "\u0663", "1,5", ""),
)
_BLANKS: Final = ("", " ", " ", "  ", "\t", "\n", "\v", "\u00a0")
_GAP: Final = st.sampled_from(_BLANKS[:4])
_ODD_GAP: Final = st.sampled_from(_BLANKS)
_UNITS: Final = ("ms", "s", "%", "")
_PLAIN: Final = st.decimals("0.001", "99.999", places=3).map(str)

_USUAL: Final = st.tuples(
    st.sampled_from(_STANDARD), st.sampled_from([">", ">="]), _PLAIN, st.booleans(), st.tuples(*[_GAP] * 4)
)
_ODDITIES: Final = (
    st.sampled_from([*_STANDARD, *_ODD]),
    st.sampled_from(["<", "<=", "=", "=>", "", "> >"]),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_UNITS),
    st.tuples(*[_ODD_GAP] * 4),
)
_PLACES: Final = st.sampled_from([(0,), (0,), (0,), (1,), (2,), (2,), (3,), (4,), (0, 1), (0, 3), (2, 3), (1, 2)])


@st.composite
def _parts(draw: st.DrawFn) -> list[Any]:
    """Return name, operator, number, unit and blanks of a good line."""
    name, operator, number, first, gaps = draw(_USUAL)
    if "rate" in name:
        unit, number = ("%", number) if first else ("", f"0.{number.replace('.', '')}")
    else:
        unit = "ms" if first else "s"
    return [name, operator, number, unit, gaps]


def _written(name: str, operator: str, number: str, unit: str, gaps: tuple[str, ...]) -> str:
    before, left, right, after = gaps
    return f"{before}{name}{left}{operator}{right}{number}{right}{unit}{after}"


@st.composite
def _odd(draw: st.DrawFn) -> str:
    """Return a line of which one or two parts are not what they should be."""
    parts = draw(_parts())
    for place in draw(_PLACES):
        parts[place] = draw(_ODDITIES[place])
    return _written(*parts)


_SPELLINGS: Final = st.tuples(
    st.booleans(), st.sampled_from(["", "0"]), st.sampled_from(["", "0", "00"]), st.booleans(), st.tuples(*[_GAP] * 4)
)
_EXPONENTS: Final = {"ms": -3, "s": 3, "%": -2, "": 2}
_OTHER_UNIT: Final = {"ms": "s", "s": "ms", "%": "", "": "%"}


@st.composite
def _spelling(draw: st.DrawFn, line: str) -> str:
    """Return a line that means the same, written otherwise: blanks, zeros, another unit, a longer quantile."""
    name, _, rest = line.partition(">")
    operator, rest = (">=", rest[1:].strip()) if rest.startswith("=") else (">", rest.strip())
    unit = next(unit for unit in _UNITS if rest.endswith(unit))
    try:
        number = Decimal(rest.removesuffix(unit))
    except InvalidOperation:
        return f" {line}"
    convert, before, after, longer, gaps = draw(_SPELLINGS)
    if convert:
        number, unit = number.scaleb(_EXPONENTS[unit]), _OTHER_UNIT[unit]
    digits = f"{number:f}"
    digits = before + digits + (after if "." in digits else "")
    name = name.strip()
    if longer and name.removeprefix("latency_p").isdigit():
        name += "0"
    return _written(name, operator, digits, unit, gaps)


_GOOD: Final = st.lists(_parts().map(lambda parts: _written(*parts)), min_size=1, max_size=3)
_ODD_LINES: Final = st.lists(_odd(), min_size=1, max_size=2)
_COMPARED: Final = st.tuples(
    st.sampled_from([*_STANDARD[:2], *_STANDARD[5:8], *_STANDARD[9:11], "tokens_per_second"]),
    st.sampled_from([">", ">=", ">", "<"]),
    st.sampled_from(["0.5", "0.005", "5", "1", "1.2", "01.20", "0", "0.9", "100"]),
    st.sampled_from(["stable+{}%", "stable + {} %", "stable +{}", "{}x stable", "{} xstable", "{}x", "{} stable"]),
).map(lambda parts: f"{parts[0]} {parts[1]} {parts[3].format(parts[2])}")
_COMPARED_LINES: Final = st.lists(_COMPARED, min_size=1, max_size=3)
_WAYS: Final = st.sampled_from(["good", "twice", "odd", "odd", "compared"])


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Return the lines of a stage.

    Good ones, good ones with one of them once more in another spelling, odd ones, or comparisons, good and bad.
    """
    way = draw(_WAYS)
    if way == "odd":
        return draw(_ODD_LINES)
    if way == "compared":
        return draw(_COMPARED_LINES)
    found = draw(_GOOD)
    if way == "twice":
        found.append(draw(_spelling(found[0])))
    return found

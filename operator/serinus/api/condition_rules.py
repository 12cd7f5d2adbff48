r"""What :func:`parse_abort_condition` refuses, as CEL rules: ``kubectl apply`` refuses the same lines.

The API server evaluates them also on lines that the pattern refuses, so that somebody who writes ``> .5%`` reads what
to write, and not only a regular expression.
"""

from typing import Any, Final

from serinus.api.abort_condition import COMPARED, FORM_ADVICE, PATTERN
from serinus.api.metric_names import MISNOMERS, Misnomer
from serinus.api.schema import cel_text, matches, rule


def _has(pattern: str) -> str:
    return matches("self", pattern)


def _first(pattern: str) -> str:
    return f"self.find({cel_text(pattern)})"


_WELL_FORMED: Final = _has(PATTERN)
_FORM: Final = rule(
    _WELL_FORMED,
    FORM_ADVICE,
    computed=_has(r"[<>=]\s*[.][0-9]")
    + " ? 'write 0' + "
    + _first(r"[.][0-9]+\s*(ms|s|%)?")
    + f" : {cel_text(FORM_ADVICE)}",
)

_IS_COMPARED: Final = _has(COMPARED)
_TIMES: Final = "(latency|ttft|tpot|e2e_latency|queue_time)_p"
_IS_LATENCY: Final = _has(rf"^\s*{_TIMES}[0-9]+\s*[<>]")
_HAS_LENGTH: Final = _has(rf"^\s*{_TIMES}[0-9]+\s*>=?\s*[0-9.]*[1-9][0-9.]*\s*m?s\s*$")
_HAS_QUANTILE: Final = _has(rf"^\s*{_TIMES}[5-9][0-9]{{1,3}}\s*[<>]")
_PLAIN_NUMBER: Final = _first(r"[0-9]+([.][0-9]+)?\s*$")
_LATENCY_ADVICE: Final = "a latency is bad when it is high: write > or >= and a limit in ms or s above 0, such as 200ms"
_FORGOT_UNIT: Final = _has(r">=?\s*[0-9]*[1-9][0-9]*([.][0-9]+)?\s*$")
_LATENCY: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_LATENCY} || {_IS_COMPARED} || {_HAS_LENGTH}",
    _LATENCY_ADVICE,
    computed=f"{_FORGOT_UNIT} ? 'write ' + {_PLAIN_NUMBER}.trim() + 'ms or ' + {_PLAIN_NUMBER}.trim()"
    f" + 's: a latency needs a limit in ms or s' : {cel_text(_LATENCY_ADVICE)}",
)
_QUANTILE: Final = rule(
    f"!{_IS_LATENCY} || {_HAS_QUANTILE}",
    "quantiles from latency_p50 to latency_p9999 can be judged, such as latency_p95",
    computed=f"'quantiles from ' + {_first(_TIMES)} + '50 to ' + {_first(_TIMES)} + '9999 can be judged, such as '"
    f" + {_first(_TIMES)} + '95'",
)

_RATES: Final = "(error|client_error|unanswered|preemption|abort)_rate"
_IS_RATE: Final = _has(rf"^\s*{_RATES}\s*[<>]")
_HAS_PROPORTION: Final = _has(
    rf"^\s*{_RATES}\s*>=?\s*(stable\s*[+]\s*)?(0*[0-9]{{1,2}}([.][0-9]+)?\s*%|0+([.][0-9]+)?)\s*$"
)
_HAS_MORE_THAN_NOTHING: Final = _has(r">=?\s*(stable\s*[+]\s*)?[0-9.]*[1-9]")
_IS_FACTOR: Final = _has(r"x\s*stable\s*$")
_FORGOT_PERCENT: Final = _has(r"[<>]=?\s*(stable\s*[+]\s*)?[1-9][0-9]?([.][0-9]+)?\s*$")
_RATE_ADVICE: Final = "a rate is bad when it is high: write > or >= and a percentage or a ratio between 0 and 1"
_RATE: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_RATE} || {_IS_FACTOR} || {_HAS_PROPORTION} && {_HAS_MORE_THAN_NOTHING}",
    f"{_RATE_ADVICE}, such as 0.5%",
    computed=f"'{_RATE_ADVICE}, such as ' + ({_FORGOT_PERCENT} ? {_PLAIN_NUMBER}.trim() + '%' : '0.5%')",
)


_IS_SPEED: Final = _has(r"^\s*tokens_per_second\s*[<>]")
_SPEED: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_SPEED} || {_IS_COMPARED} || "
    + _has(r"^\s*tokens_per_second\s*<=?\s*[0-9.]*[1-9][0-9.]*\s*$"),
    "tokens_per_second is bad when it is low: write < or <= and a number above 0, such as 20",
)

_COMPARED_LATENCY: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_LATENCY} || !{_IS_COMPARED} || "
    + _has(rf"^\s*{_TIMES}[0-9]+\s*>=?\s*0*[1-9][0-9]*([.][0-9]+)?\s*x"),
    "compare a latency with a factor of 1 or more, such as > 1.2x stable",
)
_COMPARED_RATE: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_RATE} || !{_IS_FACTOR}",
    "compare a rate with a margin, such as > stable + 0.5%",
)
_COMPARED_QUERY: Final = rule(
    f"!{_WELL_FORMED} || !{_IS_COMPARED} || {_IS_LATENCY} || {_IS_RATE}",
    "only latencies and rates of requests are compared with the stable version",
)


def _misnomer(one: Misnomer) -> dict[str, Any]:
    refused = "!" + _has(rf"^\s*{one.pattern}\s*[<>=]")
    before, found, after = one.advice.partition("{digits}")
    if not found:
        return rule(refused, one.advice)
    digits = _first("[5-9][0-9]{0,3}([._-][0-9]{1,2})?") + "".join(f".replace('{mark}', '')" for mark in "._-")
    return rule(refused, one.advice.format(digits=95), computed=f"'{before}' + {digits} + '{after}'")


_COMPARISONS: Final = (_COMPARED_LATENCY, _COMPARED_RATE, _COMPARED_QUERY)
LINE_RULES: Final = (_FORM, _LATENCY, _QUANTILE, _RATE, _SPEED, *_COMPARISONS, *(_misnomer(one) for one in MISNOMERS))
"""Of one line of ``abortOn``."""


def _line(function: str, pattern: str) -> str:
    return f"line.{function}({cel_text(pattern)})"


_NUMBER: Final = _line("find", r"[0-9]+([.][0-9]+)?\s*(ms|s|%|x\s*stable)?\s*$")
# latency_p950 is latency_p95.
_NAME: Final = (
    "("
    + _line("matches", rf"^\s*{_TIMES}[0-9]+\s*[<>]")
    + " ? line.find('[a-z0-9_]+_p[0-9]*[1-9]') : line.find('[a-z][a-z0-9_]*'))"
)
_IN_MILLISECONDS: Final = _line("matches", r"ms\s*$")
_IN_PERCENT: Final = _line("matches", r"%\s*$")
# The limit in units of 1e-12, as digits: 200ms and 0.2s, 1% and 0.01 are equal, and no division rounds.
_LIMIT: Final = (
    f"({_NUMBER}.find('^[0-9]+')"
    f" + ({_NUMBER}.find('[.][0-9]+').replace('.', '') + '000000000').substring(0, 9)"
    f" + ({_IN_MILLISECONDS} ? '' : {_IN_PERCENT} ? '0' : '000')).find('[1-9][0-9]*$')"
)

_KIND: Final = f"({_line('matches', COMPARED)} ? 'stable' : '')"

LIST_RULES: Final = (
    rule(
        f"[self.map(line, {_NAME} + line.find('[<>]=?') + {_KIND} + {_LIMIT})]"
        ".all(meanings, meanings.all(one, meanings.indexOf(one) == meanings.lastIndexOf(one)))",
        "two lines are one condition in two spellings, such as 200ms and 0.2s: keep one of them",
    ),
)
"""Of the whole ``abortOn``: no condition stands there twice, however it is spelled."""

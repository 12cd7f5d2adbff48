"""Names that other tools give the standard metrics: refused in ``abortOn``, with the name that is meant.

A name that is not standard is a query of the administrator's, so only names that can hardly mean one are listed here.
"""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"^[\t\n\f\r ]*([^\t\n\f\r <>=]+)[\t\n\f\r ]*[<>=]")
_QUANTILE: Final = re.compile(r"[5-9][0-9]{0,3}(?:[._-][0-9]{1,2})?")
_AVERAGE: Final = "avg|average|mean"


@dataclass(frozen=True, slots=True)
class Misnomer:
    """A family of names for one standard metric.

    Attributes:
        pattern: a regular expression of the whole name, which RE2 and Python's re read alike.
        advice: what to write instead, as a sentence's end; ``{digits}`` is the quantile that the name has.
    """

    pattern: str
    advice: str


MISNOMERS: Final = (
    Misnomer(
        r"(p[5-9][0-9]{1,3}[_-]?latency|latency[_-]?[5-9][0-9]{1,3}|latency-p[5-9][0-9]{1,3}"
        r"|latency[_-]p[5-9][0-9][._-][0-9]{1,2}|p[5-9][0-9]{1,3}|latency_p[5-9][0-9]{1,3}_(ms|s|seconds)"
        r"|p[5-9][0-9]{1,3}_latency_(ms|s|seconds)|(request|response)_(time|duration)_p[5-9][0-9]{1,3})",
        "did you mean latency_p{digits}?",
    ),
    Misnomer(
        rf"(latency|response[_-]time|request[_-](duration|latency|time)|({_AVERAGE})[_-]latency|latency[_-]({_AVERAGE}))",
        "did you mean latency_p95? It counts the slow requests, which an average hides.",
    ),
    Misnomer(
        r"(request[_-])?success([_-]?rate|[_-]ratio)",
        "did you mean error_rate? It is the proportion that fails: error_rate > 0.5% for a success rate < 99.5%.",
    ),
    Misnomer(
        r"(error-rate|errorrate|error_rates|error[_-](ratio|percent|percentage)|(request|http|server)[_-]error[_-]rate"
        r"|fail(ure|ed|ing)?[_-](rate|ratio))",
        "did you mean error_rate?",
    ),
    Misnomer(
        r"(client[_-]error-rate|client-error[_-]rate|client[_-]error[_-](ratio|percent|percentage))",
        "did you mean client_error_rate?",
    ),
    Misnomer(
        r"(time_to_first_token(_seconds)?_p[5-9][0-9]{1,3}|p[5-9][0-9]{1,3}_(ttft|time_to_first_token)"
        r"|ttft_p[5-9][0-9]{1,3}_(ms|s|seconds))",
        "did you mean ttft_p{digits}?",
    ),
    Misnomer(rf"(ttft|time_to_first_token|({_AVERAGE})_ttft|ttft_({_AVERAGE}))", "did you mean ttft_p95?"),
    Misnomer(
        r"(time_per_output_token(_seconds)?_p[5-9][0-9]{1,3}|p[5-9][0-9]{1,3}_(tpot|time_per_output_token)"
        r"|tpot_p[5-9][0-9]{1,3}_(ms|s|seconds))",
        "did you mean tpot_p{digits}?",
    ),
    Misnomer(rf"(tpot|time_per_output_token|({_AVERAGE})_tpot|tpot_({_AVERAGE}))", "did you mean tpot_p95?"),
    Misnomer(
        r"((itl|inter_token_latency)(_p[5-9][0-9]{1,3})?)",
        "did you mean tpot_p95? It counts the requests with slow tokens: those of one answer are slow together.",
    ),
    Misnomer(r"(e2e|e2e_latency|e2e_request_latency)(_seconds)?", "did you mean e2e_latency_p95?"),
    Misnomer(r"(tps|tokens_per_sec|token_throughput|tokens_s)", "did you mean tokens_per_second?"),
)


def metric_meant(name: str) -> str:
    """Return what to write instead of a name, as a sentence's end; empty where the name is not a known misnomer."""
    for one in MISNOMERS:
        if re.fullmatch(one.pattern, name):
            found = _QUANTILE.search(name)
            return one.advice.format(digits=re.sub(r"[._-]", "", found[0]) if found else "")
    return ""


def name_in(line: str) -> str:
    """Return what stands left of the comparison of a condition, whatever its form; empty where nothing does."""
    found = _NAME.match(line)
    return found[1] if found else ""

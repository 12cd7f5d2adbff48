"""Invalid manifests that the CRDs must reject, each with the field and message that the rejection must contain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from support.manifests.builders import GONE, Manifest, changed, model_version, rollout


@dataclass(frozen=True, slots=True)
class Refused:
    """One invalid manifest.

    Attributes:
        title: what is wrong with it.
        manifest: the whole object.
        field: the path that the rejection must name.
        message: text that the rejection must contain.
        server_only: why the operator's parser accepts it; empty if the parser rejects it as well.
    """

    title: str
    manifest: Manifest
    field: str
    message: str
    server_only: str = ""


_STAGE: Final = "spec.stages[1]"
_LINE: Final = f"{_STAGE}.abortOn[0]"
_TEST: Final = "spec.stages[0].tests[0]"
_HTTP: Final = f"{_TEST}.http"
_STAGED: Final = {"name": "half", "traffic": "50%", "duration": "1h", "abortOn": ["error_rate > 1%"]}
_JOB: Final[Manifest] = {"template": {"spec": {"template": {"spec": {}}}}}


def _plan(title: str, changes: Mapping[str, Any], field: str, message: str, server_only: str = "") -> Refused:
    return Refused(title, rollout(changes), field, message, server_only)


def _version(title: str, changes: Mapping[str, Any], field: str, message: str, server_only: str = "") -> Refused:
    return Refused(title, model_version(changes), field, message, server_only)


_TOP_LEVEL: Final = (
    _plan("a Rollout without a spec", {"spec": GONE}, "spec", "Required value"),
    _plan("a Rollout without a model", {"spec.model": GONE}, "spec.model", "Required value"),
    _plan("a Rollout without a version", {"spec.version": GONE}, "spec.version", "Required value"),
    _plan("a Rollout without a route", {"spec.route": GONE}, "spec.route", "Required value"),
    _plan("a Rollout without a plan", {"spec.stages": GONE}, "spec.stages", "Required value"),
    _plan("a route of no kind", {"spec.route": {}}, "spec.route", "name exactly one of httpRoute, grpcRoute"),
    _plan(
        "a route of two kinds",
        {"spec.route": {"httpRoute": {"name": "fraud"}, "grpcRoute": {"name": "fraud"}}},
        "spec.route",
        "name exactly one of httpRoute, grpcRoute",
    ),
    _plan("a route without a name", {"spec.route.httpRoute": {}}, "spec.route.httpRoute.name", "Required value"),
    _plan("a model's name in capitals", {"spec.model": "Fraud"}, "spec.model", "should match '^[a-z0-9]"),
    _plan(
        "a model's name with a dot",
        {"spec.model": "fraud.detector"},
        "spec.model",
        "should match '^[a-z0-9]",
    ),
    _plan("a model's name of 64 letters", {"spec.model": "f" * 64}, "spec.model", "63"),
    _plan("a version of two numbers", {"spec.version": "2.3"}, "spec.version", r"should match '^v?(0|[1-9]"),
    _plan("a version with build metadata", {"spec.version": "2.3.1+gpu"}, "spec.version", "should match '^v?"),
    _plan("a version with a leading zero", {"spec.version": "2.03.1"}, "spec.version", "should match '^v?"),
    _plan("a prerelease with a leading zero", {"spec.version": "2.3.1-rc.01"}, "spec.version", "should match '^v?"),
    _plan(
        "a version with the name of its model",
        {"spec.version": "fraud-detector-v2.3.1"},
        "spec.version",
        "write 2.3.1, without the name of the model",
    ),
    _plan("a version of two numbers, with advice", {"spec.version": "2.3"}, "spec.version", "write 2.3.0"),
    _plan("a version with build metadata, with advice", {"spec.version": "2.3.1+gpu"}, "spec.version", "write 2.3.1:"),
    _plan(
        "a target with the name of its model",
        {"spec.rollbackTo": "fraud-detector-v2.2.4-rc.1"},
        "spec.rollbackTo",
        "write 2.2.4-rc.1, without",
    ),
    _plan(
        "a version that is a word", {"spec.version": "latest"}, "spec.version", "write a SemVer 2.0 version, such as"
    ),
    _plan("a version that YAML reads as a number", {"spec.version": 2.3}, "spec.version", "must be of type string"),
    _plan("a rollback target that is a word", {"spec.rollbackTo": "latest"}, "spec.rollbackTo", "should match '^v?"),
    _plan("a misspelt field", {"spec.rollbackto": "2.2.4"}, "spec.rollbackto", "unknown field"),
    _plan("a metric source by address", {"spec.metrics": {"source": "http://p:9090"}}, "spec.metrics.source", "match"),
    _plan("guards without quotes, which YAML takes for false", {"spec.guards": False}, "spec.guards", "string"),
    _plan("guards of another word", {"spec.guards": "Never"}, "spec.guards", "Unsupported value"),
    _plan("a preset that is not a name", {"spec.metrics": {"preset": "Contour!"}}, "spec.metrics.preset", "match"),
    _plan(
        "an interval without a unit", {"spec.metrics": {"interval": "10"}}, "spec.metrics.interval", "([0-9]{1,7}s)?"
    ),
    _plan("a window in days", {"spec.metrics": {"window": "1d"}}, "spec.metrics.window", "([0-9]{1,7}s)?"),
)

_STAGES: Final = (
    _plan("a plan without stages", {"spec.stages": []}, "spec.stages", "at least 1 items"),
    _plan("a stage without a name", {f"{_STAGE}.name": GONE}, f"{_STAGE}.name", "Required value"),
    _plan("a stage without a share", {f"{_STAGE}.traffic": GONE}, f"{_STAGE}.traffic", "Required value"),
    _plan("a share without %", {f"{_STAGE}.traffic": "50"}, f"{_STAGE}.traffic", "should match '^(100"),
    _plan("a share as a number", {f"{_STAGE}.traffic": 5}, f"{_STAGE}.traffic", "write 5%"),
    _plan("a share as the number 0", {"spec.stages[0].traffic": 0}, "spec.stages[0].traffic", "write 0%"),
    _plan("a share as the number 100", {"spec.stages[2].traffic": 100}, "spec.stages[2].traffic", "write 100%"),
    _plan(
        "a share as a number above 100",
        {f"{_STAGE}.traffic": 101},
        f"{_STAGE}.traffic",
        "write a percentage between 0% and",
    ),
    _plan(
        "a share as a negative number", {f"{_STAGE}.traffic": -5}, f"{_STAGE}.traffic", "write a percentage between 0%"
    ),
    _plan(
        "a share as a truth value", {f"{_STAGE}.traffic": True}, f"{_STAGE}.traffic", "must be of type integer,string"
    ),
    _plan("a share without a leading 0", {f"{_STAGE}.traffic": ".5%"}, f"{_STAGE}.traffic", "write 0.5%"),
    _plan("a share without 0 and %", {f"{_STAGE}.traffic": ".25"}, f"{_STAGE}.traffic", "write 0.25%"),
    _plan("a share with a blank", {f"{_STAGE}.traffic": "12.5 %"}, f"{_STAGE}.traffic", "write 12.5%"),
    _plan("a share of digits of another script", {f"{_STAGE}.traffic": "\u0665%"}, f"{_STAGE}.traffic", "write a perc"),
    _plan("a share as a text without %", {f"{_STAGE}.traffic": "2.5"}, f"{_STAGE}.traffic", "write 2.5%"),
    _plan(
        "a share in words", {f"{_STAGE}.traffic": "5 percent"}, f"{_STAGE}.traffic", "write a percentage between 0% and"
    ),
    _plan(
        "a share as a number with a point",
        {f"{_STAGE}.traffic": 0.5},
        f"{_STAGE}.traffic",
        'must be of type integer,string: "number"',
    ),
    _plan("a share of three decimals", {f"{_STAGE}.traffic": "0.001%"}, f"{_STAGE}.traffic", "should match '^(100"),
    _plan("a share above 100 %", {f"{_STAGE}.traffic": "101%"}, f"{_STAGE}.traffic", "should match '^(100"),
    _plan("a negative share", {f"{_STAGE}.traffic": "-5%"}, f"{_STAGE}.traffic", "should match '^(100"),
    _plan("a duration in words", {f"{_STAGE}.duration": "two hours"}, f"{_STAGE}.duration", "([0-9]{1,6}h)?"),
    _plan("a duration with a fraction", {f"{_STAGE}.duration": "1.5h"}, f"{_STAGE}.duration", "([0-9]{1,6}h)?"),
    _plan(
        "a duration with a fraction, with advice",
        {f"{_STAGE}.duration": "1.5h"},
        f"{_STAGE}.duration",
        "use hours, minutes and seconds, such as 2h, 1h30m or 10s",
    ),
    _plan("a time limit in days", {f"{_STAGE}.maxDuration": "1d"}, f"{_STAGE}.maxDuration", "use hours, minutes and"),
    _plan("an empty duration", {f"{_STAGE}.duration": ""}, f"{_STAGE}.duration", "1 chars long"),
    _plan("an unknown approval", {f"{_STAGE}.approval": "Maybe"}, f"{_STAGE}.approval", '"NotRequired", "Required"'),
    _plan("an unknown judgement", {f"{_STAGE}.judgement": "Bayes"}, f"{_STAGE}.judgement", '"Observed", "Sequential"'),
    _plan("an unknown promotion", {f"{_STAGE}.promotion": "Never"}, f"{_STAGE}.promotion", '"Certified", "Observed"'),
    _plan("an unknown timeout", {f"{_STAGE}.onTimeout": "Pray"}, f"{_STAGE}.onTimeout", '"Hold", "Rollback"'),
    _plan("minRequests of 0", {f"{_STAGE}.minRequests": 0}, f"{_STAGE}.minRequests", "greater than or equal to 1"),
    _plan("a burst of 21", {f"{_STAGE}.burst": 21}, f"{_STAGE}.burst", "less than or equal to 20"),
    _plan(
        "stages with decreasing traffic",
        {_STAGE + ".traffic": "60%", "spec.stages[3]": {**_STAGED, "name": "last", "traffic": "100%"}}
        | {"spec.stages[2].traffic": "50%", "spec.stages[2].bake": GONE, "spec.stages[3].duration": GONE},
        "spec.stages",
        "stages must stand in rising order of traffic",
    ),
    _plan(
        "a plan that ends short of 100 %",
        {"spec.stages[2].traffic": "50%", "spec.stages[2].bake": GONE},
        "spec.stages",
        "the last stage must have 100% traffic",
    ),
    _plan(
        "a plan with two ends",
        {f"{_STAGE}.traffic": "100%", f"{_STAGE}.duration": GONE},
        "spec.stages",
        "only the last stage may have 100% traffic",
    ),
    _plan("two stages of one name", {f"{_STAGE}.name": "staging"}, f"{_STAGE}", "Duplicate value"),
    _plan("a bake in the middle", {f"{_STAGE}.bake": "1h"}, "spec.stages", "bake belongs to the last stage"),
    _plan(
        "a duration at the end",
        {"spec.stages[2].duration": "1h"},
        "spec.stages",
        "the last stage has bake instead of duration",
    ),
    _plan(
        "an approval before anything runs",
        {"spec.stages[0].approval": "Required"},
        "spec.stages",
        "approval lets a run into a stage: put a stage at 0% before the one that needs it",
    ),
    _plan("17 stages", {"spec.stages": [_STAGED] * 17}, "spec.stages", "at most 16 items"),
    _plan(
        "a time limit shorter than the watch",
        {f"{_STAGE}.maxDuration": "1h"},
        f"{_STAGE}.maxDuration",
        "maxDuration must not be shorter than what the stage must watch",
    ),
    _plan(
        "a time limit shorter than the bake",
        {"spec.stages[2].maxDuration": "29m"},
        "spec.stages[2].maxDuration",
        "maxDuration must not be shorter than what the stage must watch",
    ),
    _plan(
        "a certificate with the windowed judgement",
        {f"{_STAGE}.promotion": "Certified", f"{_STAGE}.judgement": "Observed"},
        f"{_STAGE}.promotion",
        "only the Sequential judgement can certify",
    ),
)

_LINES: Final = (
    ("a latency of nothing", "latency_p95 > 0ms", "a limit in ms or s above 0"),
    ("a latency of nothing in decimals", "latency_p95 >= 0.000s", "a limit in ms or s above 0"),
    ("a quantile below the median", "latency_p20 > 200ms", "quantiles from latency_p50"),
    ("a quantile near nothing", "latency_p05 > 1s", "quantiles from latency_p50"),
    ("a quantile of all", "latency_p100 > 1s", "quantiles from latency_p50"),
    ("a quantile of one digit", "latency_p9 > 1s", "quantiles from latency_p50"),
    ("a quantile of five digits", "latency_p99999 > 1s", "quantiles from latency_p50 to latency_p9999"),
    ("an error rate of nothing", "error_rate > 0%", "a percentage or a ratio between 0 and 1"),
    ("an error rate of everything", "error_rate > 100%", "a percentage or a ratio between 0 and 1"),
    ("an error rate of 1, which is 100 %", "error_rate > 1", "between 0 and 1, such as 1%"),
    ("a client error rate above 1", "client_error_rate >= 1.5", "between 0 and 1, such as 1.5%"),
    ("an error rate above all", "error_rate > 250", "between 0 and 1, such as 0.5%"),
    ("a limit without a digit before its point", "error_rate > .5%", "write 0.5%"),
    ("such a limit with a space behind it", "error_rate > .5% ", "write 0.5%"),
    ("a latency without a digit before its point", "latency_p95>.2s", "write 0.2s"),
    ("a condition in prose", "errors above 1%", "write a metric, >, >=, < or <=, and a limit"),
    ("a quantile with a point", "latency_p99.9 > 1s", "did you mean latency_p999?"),
    ("a quantile before its metric", "p95_latency > 200ms", "did you mean latency_p95?"),
    ("a quantile without its p", "latency_99>1s", "did you mean latency_p99?"),
    ("a quantile with a hyphen", "latency-p95 > 200ms", "did you mean latency_p"),
    ("an average latency", "latency_avg > 200ms", "did you mean latency_p95? It counts the slow requests"),
    ("a latency of no quantile", "latency > 200ms", "did you mean latency_p95?"),
    ("Flagger's latency", "request-duration > 500", "did you mean latency_p95?"),
    ("Flagger's success rate", "request-success-rate < 99", "did you mean error_rate? It is the proportion that fails"),
    ("a success rate", "success_rate < 99.5%", "error_rate > 0.5% for a success rate < 99.5%"),
    ("an error rate with hyphens", "error-rate > 1%", "did you mean error_rate?"),
    ("an error ratio", "error_ratio > 0.01", "did you mean error_rate?"),
    ("a quantile alone", "p99 > 200ms", "did you mean latency_p99?"),
    ("a latency with its unit in its name", "latency_p95_ms > 200", "did you mean latency_p95?"),
    ("a response time", "response_time > 200ms", "did you mean latency_p95?"),
    ("a failure rate", "failure_rate > 1%", "did you mean error_rate?"),
    ("a latency compared by a margin", "latency_p95 > stable + 20%", "a factor of 1 or more, such as"),
    ("a latency below the stable one", "latency_p95 > 0.8x stable", "a factor of 1 or more, such as"),
    ("an error rate compared by a factor", "error_rate > 2x stable", "a margin, such as"),
    ("an error rate compared by nothing", "error_rate > stable + 0%", "a percentage or a ratio between 0 and 1"),
    ("an error rate compared by everything", "error_rate > stable + 100%", "a percentage or a ratio between 0 and 1"),
    ("unanswered requests as a whole number", "unanswered_rate > 1", "such as 1%"),
    ("a comparison without a percent sign", "error_rate > stable + 2", "between 0 and 1, such as 2%"),
    ("a comparison of a query", "drift_score > stable + 0.1", "only latencies and rates of requests are compared"),
    ("a comparison without a margin", "error_rate > stable", "write a metric, >, >=, < or <=, and a limit"),
    ("a comparison with another version", "error_rate > canary + 1%", "write a metric, >, >=, < or <=, and a limit"),
    ("a factor of nothing", "latency_p95 > 1.2x", "write a metric, >, >=, < or <=, and a limit"),
    ("a margin in ms", "latency_p95 > stable + 20ms", "write a metric, >, >=, < or <=, and a limit"),
    ("a client error rate with hyphens", "client-error-rate > 1%", "did you mean client_error_rate?"),
)

_TWICE: Final = (
    ("error_rate > 1%", "error_rate>1%"),
    ("error_rate > 1%", "error_rate > 1 %"),
    ("error_rate > 1%", " error_rate > 1.000%"),
    ("error_rate > 1%", "error_rate > 0.01"),
    ("error_rate > 0.7%", "error_rate > 0.007"),
    ("client_error_rate >= 10%", "client_error_rate >= 0.1"),
    ("latency_p95 > 200ms", "latency_p95 > 0.2s"),
    ("latency_p95 > 200ms", "latency_p950 > 0200ms"),
    ("latency_p999 > 1.5s", "latency_p999\t>\t1500 ms"),
    ("drift_score > 5%", "drift_score > 0.05"),
    ("drift_score < 2s", "drift_score < 2"),
    ("error_rate > stable + 1%", "error_rate>stable+0.010"),
    ("latency_p95 > 1.2x stable", "latency_p950 > 1.20 x stable"),
    ("backlog > 999999999999", "backlog > 999999999999.000000000s"),
)


def _line(story: str, line: str, words: str) -> Refused:
    return _plan(story, {f"{_STAGE}.abortOn": [line]}, _LINE, words)


def _twice(one: str, other: str) -> Refused:
    return _plan(
        f"{one} and {other}",
        {f"{_STAGE}.abortOn": ["score_floor < 1", one, other]},
        f"{_STAGE}.abortOn",
        "two lines are one condition in two spellings",
    )


_CONDITIONS: Final = (
    _plan(
        "a comparison at 100 %",
        {"spec.stages[2].abortOn": ["error_rate > stable + 1%"]},
        "spec.stages[2].abortOn",
        "at 100% the stable version has no requests to compare with",
    ),
    _plan(
        "a comparison that is to be certified",
        {f"{_STAGE}.abortOn": ["latency_p95 > 1.2x stable"], f"{_STAGE}.promotion": "Certified"},
        f"{_STAGE}.promotion",
        "cannot be certified",
    ),
    _plan(
        "traffic without abortOn",
        {f"{_STAGE}.abortOn": GONE},
        f"{_STAGE}.abortOn",
        'say when canary is bad, such as abortOn: ["error_rate > 1%"]',
    ),
    _plan("traffic with no condition", {f"{_STAGE}.abortOn": []}, f"{_STAGE}.abortOn", "with traffic needs abortOn"),
    _plan(
        "a condition without traffic",
        {"spec.stages[0].abortOn": ["error_rate > 1%"]},
        "spec.stages[0].abortOn",
        "a stage at 0% has nothing to judge",
    ),
    _plan(
        "a condition at 0.00 %",
        {"spec.stages[0].traffic": "0.00%", "spec.stages[0].abortOn": ["error_rate > 1%"]},
        "spec.stages[0].abortOn",
        "a stage at 0% has nothing to judge",
    ),
    _plan("a condition without a limit", {f"{_STAGE}.abortOn": ["latency_p95 >"]}, f"{_STAGE}.abortOn[0]", "match"),
    _plan("a condition with =", {f"{_STAGE}.abortOn": ["error_rate = 1%"]}, f"{_STAGE}.abortOn[0]", "(>=|>|<=|<)"),
    _plan("a condition in minutes", {f"{_STAGE}.abortOn": ["latency_p95 > 1m"]}, f"{_STAGE}.abortOn[0]", "(ms|s|%)?"),
    _plan("inline PromQL", {f"{_STAGE}.abortOn": ["rate(x[1m]) > 1"]}, f"{_STAGE}.abortOn[0]", "should match"),
    _plan("a negative limit", {f"{_STAGE}.abortOn": ["drift > -1"]}, f"{_STAGE}.abortOn[0]", "should match"),
    *(_line(story, line, words) for story, line, words in _LINES),
    *(_twice(*lines) for lines in _TWICE),
    _plan("a latency in percent", {f"{_STAGE}.abortOn": ["latency_p95 > 5%"]}, _LINE, "a limit in ms or s"),
    *(
        _plan(
            f"{name} of a preset without it",
            {"spec.metrics": {"preset": preset}, f"{_STAGE}.abortOn": [line]},
            "spec.stages",
            f"preset {preset} has no {name}; presets that have it: {presets}",
        )
        for name, preset, line, presets in (
            ("ttft", "tgi", "ttft_p95 > 800ms", "sglang, triton, vllm"),
            ("tpot", "triton", "tpot_p95 > 60ms", "tgi, vllm"),
            ("e2e_latency", "istio", "e2e_latency_p95 > 5s", "sglang, tgi, vllm"),
            ("queue_time", "kserve", "queue_time_p95 > 1s", "sglang, tgi, vllm"),
            ("preemption_rate", "tgi", "preemption_rate > 1%", "vllm"),
            ("abort_rate", "traefik-3-2", "abort_rate > 1%", "tgi, triton, vllm"),
            ("tokens_per_second", "triton", "tokens_per_second < 20", "tgi, vllm"),
        )
    ),
    _plan("a time of tokens by the gateway", {f"{_STAGE}.abortOn": ["ttft_p95 > 1s"]}, "spec.stages", "contour has no"),
    _plan("a time of tokens in percent", {f"{_STAGE}.abortOn": ["ttft_p95 > 5%"]}, _LINE, "a limit in ms or s"),
    _plan(
        "a quantile of tokens below the median",
        {f"{_STAGE}.abortOn": ["tpot_p05 > 5ms"]},
        _LINE,
        "quantiles from tpot_p50",
    ),
    _plan("a speed that must be low", {f"{_STAGE}.abortOn": ["tokens_per_second > 5"]}, _LINE, "write < or <="),
    _plan("a speed with a unit", {f"{_STAGE}.abortOn": ["tokens_per_second < 5s"]}, _LINE, "a number above 0"),
    _plan("no speed", {f"{_STAGE}.abortOn": ["tokens_per_second < 0"]}, _LINE, "a number above 0"),
    _plan(
        "a speed that is compared",
        {f"{_STAGE}.abortOn": ["tokens_per_second < 2x stable"]},
        _LINE,
        "only latencies and rates",
    ),
    _plan("another name of a time of tokens", {f"{_STAGE}.abortOn": ["ttft > 1s"]}, _LINE, "did you mean ttft_p95?"),
    *(
        _plan(f"another name: {line}", {f"{_STAGE}.abortOn": [line]}, _LINE, f"did you mean {meant}?")
        for line, meant in (
            ("tpot > 60ms", "tpot_p95"),
            ("p95_tpot > 60ms", "tpot_p95"),
            ("inter_token_latency_p95 > 60ms", "tpot_p95"),
            ("e2e > 5s", "e2e_latency_p95"),
            ("tps < 5", "tokens_per_second"),
        )
    ),
    _plan("a warm-up at 0%", {"spec.stages[0].warmup": {"requests": 5}}, "spec.stages[0].warmup", "no traffic to warm"),
    _plan(
        "a warm-up of two kinds", {f"{_STAGE}.warmup": {"requests": 5, "readyFor": "1m"}}, f"{_STAGE}.warmup", "one of"
    ),
    _plan("an empty warm-up", {f"{_STAGE}.warmup": {}}, f"{_STAGE}.warmup", "exactly one of them"),
    _plan("a warm-up of no request", {f"{_STAGE}.warmup": {"requests": 0}}, f"{_STAGE}.warmup.requests", "1"),
    _plan(
        "a warm-up without a unit", {f"{_STAGE}.warmup": {"readyFor": "5"}}, f"{_STAGE}.warmup.readyFor", "give a unit"
    ),
    _plan("a latency without a unit", {f"{_STAGE}.abortOn": ["latency_p95 > 200"]}, _LINE, "write 200ms or 200s"),
    _plan(
        "a latency with a space for a unit", {f"{_STAGE}.abortOn": ["latency_p95 > 1.5 "]}, _LINE, "a limit in ms or s"
    ),
    _plan("a latency that must be high", {f"{_STAGE}.abortOn": ["latency_p99 <= 1s"]}, _LINE, "a latency is bad when"),
    _plan("an error rate in seconds", {f"{_STAGE}.abortOn": ["error_rate > 1s"]}, _LINE, "a percentage or a ratio"),
    _plan(
        "a client error rate in ms", {f"{_STAGE}.abortOn": ["client_error_rate>1ms"]}, _LINE, "a percentage or a ratio"
    ),
    _plan(
        "an error rate that must be high",
        {f"{_STAGE}.abortOn": ["error_rate < 1%"]},
        _LINE,
        "a rate is bad when",
    ),
    _plan(
        "the same condition twice",
        {f"{_STAGE}.abortOn": ["error_rate > 1%", "error_rate > 1%"]},
        f"{_STAGE}.abortOn[1]",
        "Duplicate value",
    ),
    _plan(
        "nine conditions",
        {f"{_STAGE}.abortOn": [f"query_{index} > 1" for index in range(9)]},
        f"{_STAGE}.abortOn",
        "at most 8 items",
    ),
)

_TESTS: Final = (
    _plan("a test with neither http nor job", {f"{_TEST}.http": GONE}, _TEST, "a test is either http or job"),
    _plan("a test with both http and job", {f"{_TEST}.job": _JOB}, _TEST, "a test is either http or job"),
    _plan("a test without a name", {f"{_TEST}.name": GONE}, f"{_TEST}.name", "Required value"),
    _plan(
        "two tests of one name",
        {"spec.stages[0].tests[1]": {"name": "contract", "http": {"path": "/"}}},
        "spec.stages[0].tests[1]",
        "Duplicate value",
    ),
    _plan("a check of an absolute URL", {f"{_HTTP}.path": "http://10.0.0.1/"}, f"{_HTTP}.path", r"should match '^/"),
    _plan("a check without a path", {_HTTP: {}}, f"{_HTTP}.path", "Required value"),
    _plan("a check that deletes", {f"{_HTTP}.method": "DELETE"}, f"{_HTTP}.method", '"GET", "HEAD", "POST", "PUT"'),
    _plan(
        "a header that smuggles another",
        {f"{_HTTP}.headers": [{"name": "x-a", "value": "1\r\nHost: evil"}]},
        f"{_HTTP}.headers[0].value",
        "should match",
    ),
    _plan(
        "a header with a space in its name",
        {f"{_HTTP}.headers": [{"name": "x a", "value": "1"}]},
        f"{_HTTP}.headers[0].name",
        "should match",
    ),
    _plan(
        "one header twice",
        {f"{_HTTP}.headers": [{"name": "x-a", "value": "1"}, {"name": "x-a", "value": "2"}]},
        f"{_HTTP}.headers[1]",
        "Duplicate value",
    ),
    _plan(
        "a status that HTTP does not have",
        {f"{_HTTP}.expect": {"status": [99]}},
        f"{_HTTP}.expect.status[0]",
        "greater than or equal to 100",
    ),
    _plan("eleven attempts", {f"{_HTTP}.attempts": 11}, f"{_HTTP}.attempts", "less than or equal to 10"),
    _plan("a body over 64 KiB", {f"{_HTTP}.body": "x" * 65537}, f"{_HTTP}.body", "65536"),
    _plan(
        "a job without a template",
        {_TEST: {"name": "contract", "job": {}}},
        f"{_TEST}.job.template",
        "Required value",
    ),
    _plan(
        "a job template without a spec",
        {_TEST: {"name": "contract", "job": {"template": {"metadata": {}}}}},
        f"{_TEST}.job.template.spec",
        "Required value",
    ),
)

_STARTED: Final = "spec.training.startedAt"
_MODEL_VERSIONS: Final = (
    _version("a ModelVersion without a spec", {"spec": GONE}, "spec", "Required value"),
    _version("a ModelVersion without a model", {"spec.model": GONE}, "spec.model", "Required value"),
    _version("a ModelVersion without a version", {"spec.version": GONE}, "spec.version", "Required value"),
    _version(
        "a name of another version",
        {"metadata.name": "fraud-detector-v2.3.2"},
        "<nil>",
        "metadata.name must be fraud-detector-v2.3.1",
        "the rule is about metadata, which the parser of a spec does not see",
    ),
    _version(
        "a name that keeps the leading v",
        {"metadata.name": "fraud-detector-vv2.3.1", "spec.version": "v2.3.1"},
        "<nil>",
        "metadata.name must be fraud-detector-v2.3.1",
        "the rule is about metadata, which the parser of a spec does not see",
    ),
    _version("an artifact without an address", {"spec.artifact": {}}, "spec.artifact.uri", "Required value"),
    _version("an MD5 digest", {"spec.artifact.digest": "md5:" + "0" * 32}, "spec.artifact.digest", "sha256:"),
    _version("a digest in capitals", {"spec.artifact.digest": "sha256:" + "A" * 64}, "spec.artifact.digest", "sha256:"),
    _version("a negative size", {"spec.artifact.sizeBytes": -1}, "spec.artifact.sizeBytes", "equal to 0"),
    _version("a data set without an address", {"spec.trainingData": [{}]}, "spec.trainingData[0].uri", "Required"),
    _version(
        "a commit that is a branch",
        {"spec.lineage": {"code": {"repository": "https://git.example/fraud", "commit": "main"}}},
        "spec.lineage.code.commit",
        "should match '^[0-9a-f]{7,64}$'",
    ),
    _version("a run without an id", {"spec.lineage": {"run": {"system": "mlflow"}}}, "spec.lineage.run.id", "Required"),
    _version(
        "a hyperparameter that is a number",
        {"spec.lineage": {"hyperparameters": {"lr": 0.001}}},
        "spec.lineage.hyperparameters.lr",
        "must be of type string",
    ),
    _version(
        "a figure as a number", {"spec.metrics": [{"name": "f1", "value": 0.9}]}, "spec.metrics[0].value", "string"
    ),
    _version(
        "a figure as a word", {"spec.metrics": [{"name": "f1", "value": "good"}]}, "spec.metrics[0].value", "match"
    ),
    _version(
        "a signature of an unknown profile",
        {"spec.signature": {"profile": "graph", "inputs": [], "outputs": []}},
        "spec.signature.profile",
        'supported values: "chat", "columnar", "tensor"',
    ),
    _version(
        "an input twice",
        {"spec.signature": {"profile": "columnar", "inputs": [{"name": "a", "dtype": "int64"}] * 2, "outputs": []}},
        "spec.signature.inputs[1]",
        "Duplicate value",
    ),
    _version(
        "an input without a type",
        {"spec.signature": {"profile": "columnar", "inputs": [{"name": "a"}], "outputs": []}},
        "spec.signature.inputs[0].dtype",
        "Required value",
    ),
    _version("serving without a backend", {"spec.serving": {}}, "spec.serving.backendRef", "Required value"),
    _version(
        "a Service without a port",
        {"spec.serving.backendRef.port": GONE},
        "spec.serving.backendRef.port",
        "a Service backend needs a port",
    ),
    _version(
        "a version that no object can be named after",
        {"metadata.name": "fraud-detector-v2.3.1--", "spec.version": "2.3.1--"},
        "metadata.name",
        "a lowercase RFC 1123 subdomain",
    ),
    _version("a start in another calendar", {"spec.training": {"startedAt": "1.11.2026"}}, _STARTED, "should match"),
    _version("a day without a time", {"spec.training": {"startedAt": "2026-11-01"}}, _STARTED, "should match"),
    _version(
        "a day that there was not",
        {"spec.training": {"startedAt": "2026-02-29T06:00:00Z"}},
        _STARTED,
        "the calendar has no such day",
    ),
    _version("port 0", {"spec.serving.backendRef.port": 0}, "spec.serving.backendRef.port", "equal to 1"),
    _version("port 65536", {"spec.serving.backendRef.port": 65536}, "spec.serving.backendRef.port", "equal to 65535"),
    _version(
        "a backend's name in capitals", {"spec.serving.backendRef.name": "A"}, "spec.serving.backendRef.name", "["
    ),
    _version("a risk tier of 5", {"spec.governance": {"riskTier": 5}}, "spec.governance.riskTier", "equal to 4"),
    _version("a field of another kind", {"spec.stages": []}, "spec.stages", "unknown field"),
)

_ROUTE: Final = "spec.route.httpRoute"
_TEMPLATE: Final = f"{_ROUTE}.template"
_MATCH: Final = f"{_TEMPLATE}.matches[0]"
_PATH_ADVICE: Final = "write a path that begins with / and has no //"


def _managed(title: str, changes: Mapping[str, Any], field: str, message: str, server_only: str = "") -> Refused:
    route = {"name": "fraud", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
    plan = changed(rollout({"spec.route": {"httpRoute": route}}), changes)
    return Refused(title, plan, field, message, server_only)


def _mirror(title: str, changes: Mapping[str, Any], field: str, message: str) -> Refused:
    stage = {"name": "shadow", "traffic": "0%", "mirror": "10%", "abortOn": ["error_rate > 1%"]}
    return _managed(title, {"spec.stages[0]": stage, **changes}, field, message)


_SHADOW: Final = "spec.stages[0]"
_MIRRORS: Final = (
    _mirror("a mirror of nothing", {f"{_SHADOW}.mirror": "0.0%"}, f"{_SHADOW}.mirror", "leave mirror out, or write"),
    _mirror("a mirror above 100 %", {f"{_SHADOW}.mirror": "101%"}, f"{_SHADOW}.mirror", "should match '^(100"),
    _mirror("a mirror as a number", {f"{_SHADOW}.mirror": 10}, f"{_SHADOW}.mirror", 'string: "integer"'),
    _mirror(
        "a mirror that nothing judges", {f"{_SHADOW}.abortOn": GONE}, f"{_SHADOW}.abortOn", "say when shadow is bad"
    ),
    _mirror(
        "a mirror in a stage with traffic",
        {f"{_SHADOW}.traffic": "1%"},
        f"{_SHADOW}.mirror",
        "leave mirror out, or put a stage with mirror and traffic: 0% before it",
    ),
    _mirror(
        "a mirror in a route that is not managed",
        {"spec.route.httpRoute": {"name": "fraud"}},
        "spec.stages",
        "write route.httpRoute.managed: true with a template, or leave mirror out",
    ),
    _mirror(
        "a mirror in a route of another kind",
        {"spec.route": {"grpcRoute": {"name": "fraud"}}},
        "spec.stages",
        "mirror needs a route that the operator makes",
    ),
)
_MANAGED_ROUTES: Final = (
    _managed("a managed route without a template", {_TEMPLATE: GONE}, _ROUTE, "managed: true needs a template"),
    _managed(
        "a template of a route that is not managed", {f"{_ROUTE}.managed": GONE}, _TEMPLATE, "write managed: true"
    ),
    _managed("a template beside managed: false", {f"{_ROUTE}.managed": False}, _TEMPLATE, "write managed: true"),
    _managed(
        "a managed route with a rule's name",
        {f"{_ROUTE}.ruleName": "predict"},
        f"{_ROUTE}.ruleName",
        "a managed route has one rule: leave ruleName out",
    ),
    _managed(
        "a template without parents", {f"{_TEMPLATE}.parentRefs": GONE}, f"{_TEMPLATE}.parentRefs", "Required value"
    ),
    _managed(
        "a template with no parent", {f"{_TEMPLATE}.parentRefs": []}, f"{_TEMPLATE}.parentRefs", "at least 1 items"
    ),
    _managed(
        "a template with 33 parents",
        {f"{_TEMPLATE}.parentRefs": [{"name": f"g{number}"} for number in range(33)]},
        f"{_TEMPLATE}.parentRefs",
        "at most 32 items",
    ),
    _managed(
        "a parent that stands there twice",
        {f"{_TEMPLATE}.parentRefs": [{"name": "public"}, {"name": "public", "kind": "Gateway"}]},
        f"{_TEMPLATE}.parentRefs",
        "each parent stands there once",
    ),
    _managed(
        "a parent in a namespace in capitals",
        {f"{_TEMPLATE}.parentRefs[0].namespace": "Gateways"},
        f"{_TEMPLATE}.parentRefs[0].namespace",
        "should match",
    ),
    _managed(
        "a hostname with a port",
        {f"{_TEMPLATE}.hostnames": ["models.example.com:443"]},
        f"{_TEMPLATE}.hostnames[0]",
        "should match",
    ),
    _managed(
        "a template with 65 matches",
        {f"{_TEMPLATE}.matches": [{} for _ in range(65)]},
        f"{_TEMPLATE}.matches",
        "at most 64 items",
    ),
    _managed(
        "a path without a slash",
        {f"{_TEMPLATE}.matches": [{"path": {"value": "v2"}}]},
        f"{_MATCH}.path.value",
        _PATH_ADVICE,
    ),
    _managed(
        "a path that goes up",
        {f"{_TEMPLATE}.matches": [{"path": {"value": "/a/.."}}]},
        f"{_MATCH}.path.value",
        _PATH_ADVICE,
    ),
    _managed(
        "a path with a blank",
        {f"{_TEMPLATE}.matches": [{"path": {"value": "/a b"}}]},
        f"{_MATCH}.path.value",
        _PATH_ADVICE,
    ),
    _managed(
        "a match of an unknown method",
        {f"{_TEMPLATE}.matches": [{"method": "get"}]},
        f"{_MATCH}.method",
        'Unsupported value: "get"',
    ),
    _managed(
        "a header that is matched twice",
        {f"{_TEMPLATE}.matches": [{"headers": [{"name": "x", "value": "1"}, {"name": "x", "value": "2"}]}]},
        f"{_MATCH}.headers[1]",
        "Duplicate value",
    ),
    _managed(
        "the operator's own label",
        {f"{_TEMPLATE}.labels": {"app.kubernetes.io/managed-by": "argo"}},
        f"{_TEMPLATE}.labels",
        "the operator sets app.kubernetes.io/managed-by: leave it out",
    ),
    _managed(
        "a label that no label can have",
        {f"{_TEMPLATE}.labels": {"team": "payments ml"}},
        f"{_TEMPLATE}.labels.team",
        "should match",
    ),
    _managed(
        "a match with an unknown field",
        {f"{_TEMPLATE}.matches": [{"cookies": []}]},
        f"{_MATCH}.cookies",
        "unknown field",
    ),
)

REFUSED: Final = (*_TOP_LEVEL, *_MANAGED_ROUTES, *_MIRRORS, *_STAGES, *_CONDITIONS, *_TESTS, *_MODEL_VERSIONS)

"""The rules that a Rollout's fields must keep together, for the API server: what :class:`RolloutSpec` checks, in CEL.

``traffic`` is a plain string: before Kubernetes 1.34 the API server takes ``x-kubernetes-int-or-string`` for 3 MB of
text, whatever its maxLength, finds every rule that reads it too costly, and refuses the whole CRD.
"""

from typing import Any, Final

from serinus.api.abort_condition import COMPARED
from serinus.api.quantities import Duration, Share
from serinus.api.schema import matches, rule, rules

_SHARE: Final = Share.PATTERN
_NOTHING: Final = "^0+([.]0*)?%$"
_ALL: Final = "^100([.]0*)?%$"
_LAST: Final = "self.stages[size(self.stages) - 1]"


def _is(stage: str, pattern: str) -> str:
    return matches(f"{stage}.traffic", pattern)


def _at_least(field: str) -> str:
    """Return whether ``maxDuration`` is not shorter than a field; a malformed one is refused by its own rule."""
    readable = f"has(self.{field}) && {matches(f'self.{field}', Duration.PATTERN)}"
    return f"!({readable}) || duration(self.maxDuration) >= duration(self.{field})"


_WATCHED: Final = "(has(self.abortOn) && size(self.abortOn) > 0)"

_SHARE_ADVICE: Final = "write a percentage between 0% and 100% with at most two decimals, such as 5%"
_CLOSE: Final = ("self + '%'", "'0' + self", "'0' + self + '%'", "self.replace(' ', '')")
"""What somebody may have meant whose share is none: 5, .5%, .5 or 5 %."""

TRAFFIC: Final[dict[str, Any]] = rules(
    rule(
        matches("self", _SHARE),
        _SHARE_ADVICE,
        computed="".join(f"{matches(f'({one})', _SHARE)} ? 'write ' + {one} : " for one in _CLOSE)
        + f"'{_SHARE_ADVICE}'",
    )
)
"""The schema of ``traffic`` beside that of a share."""

_NOT_ALL: Final = f"!{matches('self.traffic', _ALL)}"
_NONE_COMPARED: Final = f"!has(self.abortOn) || self.abortOn.all(line, !{matches('line', COMPARED)})"

WARMUP_RULES: Final = (
    rule(
        "has(self.requests) != has(self.readyFor)",
        "warmup is either requests or readyFor: give exactly one of them",
    ),
)

TEST_RULES: Final = (rule("has(self.http) != has(self.job)", "a test is either http or job: give exactly one of them"),)

STAGE_RULES: Final = (
    rule(
        f"{matches('self.traffic', _NOTHING)} != {_WATCHED}",
        "a stage with traffic needs abortOn, a stage at 0% has nothing to judge",
        computed=f"'a stage with traffic needs abortOn, a stage at 0% has nothing to judge: ' + ({_WATCHED}"
        " ? 'leave abortOn out, or give ' + self.name + ' traffic'"
        " : 'say when ' + self.name + ' is bad, such as abortOn: [\"error_rate > 1%\"]')",
        field=".abortOn",
    ),
    rule(
        f"!has(self.warmup) || !{matches('self.traffic', _NOTHING)}",
        "a stage at 0% has no traffic to warm up with: leave warmup out",
        field=".warmup",
    ),
    rule(
        f"!has(self.maxDuration) || !{matches('self.maxDuration', Duration.PATTERN)}"
        f" || ({_at_least('duration')}) && ({_at_least('bake')})",
        "maxDuration must not be shorter than what the stage must watch (duration or bake)",
        field=".maxDuration",
    ),
    rule(
        "!has(self.promotion) || self.promotion != 'Certified'"
        " || !has(self.judgement)"
        " || self.judgement == 'Sequential'",
        "only the Sequential judgement can certify",
        field=".promotion",
    ),
    rule(
        f"{_NOT_ALL} || {_NONE_COMPARED}",
        "at 100% the stable version has no requests to compare with: give a limit such as error_rate > 1%",
        field=".abortOn",
    ),
    rule(
        f"!has(self.promotion) || self.promotion != 'Certified' || {_NONE_COMPARED}",
        "a comparison with the stable version cannot be certified: leave promotion out",
        field=".promotion",
    ),
)

SPEC_RULES: Final = (
    rule(
        f"!self.stages.all(s, {_is('s', _SHARE)}) || self.stages.map(s, double(s.traffic.replace('%', ''))).isSorted()",
        "stages must stand in rising order of traffic",
        field=".stages",
    ),
    rule(
        _is(_LAST, _ALL),
        "the last stage must have 100% traffic",
        field=".stages",
    ),
    rule(
        f"self.stages.all(s, {_is('s', _ALL)} || !has(s.bake))",
        "bake belongs to the last stage: give every other stage duration",
        field=".stages",
    ),
    rule(
        f"!has({_LAST}.duration)",
        "the last stage has bake instead of duration",
        field=".stages",
    ),
    rule(
        f"self.stages.filter(s, {_is('s', _ALL)}).size() <= 1",
        "only the last stage may have 100% traffic",
        field=".stages",
    ),
    rule(
        "!has(self.stages[0].approval) || self.stages[0].approval != 'Required'",
        "approval lets a run into a stage: put a stage at 0% before the one that needs it",
        field=".stages",
    ),
)

ONE_MODEL: Final = rule(
    "self.model == oldSelf.model",
    "spec.model cannot be changed, as the status and the records that wait in it are about one model:"
    " delete this Rollout and create another one",
    field=".model",
)

"""The rules that a Rollout's fields must keep together, for the API server: what :class:`RolloutSpec` checks, in CEL.

``x-kubernetes-int-or-string`` lets a number as ``traffic`` reach a rule, which refuses it and says what to write.
Before Kubernetes 1.34 the API server takes such a field for 3 MB of text, whatever its maxLength, and refuses a CRD
with a rule that reads all of it more than once for each stage. So these rules look at single characters, compare with
texts of their own and ask ``type(…) in [string]``: their cost is estimated without that length, that of ``matches``
and ``type(…) == string`` with it.
"""

from typing import Any, Final

from serinus.api.abort_condition import COMPARED
from serinus.api.quantities import Duration
from serinus.api.schema import matches, rule, rules

_LAST: Final = "self.stages[size(self.stages) - 1]"

_FORMS: Final = ("9%", "99%", "9.9%", "9.99%", "99.9%", "99.99%")
"""Of a share below 100%, each 9 being any digit: what the pattern of a share says."""

_NOTHING: Final = ("0%", "00%", "0.0%", "0.00%", "00.0%", "00.00%")
_ALL: Final = ("100%", "100.0%", "100.00%")


def _form(value: str) -> str:
    """Return the characters of a text, each digit as 9, of a longer text than any form the first eight."""
    return (
        f"[0, 1, 2, 3, 4, 5, 6, 7].filter(i, i < size({value})).map(i, {value}.charAt(i))"
        ".map(c, c >= '0' && c <= '9' ? '9' : c)"
    )


def _has_form(value: str, forms: tuple[str, ...]) -> str:
    return f"{_form(value)} in [" + ", ".join(str([*form]) for form in forms) + "]"


def _one_of(value: str, texts: tuple[str, ...]) -> str:
    return f"{value} in [" + ", ".join(f"'{one}'" for one in texts) + "]"


def _is_share(value: str) -> str:
    return f"type({value}) in [string] && ({_one_of(value, _ALL)} || {_has_form(value, _FORMS)})"


def _is_nothing(stage: str) -> str:
    """Return whether a stage has no traffic; a number is taken for the percentage that another rule demands."""
    return f"({stage}.traffic == 0 || {_one_of(f'{stage}.traffic', _NOTHING)})"


def _is_all(stage: str) -> str:
    return f"({stage}.traffic == 100 || {_one_of(f'{stage}.traffic', _ALL)})"


def _at_least(field: str) -> str:
    """Return whether ``maxDuration`` is not shorter than a field; a malformed one is refused by its own rule."""
    readable = f"has(self.{field}) && {matches(f'self.{field}', Duration.PATTERN)}"
    return f"!({readable}) || duration(self.maxDuration) >= duration(self.{field})"


_WATCHED: Final = "(has(self.abortOn) && size(self.abortOn) > 0)"

_SHARE_ADVICE: Final = "write a percentage between 0% and 100% with at most two decimals, such as 5%"
_WITHOUT_SIGN: Final = tuple(form.removesuffix("%") for form in _FORMS)
_SPACED: Final = tuple(form.replace("%", " %") for form in _FORMS)

# With replace, since the cost of + is estimated by the length of what is added.
_NUMBER: Final = f"int(self) >= 0 && int(self) <= 100 ? 'write X%'.replace('X', string(self)) : '{_SHARE_ADVICE}'"
_MEANT: Final = (
    (
        f"{_one_of('self', ('100', '100.0', '100.00'))} || {_has_form('self', _WITHOUT_SIGN)}",
        "'write X%'.replace('X', self)",
    ),
    (_has_form("self", (".9%", ".99%")), "'write 0X'.replace('X', self)"),
    (_has_form("self", (".9", ".99")), "'write 0X%'.replace('X', self)"),
    (
        f"{_one_of('self', ('100 %', '100.0 %', '100.00 %'))} || {_has_form('self', _SPACED)}",
        "'write X%'.replace('X', self.substring(0, size(self) - 2))",
    ),
)
"""What somebody may have meant whose share is none, 5, .5%, .5 or 5 %: a condition, and the sentence."""

TRAFFIC: Final[dict[str, Any]] = {
    "x-kubernetes-int-or-string": True,
    **rules(
        rule(
            _is_share("self"),
            _SHARE_ADVICE,
            computed=f"type(self) in [int] ? ({_NUMBER}) : "
            + "".join(f"{condition} ? {sentence} : " for condition, sentence in _MEANT)
            + f"'{_SHARE_ADVICE}'",
        )
    ),
}
"""The schema of ``traffic`` beside that of a share.

The type stays there, for ``kubectl explain``; a server-side apply refuses a number by it (``expected string``).
"""

NO_MIRROR: Final = "a mirror of 0% copies nothing: leave mirror out, or write a percentage such as 10%"
MIRROR_AT_NOTHING: Final = (
    "a stage with traffic needs no copies: leave mirror out, or put a stage with mirror and traffic: 0% before it"
)
MIRROR_UNMANAGED: Final = (
    "mirror needs a route that the operator makes: write route.httpRoute.managed: true with a template, or leave mirror"
    " out"
)
MIRROR_RULE: Final = rule(f"!({_one_of('self', _NOTHING)})", NO_MIRROR)

_NOT_ALL: Final = f"!{_is_all('self')}"
_NONE_COMPARED: Final = f"!has(self.abortOn) || self.abortOn.all(line, !{matches('line', COMPARED)})"

WARMUP_RULES: Final = (
    rule(
        "has(self.requests) != has(self.readyFor)",
        "warmup is either requests or readyFor: give exactly one of them",
    ),
)

TEST_RULES: Final = (rule("has(self.http) != has(self.job)", "a test is either http or job: give exactly one of them"),)

JUDGED: Final = "a stage with traffic needs abortOn, a stage at 0% has nothing to judge without mirror"

STAGE_RULES: Final = (
    rule(
        f"({_is_nothing('self')} && !has(self.mirror)) != {_WATCHED}",
        JUDGED,
        computed=f"'{JUDGED}: ' + ({_WATCHED}"
        " ? 'leave abortOn out, or give ' + self.name + ' traffic'"
        " : 'say when ' + self.name + ' is bad, such as abortOn: [\"error_rate > 1%\"]')",
        field=".abortOn",
    ),
    rule(f"!has(self.mirror) || {_is_nothing('self')}", MIRROR_AT_NOTHING, field=".mirror"),
    rule(
        f"!has(self.warmup) || !{_is_nothing('self')}",
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
        f"!self.stages.all(s, {_is_share('s.traffic')})"
        " || self.stages.map(s, double(s.traffic.substring(0, size(s.traffic) - 1))).isSorted()",
        "stages must stand in rising order of traffic",
        field=".stages",
    ),
    rule(
        _is_all(_LAST),
        "the last stage must have 100% traffic",
        field=".stages",
    ),
    rule(
        f"self.stages.all(s, {_is_all('s')} || !has(s.bake))",
        "bake belongs to the last stage: give every other stage duration",
        field=".stages",
    ),
    rule(
        f"!has({_LAST}.duration)",
        "the last stage has bake instead of duration",
        field=".stages",
    ),
    rule(
        f"self.stages.filter(s, {_is_all('s')}).size() <= 1",
        "only the last stage may have 100% traffic",
        field=".stages",
    ),
    rule(
        "self.stages.all(s, !has(s.mirror))"
        " || has(self.route.httpRoute) && has(self.route.httpRoute.managed) && self.route.httpRoute.managed",
        MIRROR_UNMANAGED,
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

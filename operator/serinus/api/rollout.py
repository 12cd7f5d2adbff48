"""Rollout: the desired version of a model, and the plan of stages by which it is rolled out."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field
from msgspec.structs import force_setattr

from serinus.api import abort_condition, condition_rules, rollout_rules
from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.modelversion import ModelName, SemVer
from serinus.api.preset_metrics import missing
from serinus.api.quantities import ALL_OF_IT, NONE_OF_IT, Duration, Share
from serinus.api.route import MANAGED_STAYS, ONE_ROUTE_RULE, RouteRef
from serinus.api.schema import API_PATTERN, NAME, FieldError, Model, items, length, refuse_twins, rules, text
from serinus.api.stage_tests import IntegrationTest

MAX_STAGES: Final = 16
MAX_CONDITIONS: Final = 8
MAX_TESTS: Final = 8

_AT_ONCE: Final = Duration("0s")
_FOR: Final = Duration("60s")
_BLIP: Final = Duration("2s")
_WINDOW: Final = Duration("1m")
_DAY: Final = timedelta(days=1)


class Approval(StrEnum):
    """Whether a person must let the run into the stage."""

    NOT_REQUIRED = "NotRequired"
    REQUIRED = "Required"


class Judgement(StrEnum):
    """How a stage's conditions are judged.

    ``Sequential``: the evidence of every request so far, with a bound on false aborts however often one looks.
    ``Observed``: the value over the window against the limit, for as long as ``for`` says.
    """

    SEQUENTIAL = "Sequential"
    OBSERVED = "Observed"


class Sensitivity(StrEnum):
    """Which tolerable versions the Sequential judgement guards against a false abort.

    ``Fast``: errors that are independent of each other. ``Balanced``: also bursts, somewhat smaller ones for a version
    at its very limit. ``Careful``: bursts of every size up to the blip, at any tolerable rate.
    """

    FAST = "Fast"
    BALANCED = "Balanced"
    CAREFUL = "Careful"


class Promotion(StrEnum):
    """What a stage wants to see before it passes: the observed proportion within the limit, or a certificate of it."""

    OBSERVED = "Observed"
    CERTIFIED = "Certified"


class Guards(StrEnum):
    """Whether each stage with traffic also watches what nobody wrote: missing answers and refused requests."""

    ON = "On"
    OFF = "Off"


class OnTimeout(StrEnum):
    """What happens when a stage has neither passed nor failed by ``maxDuration``."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class WarmUp(Model, frozen=True, kw_only=True):
    """What a version must have had before the stage's clock starts: requests, or time with a ready endpoint."""

    requests: (
        Annotated[int, Meta(description="Answered requests, at the stage's traffic.", ge=1, le=100_000_000)] | None
    ) = None
    ready_for: Annotated[Duration, length("How long it has had the stage's traffic.")] | None = None

    def __post_init__(self) -> None:
        """Refuse both at once, and neither."""
        if (self.requests is None) == (self.ready_for is None):
            raise FieldError("", "warmup is either requests or readyFor: give exactly one of them")


class Stage(Model, frozen=True, kw_only=True):
    """A share of traffic, how long it lasts and what must hold."""

    name: Annotated[str, text("Unique in the plan.", pattern=NAME, most=40)]
    traffic: Annotated[Share, Meta(extra_json_schema=rollout_rules.TRAFFIC)]
    mirror: (
        Annotated[
            Share,
            Meta(
                description="At 0% only: of this percentage of the requests the version gets a copy; nobody sees its "
                "answers. Needs a managed HTTPRoute.",
                extra_json_schema=rules(rollout_rules.MIRROR_RULE),
            ),
        ]
        | None
    ) = None
    duration: Annotated[Duration, length("How long the stage watches before it may pass.")] | None = None
    bake: (
        Annotated[Duration, length("How long the last stage watches at 100% before the version counts as good.")] | None
    ) = None
    abort_on: Annotated[
        tuple[
            Annotated[
                str,
                text(
                    abort_condition.DESCRIPTION,
                    most=abort_condition.LONGEST_LINE,
                    # parse_abort_condition matches it, and says what to write instead.
                    **{API_PATTERN: abort_condition.PATTERN},
                    **rules(*condition_rules.LINE_RULES),
                ),
            ],
            ...,
        ],
        items(
            "When the version is bad. Each line is judged by itself.",
            most=MAX_CONDITIONS,
            **{"x-kubernetes-list-type": "set"},
            **rules(*condition_rules.LIST_RULES),
        ),
    ] = ()
    tests: Annotated[
        tuple[
            Annotated[
                IntegrationTest,
                Meta(extra_json_schema=rules(*rollout_rules.TEST_RULES)),
            ],
            ...,
        ],
        items("Tests that must pass before the stage watches.", most=MAX_TESTS, key="name"),
    ] = ()
    # Meta stands on the union: msgspec drops that of a struct inside one.
    warmup: Annotated[
        WarmUp | None,
        Meta(
            description="What comes before duration (or bake) and before the evidence of abortOn; meanwhile only a "
            "version that fails outright is rolled back.",
            extra_json_schema=rules(*rollout_rules.WARMUP_RULES),
        ),
    ] = None
    approval: Annotated[Approval, Meta(description="Whether a person must let the run into this stage.")] = (
        Approval.NOT_REQUIRED
    )
    judgement: Annotated[Judgement, Meta(description="How abortOn is judged.")] = Judgement.SEQUENTIAL
    for_: Annotated[Duration, length("Observed only: how long a condition must hold to count.")] = field(
        default_factory=lambda: _FOR, name="for"
    )
    min_requests: (
        Annotated[int, Meta(description="Requests without which the stage never passes.", ge=1, le=100_000_000)] | None
    ) = None
    sensitivity: Annotated[
        Sensitivity, Meta(description="Sequential: which tolerable versions are guarded against a false abort.")
    ] = Sensitivity.BALANCED
    blip: Annotated[Duration, length("Sequential: how long an incident may be that rolls nothing back.")] = field(
        default_factory=lambda: _BLIP
    )
    burst: (
        Annotated[
            int,
            Meta(description="Sequential: how many errors come together at most; overrides blip.", ge=1, le=20),
        ]
        | None
    ) = None
    promotion: Annotated[Promotion, Meta(description="What the stage wants to see before it passes.")] = (
        Promotion.OBSERVED
    )
    max_duration: (
        Annotated[Duration, length("When onTimeout acts; 24h or twice the duration where none is given.")] | None
    ) = None
    on_timeout: Annotated[OnTimeout, Meta(description="What happens then.")] = OnTimeout.HOLD

    def __post_init__(self) -> None:
        """Refuse what does not fit together, as the CRD's rules of a stage do."""
        self._check_mirror()
        self._check_conditions()
        if self.warmup is not None and self.traffic == NONE_OF_IT:
            raise FieldError(".warmup", "a stage at 0% has no traffic to warm up with: leave warmup out")
        refuse_twins(".tests", (test.name for test in self.tests))
        if self.longest < self.watch.value:
            raise FieldError(".maxDuration", "maxDuration must not be shorter than what the stage must watch")
        if self.promotion is Promotion.CERTIFIED and self.judgement is not Judgement.SEQUENTIAL:
            raise FieldError(".promotion", "only the Sequential judgement can certify")

    def _check_mirror(self) -> None:
        if self.mirror == NONE_OF_IT:
            raise FieldError(".mirror", rollout_rules.NO_MIRROR)
        if self.mirror is not None and self.traffic > NONE_OF_IT:
            raise FieldError(".mirror", rollout_rules.MIRROR_AT_NOTHING)

    def _check_conditions(self) -> None:
        if (self.traffic > NONE_OF_IT or self.mirror is not None) != bool(self.abort_on):
            raise FieldError(
                ".abortOn",
                f"{rollout_rules.JUDGED}: {self.name} has {self.traffic} and {len(self.abort_on) or 'no'} conditions",
            )
        meanings: dict[object, str] = {}
        for index, line in enumerate(self.abort_on):
            try:
                condition = parse_abort_condition(line)
            except ValueError as problem:
                raise FieldError(f".abortOn[{index}]", str(problem)) from problem
            if condition.compared and self.traffic == ALL_OF_IT:
                raise FieldError(
                    f".abortOn[{index}]",
                    "at 100% the stable version has no requests to compare with: give a limit such as error_rate > 1%",
                )
            if condition.compared and self.promotion is Promotion.CERTIFIED:
                raise FieldError(
                    ".promotion", "a comparison with the stable version cannot be certified: leave promotion out"
                )
            if condition.meaning in meanings:
                other = meanings[condition.meaning]
                raise FieldError(f".abortOn[{index}]", f"{line!r} is {other!r} in another spelling: keep one of them")
            meanings[condition.meaning] = line

    @property
    def request_share(self) -> float:
        """The part of the requests to it and to the stable version that the version on trial gets, from 0 to 1.

        Of a request that is copied each of them gets one.
        """
        return self.traffic.ratio if self.mirror is None else share_of_copies(self.mirror.ratio)

    @property
    def watch(self) -> Duration:
        """How long the stage must watch before it may pass: ``duration``, or ``bake`` on the last one."""
        return self.duration or self.bake or _AT_ONCE

    @property
    def longest(self) -> timedelta:
        """How long the stage may take in all."""
        return self.max_duration.value if self.max_duration is not None else max(_DAY, 2 * self.watch.value)


def share_of_copies(ratio: float) -> float:
    """Return the share of all requests of a version that gets copies of this part of another one's, from 0 to 1."""
    return ratio / (1 + ratio)


class MetricsRef(Model, frozen=True, kw_only=True):
    """Where the evidence comes from; never a URL."""

    source: Annotated[str, text("A metric source that the administrator has named.", pattern=NAME, most=63)] = "default"
    preset: Annotated[str, text("The data plane whose metrics are read.", pattern=NAME, most=63)] = "contour"
    interval: (
        Annotated[Duration, length("The least time between two judgements; every tick where none is given.")] | None
    ) = None
    window: Annotated[Duration, length("Observed only: the window of the value; 1m where none is given.")] = field(
        default_factory=lambda: _WINDOW
    )


class RolloutSpec(Model, frozen=True, kw_only=True):
    """Which version a model shall serve, by which plan."""

    model: ModelName
    version: SemVer
    route: Annotated[RouteRef, Meta(extra_json_schema=rules(ONE_ROUTE_RULE, MANAGED_STAYS))]
    stages: Annotated[
        tuple[
            Annotated[
                Stage,
                Meta(extra_json_schema=rules(*rollout_rules.STAGE_RULES)),
            ],
            ...,
        ],
        items("The stages, in rising order of traffic, ending at 100%.", least=1, most=MAX_STAGES, key="name"),
    ]
    rollback_to: SemVer | None = None
    metrics: Annotated[MetricsRef, Meta(description="Where the evidence comes from.")] = field(
        default_factory=MetricsRef
    )
    guards: Annotated[
        Guards,
        Meta(
            description="Whether each stage with traffic also compares unanswered requests and client errors (4xx) "
            "with those of the stable version. Quote the word: YAML reads Off as false."
        ),
    ] = Guards.ON

    def __post_init__(self) -> None:
        """Drop leading ``v``s and refuse what no API server with the CRD's rules would have let through."""
        force_setattr(self, "version", self.version.removeprefix("v"))
        if self.rollback_to is not None:
            force_setattr(self, "rollback_to", self.rollback_to.removeprefix("v"))
        _check_stages(self.stages)
        self._check_preset()
        self._check_mirrors()

    def _check_preset(self) -> None:
        for index, conditions in enumerate(self.conditions):
            for line, condition in enumerate(conditions):
                if problem := missing(self.metrics.preset, condition.metric):
                    raise FieldError(f".stages[{index}].abortOn[{line}]", problem)

    def _check_mirrors(self) -> None:
        for index, stage in enumerate(self.stages):
            if stage.mirror is not None and self.route.template is None:
                raise FieldError(f".stages[{index}].mirror", rollout_rules.MIRROR_UNMANAGED)

    @property
    def conditions(self) -> tuple[tuple[AbortCondition, ...], ...]:
        """The parsed ``abortOn`` of every stage, in order."""
        return tuple(tuple(parse_abort_condition(line) for line in stage.abort_on) for stage in self.stages)


def _check_stages(stages: tuple[Stage, ...]) -> None:
    shares = [stage.traffic for stage in stages]
    if not shares or shares != sorted(shares) or shares.count(ALL_OF_IT) != 1:
        raise FieldError(".stages", "stages must rise in traffic and only the last one must have 100%")
    refuse_twins(".stages", (stage.name for stage in stages))
    if stages[0].approval is Approval.REQUIRED:
        raise FieldError(
            ".stages[0].approval",
            "approval lets a run into a stage: put a stage at 0% before the one that needs it",
        )
    if stages[-1].duration is not None:
        raise FieldError(f".stages[{len(stages) - 1}].duration", "the last stage has bake instead of duration")
    for index, stage in enumerate(stages):
        if stage.bake is not None and stage is not stages[-1]:
            raise FieldError(
                f".stages[{index}].bake", "bake belongs to the last stage: give every other stage duration"
            )

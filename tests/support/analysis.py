"""Stages, ticks and whole histories for the tests of the judgement."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.quantities import Duration, Share
from serinus.api.rollout import Judgement, MetricsRef, Promotion, Stage
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Assessment, Progress, assess, begin, update
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, CouldNotAsk, Counted, Measured, NoData

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SCRAPE = timedelta(seconds=15)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_stage(  # noqa: PLR0913 - a builder with an override for each field
    line: str = "error_rate > 0.5%",
    *,
    duration: str = "2h",
    judgement: Judgement = Judgement.SEQUENTIAL,
    promotion: Promotion = Promotion.OBSERVED,
    hold_for: str = "60s",
    min_requests: int | None = None,
    burst: int | None = 1,
) -> Stage:
    return Stage(
        name="canary",
        traffic=Share("5%"),
        duration=Duration(duration),
        abort_on=(line,),
        judgement=judgement,
        promotion=promotion,
        for_=Duration(hold_for),
        min_requests=min_requests,
        burst=burst,
    )


def metrics_of(*, interval: str | None = None, window: str = "1m") -> MetricsRef:
    return MetricsRef(interval=None if interval is None else Duration(interval), window=Duration(window))


def begun(stage: Stage, *, metrics: MetricsRef | None = None, conditions_in_run: int = 1) -> Progress:
    condition = parse_abort_condition(stage.abort_on[0])
    return begin(
        condition,
        stage,
        metrics if metrics is not None else MetricsRef(),
        conditions_in_run=conditions_in_run,
        scrape_interval=SCRAPE,
    )


def a_batch(requests: float, bad: float = 0.0, *, likely: float | None = None, possible: float | None = None) -> Batch:
    best_guess = bad if likely is None else likely
    return Batch(requests, bad, best_guess, best_guess if possible is None else possible)


def counted(  # noqa: PLR0913 - likewise
    seconds: float,
    requests: float,
    bad: float = 0.0,
    *,
    likely: float | None = None,
    possible: float | None = None,
    display: float | None = None,
    coarse: Coarse | None = None,
) -> Counted:
    batch = a_batch(requests, bad, likely=likely, possible=possible)
    return Counted(at=at(seconds), batch=batch, display=display, coarse=coarse)


def measured(seconds: float, value: float) -> Measured:
    return Measured(at=at(seconds), value=value)


def no_data(seconds: float, cause: Cause = Cause.NO_SERIES, message: str = "no series matches") -> NoData:
    return NoData(at=at(seconds), cause=cause, message=message)


def could_not_ask(
    seconds: float, cause: Cause = Cause.PROVIDER_DOWN, message: str = "prometheus did not answer in 5s"
) -> CouldNotAsk:
    return CouldNotAsk(at=at(seconds), cause=cause, message=message)


def after(progress: Progress, answers: Iterable[Answer]) -> Progress:
    """Fold these answers of the candidate; nothing is known of the stable version."""
    for answer in answers:
        progress = update(progress, answer, None)
    return progress


def judged_after(stage: Stage, answers: Iterable[Answer], *, metrics: MetricsRef | None = None) -> Assessment:
    """Judge a whole history at the moment of its last answer."""
    progress = after(begun(stage, metrics=metrics), answers)
    return assess(progress, stage, START if progress.latest is None else progress.latest.at)

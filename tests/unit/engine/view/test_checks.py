"""How near a condition is to its breach, for the figures of both judgements."""

from datetime import timedelta

import pytest

from serinus.api.rollout_status import EvidencePoint, EvidenceStatus
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.false_aborts import conditions_in_run
from serinus.engine.view.checks import CheckView, Mark, checks_of
from serinus.engine.view.explanation import why
from support.builders import CANARY, ERRORS, NOW, PRODUCTION, STAGING, a_spec
from support.screens import BEGAN, SPEC, a_judgement, a_status

OBSERVED = a_spec("2.3.1", STAGING, {**CANARY, "judgement": "Observed", "for": "90s"}, PRODUCTION)


def check(one: EvidenceStatus, spec: object = SPEC) -> CheckView:
    [found] = checks_of(spec, a_status(evidence=(one,)))  # type: ignore[arg-type]
    return found


def of_points(line: str, *figures: str | None, spec: object = SPEC) -> list[float | None]:
    points = tuple(EvidencePoint(at=NOW, evidence=figure, value=figure) for figure in figures)
    found = check(a_judgement(line, points=points), spec)
    return [None if point.level is None else round(point.level, 3) for point in found.points]


def test_evidence_is_near_its_limit_by_its_logarithm() -> None:
    needed = conditions_in_run(SPEC) * 100
    assert check(a_judgement(ERRORS)).needed == needed
    assert of_points(ERRORS, "0.1", "1", str(needed**0.5), str(needed), "1e9", None) == [0, 0, 0.5, 1, 1, None]


@pytest.mark.parametrize(
    ("line", "figures", "levels"),
    [
        (ERRORS, ("0", "0.0025", "0.005", "0.1"), [0, 0.5, 1, 1]),
        ("drift_score > 0.4", ("0.1", "0.4", "4"), [0.25, 1, 1]),
        ("throughput < 100", ("400", "100", "20"), [0.25, 1, 1]),
        ("drift_score > 0", ("0", "0.1"), [0, 1]),
    ],
)
def test_a_value_is_near_its_limit_by_its_share(line: str, figures: tuple[str, ...], levels: list[float]) -> None:
    assert of_points(line, *figures, spec=OBSERVED) == levels


def test_a_guard_is_judged_by_evidence_whatever_the_stage_says() -> None:
    guard = a_judgement("unanswered_rate > stable + 1%", guard=True)
    assert check(guard, OBSERVED).needed is not None
    assert check(a_judgement(ERRORS), OBSERVED).needed is None


@pytest.mark.parametrize(
    ("verdict", "cause", "mark"),
    [
        (Verdict.PASS, None, Mark.GOOD),
        (Verdict.BREACH, None, Mark.BAD),
        (Verdict.UNKNOWN, Cause.TOO_FEW_REQUESTS, Mark.ACTIVE),
        (Verdict.UNKNOWN, Cause.STALE, Mark.WARNING),
    ],
)
def test_the_mark_tells_what_time_ends_from_what_a_person_must_mend(
    verdict: Verdict, cause: Cause | None, mark: Mark
) -> None:
    assert check(a_judgement(ERRORS, verdict, cause=cause)).mark is mark


def test_conditions_that_people_wrote_come_first() -> None:
    guard = a_judgement("unanswered_rate > stable + 1%", guard=True)
    assert [one.guard for one in checks_of(SPEC, a_status(evidence=(guard, a_judgement(ERRORS))))] == [False, True]


def test_a_line_that_cannot_be_read_is_shown_without_evidence() -> None:
    odd = a_judgement("error_rate is high", points=(EvidencePoint(at=NOW, value="0.1"),))
    assert (check(odd).limit, check(odd).needed) == ("is high", None)


def test_the_words_name_what_the_judgement_goes_by() -> None:
    assert "it is a breach once it has been > 0.5% for 90s" in why(
        check(a_judgement(ERRORS), OBSERVED), OBSERVED.stages[1]
    )
    assert "in at most 1 of 700 runs" in why(check(a_judgement(ERRORS)), SPEC.stages[1])


@pytest.mark.parametrize(("seconds", "mark"), [(5, Mark.ACTIVE), (90, Mark.WARNING)])
def test_a_version_that_no_scrape_has_shown_yet_is_no_outage_of_the_metrics(seconds: int, mark: Mark) -> None:
    unscraped = a_judgement(ERRORS, Verdict.UNKNOWN, cause=Cause.NO_SERIES, at=BEGAN + timedelta(seconds=seconds))

    assert check(unscraped).mark is mark

"""A stored status is read although the points of its evidence cannot be; anything else that is broken is said."""

from typing import Any

import pytest

from serinus.api.parsing import encode
from serinus.api.rollout_status import (
    MAX_POINTS,
    CurrentStage,
    EvidencePoint,
    EvidenceStatus,
    RolloutStatus,
    Serving,
    StageState,
)
from serinus.api.stored_status import stored_status
from serinus.api.verdict import Verdict
from serinus.errors import InvalidObjectError
from support.builders import ERRORS, NOW

POINT = EvidencePoint(at=NOW, requests=100, bad=1, evidence="1.25")
EVIDENCE = EvidenceStatus(name="error_rate", condition=ERRORS, verdict=Verdict.PASS, at=NOW, points=(POINT,))
STATUS = RolloutStatus(
    run=3,
    candidate=Serving(version="2.0.0", weight=5, since=NOW),
    stage=CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=NOW, state_since=NOW),
    evidence=(EVIDENCE,),
)


def stored(**changes: Any) -> dict[str, Any]:
    raw = encode(STATUS)
    raw["evidence"][0] |= changes
    return raw


def test_a_status_is_read_as_it_was_written() -> None:
    assert stored_status(encode(STATUS)) == STATUS


def test_a_status_without_points_is_read() -> None:
    raw = stored()
    del raw["evidence"][0]["points"]
    assert stored_status(raw).evidence[0].points == ()
    assert stored_status(raw).run == 3


@pytest.mark.parametrize("raw", [None, {}])
def test_a_missing_status_is_empty(raw: object) -> None:
    assert stored_status(raw) == RolloutStatus()


@pytest.mark.parametrize(
    "points",
    [
        "none",
        7,
        None,
        ["none"],
        [{}],
        [{"at": "yesterday"}],
        [{"at": "2026-11-23T14:00:00Z", "requests": -1}],
        [{"at": "2026-11-23T14:00:00Z", "evidence": "much"}],
        [{"at": "2026-11-23T14:00:00Z", "of": "another release"}],
        [{"at": "2026-11-23T14:00:00Z"}] * (MAX_POINTS + 1),
    ],
)
def test_points_that_cannot_be_read_lose_no_run(points: object) -> None:
    status = stored_status(stored(points=points))
    assert status.evidence[0].points == ()
    assert (status.run, status.candidate, status.stage) == (3, STATUS.candidate, STATUS.stage)
    assert status.evidence[0].verdict is Verdict.PASS


@pytest.mark.parametrize("points", [[encode(POINT)], "none"])
def test_anything_else_that_cannot_be_read_is_named(points: object) -> None:
    with pytest.raises(InvalidObjectError, match=r"status\.evidence\[0\]\.verdict|status\.evidence\[\.\.\.\]\.verdict"):
        stored_status(stored(points=points, verdict="Perhaps"))


@pytest.mark.parametrize("raw", [{"evidence": "none"}, {"evidence": ["none"]}, "none"])
def test_what_is_no_evidence_at_all_is_said(raw: object) -> None:
    with pytest.raises(InvalidObjectError):
        stored_status(raw)


def test_all_points_of_a_status_together_are_small() -> None:
    """Beside 1 MB of waiting records etcd has half a megabyte left for the rest of the status."""
    longest = EvidencePoint(at=NOW, requests=2**63 - 1, bad=2**63 - 1, evidence="-1.234e+300", value="-1.234e+300")
    text = str(encode(EvidenceStatus(name="n", condition="c", verdict=Verdict.PASS, at=NOW, points=(longest,) * 20)))
    assert 8 * len(text) < 40_000

"""The list: what needs a person first, filters, pages, and bounds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serinus.web import reader as module
from serinus.web.attention import Attention, attention_of
from serinus.web.listing import PAGE_SIZE, FilterError, Filters, list_view, ordered, row_of
from serinus.web.reader import ClusterReader
from support.kube.clock import VirtualTime
from support.web.objects import NOW, a_cluster, other, rollout


def a_row(name: str = "fraud", namespace: str = "ml", **status: Any) -> Any:
    return row_of(rollout(name, namespace, **status), NOW)


@pytest.mark.parametrize(
    ("phase", "state", "stalled", "down", "expected"),
    [
        ("Healthy", "", False, True, Attention.FAILING),
        ("Invalid", "", False, False, Attention.WAITS),
        ("Paused", "Analyzing", False, False, Attention.WAITS),
        ("Progressing", "AwaitingApproval", False, False, Attention.WAITS),
        ("Progressing", "Analyzing", True, False, Attention.WAITS),
        ("Unheard", "", False, False, Attention.WAITS),
        ("RollingBack", "", True, False, Attention.ROLLING_BACK),
        ("RolledBack", "", True, False, Attention.ROLLED_BACK),
        ("Progressing", "Analyzing", False, False, Attention.MOVING),
        ("Pending", "", False, False, Attention.MOVING),
        ("Healthy", "Done", False, False, Attention.HEALTHY),
    ],
)
def test_who_must_look_follows_from_the_status(
    phase: str, state: str, *, stalled: bool, down: bool, expected: Attention
) -> None:
    assert attention_of(phase, state, stalled=stalled, backends_down=down, unwatched=False) is expected


@pytest.mark.parametrize(
    ("minutes", "plan", "expected"),
    [
        (3, {}, Attention.MOVING),
        (4, {}, Attention.UNWATCHED),
        (4, {"metrics": {"interval": "5m"}}, Attention.MOVING),
        (4, {"metrics": {"interval": "often"}}, Attention.UNWATCHED),
    ],
)
def test_a_version_on_trial_that_nobody_watches_comes_first(
    minutes: int, plan: dict[str, Any], expected: Attention
) -> None:
    began, judged = NOW - timedelta(minutes=9), NOW - timedelta(minutes=minutes)
    stage = {"index": 1, "name": "canary", "state": "Analyzing", "since": _text(began), "stateSince": _text(began)}
    evidence = [{"name": "error_rate", "condition": "error_rate > 1%", "verdict": "Pass", "at": _text(judged)}]
    raw = rollout(phase="Progressing", reason="Analyzing", stage=stage, evidence=evidence, conditions=[])
    row = row_of({**raw, "spec": {**raw["spec"], **plan}}, NOW)

    assert row.attention is expected
    healthy = row_of(rollout(phase="Healthy", stage=stage, evidence=evidence, conditions=[]), NOW)
    assert healthy.attention is Attention.HEALTHY


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_needs_a_person_comes_first_then_the_latest_change_then_the_name() -> None:
    conditions: list[Any] = []
    rows = ordered(
        [
            a_row("healthy", phase="Healthy", conditions=conditions),
            a_row("b", phase="Paused", phaseSince="2026-11-23T10:00:00Z", conditions=conditions),
            a_row("a", phase="Paused", phaseSince="2026-11-23T10:00:00Z", conditions=conditions),
            a_row("later", phase="Paused", phaseSince="2026-11-23T11:00:00Z", conditions=conditions),
            a_row("running", phase="Progressing", conditions=conditions),
        ]
    )
    assert [row.key.name for row in rows] == ["later", "a", "b", "running", "healthy"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (Filters(namespace="ml"), ["fraud"]),
        (Filters(phase="Paused"), ["ranker"]),
        (Filters(text="RANK"), ["ranker"]),
        (Filters(text="2.3.1"), ["fraud", "ranker"]),
        (Filters(namespace="ml", text="ranker"), []),
    ],
)
def test_filters_select(filters: Filters, names: list[str]) -> None:
    rows = [a_row("fraud"), a_row("ranker", "search", phase="Paused")]
    assert [row.key.name for row in list_view(rows, (), filters).rows] == names


def test_a_list_is_cut_into_pages_and_a_page_beyond_the_last_is_the_last() -> None:
    rows = [row_of(other(number), NOW) for number in range(2 * PAGE_SIZE + 1)]
    view = list_view(rows, (), Filters(page=9))
    assert (view.pages, view.filters.page, len(view.rows), view.total) == (3, 3, 1, 201)
    assert list_view([], (), Filters()).pages == 1


def test_filters_survive_their_own_url() -> None:
    filters = Filters(namespace="ml", phase="Paused", text="a&b=c#d/é", page=3)
    query = dict(part.split("=") for part in filters.query(3)[1:].split("&"))
    assert query["text"] == "a%26b%3Dc%23d%2F%C3%A9"
    assert Filters().query(1) == ""


@pytest.mark.parametrize("page", ["-1", "1.5", "٣", "9" * 30, "1e3"])
def test_a_page_that_is_no_number_is_refused(page: str) -> None:
    with pytest.raises(FilterError, match="page"):
        Filters.parse({"page": page})


async def test_the_list_is_read_page_by_page_once_for_all_who_ask_and_again_when_it_is_old() -> None:
    clock, api = VirtualTime(), a_cluster(others=1100)
    reader = ClusterReader(api, clock)
    assert len((await reader.rollouts()).value.rows) == 1101
    await reader.rollouts()
    assert len(api.calls) == 3
    clock.freeze(3)
    await reader.rollouts()
    await clock.pass_time(0)
    assert len(api.calls) == 6


async def test_a_failed_read_keeps_the_last_list_and_says_why() -> None:
    clock, api = VirtualTime(), a_cluster()
    reader = ClusterReader(api, clock)
    first = await reader.rollouts()
    api.hanging = True
    clock.freeze(3)
    assert await reader.rollouts() == first
    await reader.close()
    assert first.at == datetime(2026, 11, 1, 12, tzinfo=UTC)


async def test_more_rollouts_than_the_page_keeps_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROLLOUTS", 10)
    found = (await ClusterReader(a_cluster(others=20), VirtualTime()).rollouts()).value
    assert (len(found.rows), found.left_out) == (10, True)

"""The form of ``serinus audit log`` for a narrow terminal, as it was looked at: golden/ has one file for each width."""

from pathlib import Path
from typing import Any

import pytest

from serinus.cli.audit.output import lines_heading, log_heading, log_line, needs_lines, record_lines
from serinus.cli.screen import cells
from serinus.engine.audit.chain import StoredRecord
from support.golden import check_golden

GOLDEN = Path(__file__).parent / "golden"
ALICE = {"name": "alice@example.com", "kind": "User", "authentication": "Admission"}
SERINUS = {"name": "serinus", "kind": "Operator", "authentication": "Self"}
CONTROLLER = {"name": "system:serviceaccount:argocd:argocd-application-controller", "authentication": "Admission"}
BREACH = "Run 1, 3.0.0: error_rate 16.7% > 0.5% (24 requests). 3.0.0 5% -> 0%, all traffic to 1.0.0."


def content(event: str, second: int, **fields: Any) -> dict[str, Any]:
    return {"event": event, "at": f"2026-11-30T09:14:{second:02}.482Z", **fields}


CONTENTS: tuple[dict[str, Any], ...] = (
    content("PolicyChanged", 16, actor={"name": "unverified", "authentication": "None"}),
    content("UnsafeRollbackAccepted", 16, version="3.0.0", actor=ALICE, reason="agreed with payments"),
    content("StableAdopted", 16, version="1.0.0", actor=SERINUS, message="The route serves 1.0.0 already."),
    content("RolloutStarted", 17, version="3.0.0-rc.12+build.20261130.4711", actor=CONTROLLER, reason="Run 1."),
    content("RollbackStarted", 22, version="3.0.0", to="1.0.0", actor=SERINUS, message=BREACH),
    content("Paused", 30, version="3.0.0", actor={"name": "bob", "authentication": "None"}, reason="\x1b[31m漢字" * 40),
    content("Resumed", 31),
    {},
)
RECORDS = tuple(StoredRecord(sequence=number, content=one) for number, one in enumerate(CONTENTS, 28_990))


def screen(width: int) -> str:
    return "\n".join((lines_heading(width), *(record_lines(record, width) for record in RECORDS), ""))


@pytest.mark.parametrize("width", [50, 80])
def test_each_record_says_what_and_when_and_then_who_and_why(width: int) -> None:
    check_golden(GOLDEN / f"log-{width}.txt", screen(width))


@pytest.mark.parametrize("width", range(40, 140, 7))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(cells, screen(width).splitlines())) <= width


def test_the_table_is_for_terminals_that_have_room_for_a_reason_beside_it() -> None:
    assert needs_lines(80)
    assert needs_lines(120)
    assert not needs_lines(140)
    assert len(log_heading(wide=False)) < 140
    assert all(len(log_line(record, wide=False, width=140)) <= 2 * 140 for record in RECORDS)

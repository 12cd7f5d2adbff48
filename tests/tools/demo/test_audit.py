"""The claims about the audit trail are about this demo, and not about one before it in the same cluster."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from demo.audit import AuditFacts, newest_record, since
from demo.cluster import Kubectl
from serinus.api.names import ObjectKey

ENDS = (("Promoted", "2.3.0"), ("RolledBack", "2.3.1"), ("RolledBack", "2.3.2"))
KEY = ObjectKey("demo", "fraud-detector")


def facts(tmp_path: Path, *records: tuple[str, str], actors: frozenset[str] = frozenset({"developer"})) -> AuditFacts:
    report = tmp_path / "report.html"
    report.touch()
    return AuditFacts("ok: 26 records", records, actors, frozenset({"developer"}), report)


def broken(found: AuditFacts) -> list[str]:
    return [claim.text for claim in found.claims() if not claim.holds]


def test_all_claims_hold_for_the_trail_of_one_demo(tmp_path: Path) -> None:
    assert broken(facts(tmp_path, ("StableAdopted", "2.2.4"), *ENDS)) == []


@pytest.mark.parametrize("records", [ENDS[:2], (*ENDS, *ENDS), ENDS[::-1]], ids=["fewer", "twice", "in another order"])
def test_other_ends_break_the_claim(tmp_path: Path, records: Sequence[tuple[str, str]]) -> None:
    assert broken(facts(tmp_path, *records)) == ["the audit trail has one promotion and two rollbacks"]


def test_somebody_else_who_acted_breaks_the_claim(tmp_path: Path) -> None:
    found = facts(tmp_path, *ENDS, actors=frozenset({"developer", "admin"}))
    assert broken(found) == ["every record says who acted"]


def test_records_of_an_earlier_demo_do_not_count() -> None:
    raws = [{"sequence": number, "event": event} for number, (event, _) in enumerate((*ENDS, *ENDS), 1)]
    assert since(raws, 3) == raws[3:]
    assert since(raws, 0) == raws


@pytest.mark.parametrize(
    ("stored", "newest"),
    [
        ([], 0),
        ([("fraud-detector", 9), ("fraud-detector", 26), ("other", 40)], 26),
    ],
)
async def test_the_newest_record_is_that_of_the_model(
    tmp_path: Path, stored: list[tuple[str, int]], newest: int
) -> None:
    items = [{"spec": {"model": model, "sequence": number}} for model, number in stored]
    (tmp_path / "records.json").write_text(json.dumps({"items": items}), encoding="utf-8")
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/records.json\n", encoding="utf-8")
    program.chmod(0o755)
    assert await newest_record(Kubectl(program, {}), KEY) == newest

"""The claims about what the on-call engineer is told fail where it is not said."""

import pytest

from demo.oncall import OnCallFacts

TOLD = OnCallFacts(
    status="✖ fraud-detector  RolledBack 9s ago\n  Wanted 2.3.2 0%",
    explanation="✖ error_rate > 0.5%  2.3.2",
    page="<h1>fraud-detector</h1> 2.3.2",
)


def test_all_claims_hold_where_all_is_said() -> None:
    assert all(claim.holds for claim in TOLD.claims())


@pytest.mark.parametrize(
    "facts",
    [
        OnCallFacts(status="fraud-detector Healthy 2.3.2", explanation=TOLD.explanation, page=TOLD.page),
        OnCallFacts(status=TOLD.status, explanation="nothing is awaited", page=TOLD.page),
        OnCallFacts(status=TOLD.status, explanation=TOLD.explanation, page="<h1>not found</h1>"),
    ],
    ids=["status", "explain", "page"],
)
def test_one_claim_fails_for_each_answer_that_lacks_it(facts: OnCallFacts) -> None:
    assert sum(not claim.holds for claim in facts.claims()) == 1

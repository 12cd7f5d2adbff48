"""The versions that a candidate is compared with, where the order of the numbers is not that of their making."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.modelversion import Bump
from serinus.api.signature import Signature
from serinus.engine.schema.baselines import bases_of, step_between, steps_of
from serinus.engine.schema.compatibility import DEFAULT_RULES, KnownVersion, Reason, decisive_of, judge
from support.schema.signatures import with_inputs, with_outputs

PLAIN: Final = with_inputs({})
MORE: Final = with_inputs({}, {"name": "country", "dtype": "string", "optional": True})
OTHER: Final = with_inputs({"dtype": "string"})
LESS: Final = with_outputs({})
SCORE_AND_REASON: Final = with_outputs({}, {"name": "reason", "dtype": "string"})


def known(version: str, signature: Signature | None = PLAIN, **fields: Any) -> KnownVersion:
    return KnownVersion(**{"version": version, "signature": signature, "spec_hash": f"spec of {version}", **fields})


@pytest.mark.parametrize(
    ("number", "serving"),
    [
        ("1.2.3-4-gabcdef0", "1.2.3"),
        ("1.2.3-4-gabcdef0-dirty", "1.2.3"),
        ("2.0.0-hotfix.1", "2.0.0"),
        ("2.0.0-rc.1", "2.0.0"),
        ("1.0.0-rc10", "1.0.0-rc9"),
        ("1.0.0-rc.1", "1.0.0-rc.2"),
        ("1.4.2-rc.1", "1.5.0"),
        ("0.3.1-rc.1", "0.3.1"),
    ],
)
def test_a_prerelease_is_compared_with_what_serves_whatever_the_order_of_the_numbers(number: str, serving: str) -> None:
    before = [known(serving, SCORE_AND_REASON)]
    verdict = judge(known(number, LESS), before, serving)
    assert (verdict.accepted, verdict.reason) == (False, Reason.BUMP_TOO_SMALL)
    assert (verdict.compatibility.against, verdict.compatibility.required) == (serving, Bump.MAJOR)
    assert verdict.message.startswith(
        f"{number} would take over the clients of {serving}, yet its number is not above it"
    )
    assert judge(known(number, SCORE_AND_REASON), before, serving).accepted
    added = structs.replace(MORE, outputs=SCORE_AND_REASON.outputs)
    assert not judge(known(number, added), before, serving).accepted
    stated = structs.replace(SCORE_AND_REASON, path="/predict")
    assert judge(known(number, stated), before, serving).accepted


def test_a_describe_number_is_compared_with_its_tag_though_another_version_serves() -> None:
    versions = [known("1.2.2"), known("1.2.3", SCORE_AND_REASON), known("2.0.0", OTHER)]
    verdict = judge(known("1.2.3-4-gabcdef0"), versions, "2.0.0")
    assert (verdict.accepted, verdict.compatibility.against) == (False, "1.2.3")


def test_a_prerelease_of_an_older_line_is_no_successor_of_what_serves() -> None:
    assert judge(known("1.4.2-rc.1"), [known("1.4.1"), known("2.0.0", OTHER)], "2.0.0").accepted


NUMBERS: Final = st.from_regex(r"[01]\.[0-3]\.[0-4](-rc\.[0-2])?", fullmatch=True)
VERSIONS: Final = st.builds(
    known,
    NUMBERS,
    st.sampled_from([PLAIN, MORE, OTHER, LESS, SCORE_AND_REASON, None]),
    digest=st.sampled_from(["", "one", "two"]),
    yanked=st.sampled_from([False, False, True]),
)


@given(st.lists(VERSIONS, min_size=1, max_size=24, unique_by=lambda one: one.version), st.data())
def test_the_steps_that_are_left_out_decide_nothing(versions: list[KnownVersion], data: st.DataObject) -> None:
    candidate = versions[0]
    serving = data.draw(st.sampled_from([None, *versions[1:]]))
    bases = bases_of(candidate, versions[1:], serving)
    every = [step for base in bases if (step := step_between(candidate, base, bases, DEFAULT_RULES)) is not None]
    few = steps_of(candidate, bases, DEFAULT_RULES)
    assert decisive_of(few) == decisive_of(every)
    assert [step.learnt for step in few if step.learnt] == [step.learnt for step in every if step.learnt]

"""The random edits of a plan, with which tests on a cluster try its controls, reach every field."""

from random import Random

import msgspec
import pytest

from serinus.api.rollout import RolloutSpec, Stage
from support.manifests.plan_edits import EDITED_FIELDS, EDITED_STAGE_FIELDS, PLANS, edited_at_random, spec_with


def test_the_generator_edits_every_field_of_a_plan() -> None:
    assert {field.encode_name for field in msgspec.structs.fields(RolloutSpec)} == EDITED_FIELDS
    assert {field.encode_name for field in msgspec.structs.fields(Stage)} == EDITED_STAGE_FIELDS


@pytest.mark.parametrize("kind", list(PLANS))
def test_an_edit_can_be_made_with_any_seed(kind: str) -> None:
    before = spec_with(PLANS[kind])
    for seed in range(100):
        names, after = edited_at_random(before, Random(seed))  # noqa: S311 - the same edits each time
        assert names
        assert after["model"] == before["model"]

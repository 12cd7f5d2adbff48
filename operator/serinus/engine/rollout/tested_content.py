"""Which content of a stage's test ran: a test that was edited since has neither passed nor failed."""

from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import structs

from serinus.api.parsing import encode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.api.stage_tests import IntegrationTest
from serinus.engine.rollout.draft import Draft
from serinus.engine.rollout.modes import stage_of

UNKNOWN: Final = ""
"""The content of a test that an earlier release has run: it counts as what the plan has."""

_DIGITS: Final = 16


def content_of(test: IntegrationTest) -> str:
    """Return the digest of what a test does; its name is not part of it."""
    return _digest_of(msgspec.json.encode(encode(structs.replace(test, name="")), order="sorted"))


@lru_cache(maxsize=512)
def _digest_of(text: bytes) -> str:
    return sha256(text).hexdigest()[:_DIGITS]


def current_contents(spec: RolloutSpec | None, status: RolloutStatus) -> dict[str, str]:
    """Return the content of each test of the current stage, by name; none where no stage is testing."""
    current = status.stage
    stage = stage_of(spec, current)
    if current is None or stage is None or current.state is not StageState.TESTING:
        return {}
    return {test.name: content_of(test) for test in stage.tests}


def is_as_written(name: str, content: str, contents: dict[str, str]) -> bool:
    """Return whether a test with this name and content is as the plan has it, as far as that is known."""
    return content in {UNKNOWN, contents.get(name, content)}


def forget_edited(draft: Draft) -> Draft:
    """Forget what the status has of tests that were edited since they ran: they run anew."""
    contents = current_contents(draft.spec, draft.status)
    tests = tuple(test for test in draft.status.tests if is_as_written(test.name, test.content, contents))
    return draft if len(tests) == len(draft.status.tests) else draft.with_status(tests=tests)

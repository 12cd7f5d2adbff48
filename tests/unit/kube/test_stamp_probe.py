"""Whether the API server stamps who acts is found out by a dry run, whatever the configuration says."""

import asyncio
import logging
from typing import Any

import pytest

from serinus.api.names import REQUESTED_BY_ANNOTATION
from serinus.errors import TransientError
from serinus.kube.stamp_probe import PAUSE, PAUSE_UNSTAMPED, StampProbe
from support.virtual_loop import in_virtual_time

STAMPED = {"metadata": {"name": "x", "annotations": {REQUESTED_BY_ANNOTATION: "system:serviceaccount:s:s"}}}
CLAIMED = {"metadata": {"annotations": {REQUESTED_BY_ANNOTATION: "alice", "serinus.dev/abort-by": "nobody"}}}
"""As the policy of an earlier release leaves it."""
ANSWERS: dict[str, tuple[dict[str, Any], bool]] = {
    "stamped": (STAMPED, True),
    "a stamp that was claimed": (CLAIMED, False),
    "another annotation": ({"metadata": {"annotations": {"a": "b"}}}, False),
    "no annotation": ({"metadata": {"name": "x"}}, False),
    "nonsense": ({"metadata": 7}, False),
}


class Server:
    """Answers every request alike."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        self.asked.append({"method": method, "path": path, **more})
        if self.answer.get("fails"):
            raise TransientError("no answer")
        return self.answer


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("case", ANSWERS)
async def test_the_stamp_works_where_the_operators_own_account_is_stamped(case: str, *, configured: bool) -> None:
    answer, works = ANSWERS[case]
    server = Server(answer)
    probe = StampProbe(server, "serinus-system", configured=configured)
    assert probe.works == configured
    if configured:
        await probe.look()
        assert probe.works == works
    else:
        await probe.keep()
        assert (probe.works, server.asked) == (False, [])


async def test_the_probe_stores_nothing_and_claims_a_stamp_that_the_policy_must_remove() -> None:
    server = Server(STAMPED)
    await StampProbe(server, "serinus-system", configured=True).look()
    (asked,) = server.asked
    assert (asked["method"], asked["query"]["dryRun"]) == ("POST", "All")
    assert asked["path"] == "/apis/serinus.dev/v1alpha1/namespaces/serinus-system/models"
    assert asked["body"]["metadata"]["annotations"] == {"serinus.dev/abort-by": "nobody"}


async def test_no_answer_changes_nothing() -> None:
    server = Server({"fails": True})
    probe = StampProbe(server, "ml", configured=True)
    await probe.look()
    kept = [probe.works]
    server.answer = {"metadata": {}}
    await probe.look()
    server.answer = {"fails": True}
    await probe.look()
    assert [*kept, probe.works] == [True, False]


@in_virtual_time
async def test_a_stamp_that_begins_to_work_is_found_soon_and_one_that_ends_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server({"metadata": {}})
    probe = StampProbe(server, "ml", configured=True)
    task = asyncio.create_task(probe.keep())
    await asyncio.sleep(PAUSE_UNSTAMPED * 2 + 1)
    assert (probe.works, len(server.asked)) == (False, 3)
    found = []
    for answer, pause in ((STAMPED, PAUSE_UNSTAMPED), ({"metadata": {}}, PAUSE)):
        server.answer = answer
        await asyncio.sleep(pause + 1)
        found.append(probe.works)
    assert found == [True, False]
    task.cancel()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "actorStamp.enabled: false" in errors[0].getMessage()

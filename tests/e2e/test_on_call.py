"""Each question of an on-call engineer about a version that was rolled back has a command that answers it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from demo.behaviour import Behaviour
from demo.errors import CouldNotAskError
from demo.observe import wait_for
from localcluster.api import Api, ApiError
from localcluster.client import Cluster
from serinus.api.rollout_status import StageState
from support.e2e.fixtures import BAD, STABLE, program_environment
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import SOON, Place
from support.e2e.policies import policies_applied
from support.kubectl import Kubectl
from support.oncall import NAMESPACE, PAGE, QUESTIONS, Question, answers_of, lacking, page
from support.terminal import on_terminal

# Longer than any wait of this test: an answer that comes late must not find the version promoted.
PLAN: Final = (staging(), canary("5m"), production())
FAILING: Final = Behaviour(failing_share=0.15)
TEAM: Final = "developer"
_WIDTH: Final = 80


@pytest.fixture(scope="module", autouse=True)
def policies(cluster: Cluster) -> Iterator[None]:
    """Without them nobody vouches for who acted."""
    with policies_applied(Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)):
        yield


@pytest.fixture
async def leader(cluster: Cluster, place: Place, tmp_path: Path) -> AsyncIterator[OperatorControl]:
    """An operator as in production: it believes the stamps, and holds a Lease that shows that it is alive."""
    setup = replace(setup_in(cluster), settings={"actorStamped": True}, leader_election=True)
    control = OperatorControl(program_environment(cluster), setup, tmp_path)
    try:
        await control.start()
        yield control
    finally:
        await control.stop()


async def test_every_question_about_a_rollback_has_a_command_that_answers_it(
    leader: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    answers: dict[str, str] = {}
    async with place.traffic():
        await _want_as_the_team(place, BAD)
        await place.until_stage("canary", StageState.ANALYZING)
        answers |= await _all_answered(place, during=True)
        await place.servers[BAD].behave(FAILING)
        await place.until_ended(BAD)
    await place.until_event("RollbackCompleted")
    answers |= await _all_answered(place, during=False)

    if os.environ.get("SERINUS_WRITE_ON_CALL"):
        told = {asked: text.replace(place.namespace, NAMESPACE) for asked, text in answers.items()}
        PAGE.write_text(page(told), encoding="utf-8")
    written = PAGE.read_text(encoding="utf-8")
    shown = answers_of(written)
    assert written == page({asked: _without_status(shown[asked], asked) for asked in shown})
    assert {question.asked: lacking(question, shown[question.asked]) for question in QUESTIONS} == {
        question.asked: [] for question in QUESTIONS
    }


async def _want_as_the_team(place: Place, version: str) -> None:
    """Have a person set the version who may no more than edit the namespace."""
    edit = ["create", "rolebinding", "team", "-n", place.namespace, "--clusterrole=edit", f"--user={TEAM}"]
    await place.kubectl.run(edit)
    async with Api(place.cluster.kubeconfig_of(TEAM)) as api:
        # The API server takes a moment to know of the right.
        team = replace(place, api=api)

        async def wanted() -> bool:
            try:
                await team.want(version)
            except ApiError as refused:
                raise CouldNotAskError(str(refused)) from refused
            return True

        await wait_for(wanted, bool, within=SOON, what=f"{TEAM} may edit {place.namespace}")


async def _all_answered(place: Place, *, during: bool) -> dict[str, str]:
    return {question.asked: await _answered(place, question) for question in QUESTIONS if question.during is during}


async def _answered(place: Place, question: Question) -> str:
    """Ask until the answer has what it must have: records and events arrive a moment after the status."""
    command, *words = question.command.format(model=MODEL, namespace=place.namespace).split()
    program = place.cluster.kubectl if command == "kubectl" else Path(sys.executable).with_name(command)

    async def ask() -> str:
        status, answer = await asyncio.to_thread(on_terminal, [str(program), *words], place.environment, _WIDTH)
        if status not in (question.statuses or {question.status}):
            raise CouldNotAskError(f"status {status}: {answer}")
        return answer

    return await wait_for(
        ask,
        lambda answer: not lacking(question, answer),
        within=SOON,
        what=question.asked,
        describe=lambda answer: f"{lacking(question, answer)} is not in {answer}",
    )


def _without_status(shown: str, asked: str) -> str:
    (status,) = {question.status for question in QUESTIONS if question.asked == asked}
    return shown.rstrip().removesuffix(f"\n{status}") if status else shown

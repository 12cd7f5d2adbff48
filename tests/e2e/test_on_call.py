"""Each question of an on-call engineer about a version that was rolled back has a command that answers it."""

import os
import sys
from pathlib import Path
from typing import Final

from demo.behaviour import Behaviour
from demo.cluster import Kubectl
from demo.observe import wait_for
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place
from support.oncall import NAMESPACE, PAGE, QUESTIONS, Question, answers_of, lacking, page

PLAN: Final = (staging(), canary("1m"), production())
FAILING: Final = Behaviour(failing_share=0.15)


async def test_every_question_about_a_rollback_has_a_command_that_answers_it(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(FAILING)
    async with place.traffic():
        await place.want(BAD)
        await place.until_ended(BAD)
    await place.until_event("RollbackCompleted")

    answers = {question.asked: await _answered(place, question) for question in QUESTIONS}

    if os.environ.get("SERINUS_WRITE_ON_CALL"):
        told = {asked: text.replace(place.namespace, NAMESPACE) for asked, text in answers.items()}
        PAGE.write_text(page(told), encoding="utf-8")
    written = PAGE.read_text(encoding="utf-8")
    shown = answers_of(written)
    assert written == page({asked: _without_status(shown[asked], asked) for asked in shown})
    assert {question.asked: lacking(question, shown[question.asked]) for question in QUESTIONS} == {
        question.asked: [] for question in QUESTIONS
    }


async def _answered(place: Place, question: Question) -> str:
    """Ask until the answer has what it must have: records and events arrive a moment after the status."""
    command, *words = question.command.format(model=MODEL, namespace=place.namespace).split()
    program = place.cluster.kubectl if command == "kubectl" else Path(sys.executable).with_name(command)

    async def ask() -> str:
        return await Kubectl(program, place.environment).run(words, status=question.status)

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

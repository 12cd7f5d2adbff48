"""What people ask about a Rollout at 3 a.m., and the command that answers each question; docs/how-to/on-call.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.e2e.manifests import MODEL

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/how-to/on-call.md"
NAMESPACE: Final = "ml"
"""What the page writes in the place of the test's namespace."""

_HEAD: Final = """\
# On call: each question, and the command that answers it

A version was rolled back. The outputs are those of a real one: `tests/e2e/test_on_call.py` rolls a version back
in the local cluster, asks every question, and holds this page against it (`SERINUS_WRITE_ON_CALL=1` writes it anew).

`kubectl` alone answers most of it; `serinus` is also `kubectl serinus`; [the page](web.md) has the same.

Nothing is rolled back while no operator runs: `serinus status` says so of a version on trial that has not been judged
for three minutes, `serinus check` whether one runs, and [this page](break-glass.md#3-the-operator-is-down) what to do.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        asked: in a person's words.
        command: what answers it, with ``{model}`` and ``{namespace}``.
        told: regular expressions, each of which the answer must have.
        status: the exit status of the command.
        about: what to know beside it.
    """

    asked: str
    command: str
    told: tuple[str, ...]
    status: int = 0
    about: str = ""


QUESTIONS: Final = (
    Question(
        asked="What serves now, and at what weight?",
        command="kubectl get mro {model} -n {namespace} -o wide",
        told=(r"RolledBack\s+1\.0\.0\s+3\.0\.0\s+0\s",),
        about="`WEIGHT` is the candidate's share in percent; the stable version has the rest.",
    ),
    Question(
        asked="All of it in one look?",
        command="serinus status {model} -n {namespace}",
        told=(
            r"Serving +1\.0\.0 +100%",
            r"Wanted +3\.0\.0 +0%",
            r"✖ error_rate",
            r"Traffic +HTTPRoute/",
            r"Do\s+kubectl",
        ),
        status=2,
        about="The exit status is 2 for a version that was rolled back, 4 where a person is waited for.",
    ),
    Question(
        asked="Why was it rolled back: which metric, value, limit, how many requests, when?",
        command="serinus explain {model} -n {namespace}",
        told=(r"rolled back at \d\d:\d\d:\d\dZ", r"✖ error_rate > 0\.5%", r"requests", r"It is a breach", r"PromQL"),
        about="The query is there to paste into Prometheus; it looks at the time of the run, not at now.",
    ),
    Question(
        asked="What happened before, in order?",
        command="kubectl events -n {namespace} --for rollout.serinus.dev/{model}",
        told=("RolloutStarted", "TrafficShifted", "RollbackStarted", "RollbackCompleted"),
        about="Kubernetes keeps events for an hour; `serinus audit log` keeps them for good.",
    ),
    Question(
        asked="Who started it, and what is on record?",
        command="serinus audit log {model} -n {namespace}",
        told=("RolloutStarted", "RollbackStarted", "RolledBack"),
        about="`unverified` stands where the chart's actor stamp is not installed, as in the test: a name that anybody "
        "could write is not shown.",
    ),
    Question(
        asked="How did the versions before it do?",
        command="serinus history {model} -n {namespace}",
        told=(r"3\.0\.0", "RolledBack"),
    ),
    Question(
        asked="How do I stop everything now?",
        command="kubectl annotate namespace {namespace} serinus.dev/freeze=INC-4711",
        told=("annotated",),
        about="No run of the namespace advances any more; rollbacks still happen. For one Rollout there are "
        "`serinus pause` and `serinus abort`.",
    ),
    Question(
        asked="And how do I let it go on?",
        command="kubectl annotate namespace {namespace} serinus.dev/freeze-",
        told=("annotated",),
        about="The version that was rolled back stays in quarantine until `serinus retry`, which begins anew.",
    ),
)


def page(answers: Mapping[str, str]) -> str:
    """Return the page, with the answers by question."""
    return _HEAD + "".join(_section(question, answers[question.asked]) for question in QUESTIONS)


def _section(question: Question, answer: str) -> str:
    command = question.command.format(model=MODEL, namespace=NAMESPACE)
    exits = "; echo $?" if question.status else ""
    shown = f"{answer.rstrip()}\n{question.status}" if question.status else answer.rstrip()
    about = f"\n{question.about}\n" if question.about else ""
    return f"\n## {question.asked}\n\n```console\n$ {command}{exits}\n{shown}\n```\n{about}"


def answers_of(text: str) -> dict[str, str]:
    """Return the answers that are on a page, by question."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    outputs = (re.search(r"```console\n\$ [^\n]*\n(.*?)```", body, re.DOTALL) for body in parts[1::2])
    return {asked: found[1] if found else "" for asked, found in zip(parts[::2], outputs, strict=True)}


def lacking(question: Question, answer: str) -> list[str]:
    """Return what an answer lacks."""
    return [told for told in question.told if not re.search(told, answer)]

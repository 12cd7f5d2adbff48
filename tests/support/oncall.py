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
in the local cluster, asks every question on a terminal of 80 columns, and holds this page against it
(`SERINUS_WRITE_ON_CALL=1` writes it anew).

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
        during: whether it is asked while the version is on trial, and not after it was rolled back.
        statuses: where the exit status does not belong to the answer, those that it may have.
    """

    asked: str
    command: str
    told: tuple[str, ...]
    status: int = 0
    about: str = ""
    during: bool = False
    statuses: frozenset[int] = frozenset()


QUESTIONS: Final = (
    Question(
        asked="What serves now?",
        command="kubectl get mro {model} -n {namespace}",
        told=(r"STABLE", r"RolledBack\s+1\.0\.0\s+3\.0\.0\s+0\s"),
        about="`STABLE` serves. `WEIGHT` is the candidate's share in percent that the gateway has accepted; the stable "
        "version has the rest.",
    ),
    Question(
        asked="At what weight? And all the rest in one look?",
        command="serinus status {model} -n {namespace}",
        told=(
            r"Serving +1\.0\.0 +100%",
            r"Wanted +3\.0\.0 +0%",
            r"wanted by\s+developer",
            r"desired 0%   ✔ accepted",
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
        asked="What happens next, and when?",
        command="kubectl get mro {model} -n {namespace} -o jsonpath={{.status.nextAction}}",
        told=(r"\d\d:\d\d:\d\dZ",),
        about="This was asked while 3.0.0 was on trial. After the rollback nothing more happens by itself: see `Next` "
        "above.",
        during=True,
    ),
    Question(
        asked="Is the reading fresh?",
        command="serinus status {model} -n {namespace}",
        told=(r"judged \d+s ago", r"CHECK .*AGE", r"latency_p95 +[\d.]+ms"),
        about="This, too, was asked while 3.0.0 was on trial: the second line and `AGE` say when it was judged last.",
        during=True,
    ),
    Question(
        asked="Is the operator alive?",
        command="serinus check -n {namespace}",
        told=(r"ok +operator",),
        about="It shows all that a rollout needs. Where no operator runs, the alert "
        "[SerinusOperatorDown](../runbooks/SerinusOperatorDown.md) says so by itself.",
        statuses=frozenset({0, 1}),
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
        told=(r"RolloutStarted.*\n *by developer: ", r"RollbackStarted.*\n *by serinus: ", "RolledBack"),
        about="The API server stamps who acted; where [the chart's policies](install-policies.md) are not installed, "
        "`unverified` stands in the place of a name that anybody could write.",
    ),
    Question(
        asked="How did the versions before it do?",
        command="serinus history {model} -n {namespace}",
        told=(r"3\.0\.0", "RolledBack"),
    ),
    Question(
        asked="How do I freeze everything now?",
        command="kubectl annotate namespace {namespace} serinus.dev/freeze=INC-4711",
        told=("annotated",),
        about="No run of the namespace advances any more; rollbacks still happen. For one Rollout there is "
        "`serinus pause`.",
    ),
    Question(
        asked="And how do I let it go on?",
        command="kubectl annotate namespace {namespace} serinus.dev/freeze-",
        told=("annotated",),
        about="The version that was rolled back stays in quarantine until `serinus retry`, which begins anew.",
    ),
    Question(
        asked="How do I abort a run now?",
        command="kubectl annotate mro {model} -n {namespace} serinus.dev/abort=INC-4711 --overwrite",
        told=("annotated",),
        about="It needs no plugin. `serinus abort` does the same, and waits until the weights are accepted. "
        "Where no run is under way, as here, nothing is changed.",
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

"""Asks the operator for something by annotation, through the user's own kubectl: it has every way to log in."""

import argparse
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Final

from serinus.api.names import REASON_ANNOTATION, ROLLBACK_TO_ANNOTATION, ROLLOUT, Command
from serinus.cli.output import echo
from serinus.errors import SerinusError

TIMEOUT: Final = 30.0

_VERBS: Final = {
    Command.PROMOTE: "let the run leave its stage: gives the approval, or ends the wait; the evidence is still needed",
    Command.PAUSE: "let the run stay where it is; a breach still rolls back",
    Command.RESUME: "let a paused run go on",
    Command.ABORT: "end the run and roll the candidate back",
    Command.RETRY: "start a version again that was rolled back",
}


class KubectlError(SerinusError):
    """kubectl is not there or did not do it."""


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs that only annotate a Rollout."""
    for command, explanation in _VERBS.items():
        verb = verbs.add_parser(command.value, help=explanation, description=explanation)
        verb.add_argument("name", help="the Rollout")
        verb.add_argument("-n", "--namespace", help="its namespace; kubectl's current one where it is not given")
        verb.add_argument("--context", help="the kubeconfig context")
        verb.add_argument("--reason", default="", help="why, for the status and the audit trail")


def run(given: argparse.Namespace) -> int:
    """Annotate as the verb says; return 0."""
    return annotate(Command(given.verb), given.name, given.reason, namespace=given.namespace, context=given.context)


def annotate(  # noqa: PLR0913 - what a person can say at a terminal
    command: Command,
    name: str,
    reason: str,
    *,
    namespace: str | None,
    context: str | None,
    to: str | None = None,
) -> int:
    """Annotate the Rollout and say what was written; return 0.

    The token is the reason and the time, so that the same wish can be asked twice.

    Raises:
        KubectlError: with kubectl's own words.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise KubectlError("kubectl is not on PATH: install it, or annotate the Rollout with your own client")
    token = f"{reason or command.value} ({datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ})"
    words = [
        kubectl,
        "annotate",
        f"{ROLLOUT.plural}.{ROLLOUT.group}",
        name,
        "--overwrite",
        f"{command.annotation}={token}",
        # A reason belongs to one act: the one before must not stand beside this one.
        f"{REASON_ANNOTATION}={reason}" if reason else f"{REASON_ANNOTATION}-",
    ]
    if command is Command.ROLLBACK:
        words.append(f"{ROLLBACK_TO_ANNOTATION}={to.removeprefix('v')}" if to else f"{ROLLBACK_TO_ANNOTATION}-")
    words += ["--namespace", namespace] if namespace else []
    words += ["--context", context] if context else []
    done = _run(words)
    if done.returncode != 0:
        raise KubectlError(done.stderr.strip() or f"kubectl ended with {done.returncode}")
    echo(f"Rollout {name}: {command.annotation}={token}")
    echo(f"See what came of it: kubectl describe mro {name}")
    return 0


def _run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired as problem:
        raise KubectlError(
            f"kubectl did not answer within {TIMEOUT:g} s, so the annotation may or may not be there: look with "
            "kubectl describe mro, then ask again"
        ) from problem
    except OSError as problem:
        raise KubectlError(f"kubectl could not be started: {problem}") from problem

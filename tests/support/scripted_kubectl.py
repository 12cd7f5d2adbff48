"""A kubectl that prints what a test has prepared, and notes what it was asked."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

_PROGRAM: Final = """#!/bin/sh
printf '%s\\n' "$*" >> "{folder}/asked"
printf '%s' "$KUBECONFIG" > "{folder}/kubeconfig"
case "$*" in
  annotate*--output=json) cat "{folder}/object" ;;
  *--watch*) cat "{folder}/watch"; [ -e "{folder}/endless" ] && exec sleep 60; exit "$(cat "{folder}/status")" ;;
  "get events"*) cat "{folder}/events" ;;
  get*) cat "{folder}/object"; cat "{folder}/said" >&2; exit "$(cat "{folder}/status")" ;;
esac
exit 0
"""


@dataclass(frozen=True, slots=True)
class ScriptedKubectl:
    """kubectl as it is found on PATH; everything that it prints is a file in its folder."""

    folder: Path

    def prepare(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")

    def returns(self, found: Any) -> None:
        """What a plain get prints."""
        self.prepare("object", json.dumps(found, indent=2))

    def fails(self, words: str, status: int = 1) -> None:
        self.prepare("said", words)
        self.prepare("status", str(status))

    def shows(self, *objects: dict[str, Any], endless: bool = True, kind: str = "MODIFIED") -> None:
        """What a watch prints, pretty-printed as kubectl does, one after the other."""
        events = [{"type": kind, "object": found} for found in objects]
        self.prepare("watch", "\n".join(json.dumps(event, indent=4) for event in events))
        if endless:
            self.prepare("endless", "")

    def has_events(self, *events: dict[str, Any]) -> None:
        self.prepare("events", json.dumps({"items": list(events)}))

    @property
    def asked(self) -> Sequence[str]:
        """The command lines, in order."""
        return (self.folder / "asked").read_text(encoding="utf-8").splitlines()


def scripted_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedKubectl:
    """Put a kubectl on PATH that finds nothing."""
    kubectl = ScriptedKubectl(folder)
    for name, content in (("object", "{}"), ("watch", ""), ("events", '{"items": []}'), ("said", ""), ("status", "0")):
        kubectl.prepare(name, content)
    program = folder / "kubectl"
    program.write_text(_PROGRAM.format(folder=folder), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "80")
    return kubectl

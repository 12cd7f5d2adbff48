"""A kubectl for the commands about Rollouts."""

from pathlib import Path

import pytest

from support.scripted_kubectl import ScriptedKubectl, scripted_kubectl


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedKubectl:
    return scripted_kubectl(tmp_path, monkeypatch)

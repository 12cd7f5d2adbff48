"""The Kustomize base is what the chart makes of its defaults."""

import runpy
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_GENERATOR: Final = runpy.run_path(str(_ROOT / "tools" / "generate_kustomize.py"))
_BASE: Final[Path] = _GENERATOR["BASE"]


def test_the_base_is_what_the_chart_says() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in _BASE.iterdir()} == _GENERATOR["files"](), (
        "run: make kustomize"
    )


def test_nothing_of_helm_is_left_in_it() -> None:
    assert not [path.name for path in _BASE.iterdir() if "helm.sh" in path.read_text(encoding="utf-8")]

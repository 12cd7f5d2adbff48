"""The API reference is generated from the CRDs and complete."""

import runpy
from pathlib import Path
from typing import Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDER: Final = _ROOT / "docs" / "reference"


def test_the_committed_page_is_generated_from_the_crds() -> None:
    page = runpy.run_path(str(_ROOT / "tools" / "generate_api.py"))["page"]()
    advice = "run: python tools/generate_api.py > docs/reference/api.md"
    assert (_FOLDER / "api.md").read_text(encoding="utf-8") == page, advice


def test_every_field_of_a_stage_is_on_the_page() -> None:
    crd = yaml.safe_load((_ROOT / "deploy" / "crds" / "rollouts.yaml").read_text(encoding="utf-8"))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    text = (_FOLDER / "api.md").read_text(encoding="utf-8")
    missing = [
        name for name in spec["properties"]["stages"]["items"]["properties"] if f"`spec.stages[].{name}`" not in text
    ]
    assert missing == []

"""The definitions in the Kustomize base are the code's, told by the quick tests: the rest of the base needs Helm."""

from pathlib import Path
from typing import Final

import yaml

from serinus.api import crd

_CRDS: Final = Path(__file__).resolve().parents[3] / "deploy" / "kustomize" / "base" / "crds.yaml"


def test_the_kustomize_base_has_the_definitions_of_the_code() -> None:
    installed = {one["metadata"]["name"]: one for one in yaml.safe_load_all(_CRDS.read_text(encoding="utf-8"))}
    written = [yaml.safe_load(crd.render(one)) for one in crd.definitions().values()]

    assert {name: one["spec"] for name, one in installed.items()} == {
        one["metadata"]["name"]: one["spec"] for one in written
    }, "run: make crds kustomize"

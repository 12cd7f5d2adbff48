"""Every example goes into a real cluster as a user would apply it."""

from pathlib import Path
from typing import Final

import pytest

from support.helm import find_helm
from support.kubectl import Kubectl
from support.release import CHART

_EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"
_APPLIED: Final = [*sorted(file.parent for file in _EXAMPLES.glob("*/rollout.yaml")), _EXAMPLES / "quickstart"]


@pytest.mark.parametrize("folder", _APPLIED, ids=lambda folder: folder.name)
def test_an_example_is_applied_and_applying_it_again_changes_nothing(
    gateway_api: None, user: Kubectl, folder: Path
) -> None:
    # Values of the chart are for Helm.
    files = [f"--filename={file}" for file in sorted(folder.glob("*.yaml")) if file.name != "values.yaml"]
    first = user("apply", *files).splitlines()
    assert first
    assert all(line.endswith(" created") for line in first)
    again = user("apply", *files).splitlines()
    assert all(line.endswith(" unchanged") for line in again)


def test_no_example_is_left_out() -> None:
    assert {folder for folder in _EXAMPLES.iterdir() if folder.is_dir()} == set(_APPLIED)


def test_the_values_of_the_named_query_fit_the_chart() -> None:
    values = _EXAMPLES / "named-query" / "values.yaml"
    (settings,) = (
        document["data"]["config.yaml"]
        for document in find_helm().template(CHART, f"--values={values}")
        if document["kind"] == "ConfigMap"
    )
    assert "model_feature_drift" in settings

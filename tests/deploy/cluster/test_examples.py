"""Every example is applied to a real cluster as by a user."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.helm import find_helm
from support.kubectl import Kubectl
from support.release import CHART

_EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"
_APPLIED: Final = sorted(folder for folder in _EXAMPLES.iterdir() if folder.is_dir())


@pytest.fixture
def applier(admin: Kubectl) -> Iterator[Kubectl]:
    """The administrator, in a namespace for one example: some examples use the same names."""
    namespace = f"example-{uuid.uuid4().hex[:8]}"
    admin("create", "namespace", namespace)
    yield admin.within(namespace)
    admin("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("folder", _APPLIED, ids=lambda folder: folder.name)
def test_an_example_is_applied_and_applying_it_again_changes_nothing(
    gateway_api: None, applier: Kubectl, folder: Path
) -> None:
    # values.yaml is for Helm.
    files = [f"--filename={file}" for file in sorted(folder.glob("*.yaml")) if file.name != "values.yaml"]
    first = applier("apply", *files).splitlines()
    assert first
    assert all(line.endswith(" created") for line in first)
    again = applier("apply", *files).splitlines()
    assert all(line.endswith(" unchanged") for line in again)


def test_the_values_of_the_named_query_fit_the_chart() -> None:
    values = _EXAMPLES / "named-query" / "values.yaml"
    (settings,) = (
        document["data"]["config.yaml"]
        for document in find_helm().template(CHART, f"--values={values}")
        if document["kind"] == "ConfigMap"
    )
    assert "model_feature_drift" in settings

"""The chart's values: described one by one, and refused where they are unknown."""

import json
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from support.helm import Helm, HelmError, find_helm
from support.release import CHART, SOURCE

_TOOL: Final = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "generate_chart_readme.py"))
_SCHEMA: Final[Mapping[str, Any]] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

_FREE_BY_DESIGN: Final = {
    "/global": "Helm's own: values for every chart of a parent chart",
    "/affinity/nodeAffinity": "a type of Kubernetes, which the API server checks",
    "/affinity/podAffinity": "likewise",
    "/affinity/podAntiAffinity": "likewise",
    "/env[]/valueFrom": "likewise",
    "/volumes[]": "likewise: over twenty kinds of volumes",
    "/topologySpreadConstraints[]/labelSelector": "likewise",
    "/networkPolicy/egress[]/to[]": "likewise",
    "/networkPolicy/egress[]/ports[]": "likewise",
}


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


def test_the_readme_is_what_the_comments_of_the_values_say() -> None:
    assert _TOOL["README"].read_text(encoding="utf-8") == _TOOL["readme"](), "run: make kustomize"


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(_TOOL["UndescribedError"], match=r"web\.hosts"):
        list(_TOOL["values"]("web:\n  # -- Serve it.\n  enabled: false\n  hosts: []\n"))


def test_the_parts_of_a_described_value_need_no_comment() -> None:
    text = "# -- How much.\n#\n# | a | b |\nresources:\n  limits: {memory: 1Mi}\n# -- Who.\nname: a|b\n"
    found = list(_TOOL["values"](text))
    assert [(one.path, one.default, one.text, one.more) for one in found] == [
        ("resources", {"limits": {"memory": "1Mi"}}, "How much.", "| a | b |"),
        ("name", "a|b", "Who.", ""),
    ]


def test_no_description_ends_its_cell_or_is_html() -> None:
    assert _TOOL["_cell"]("a|b <c> `<d>`") == "a\\|b &lt;c> `<d>`"


def _open_objects(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each object in a schema whose unknown fields are admitted."""
    if schema.get("type") == "object" or "properties" in schema:
        others = schema.get("additionalProperties", True)
        if others is True:
            yield path
        elif isinstance(others, dict):
            yield from _open_objects(others, f"{path}/*")
    for name, member in schema.get("properties", {}).items():
        yield from _open_objects(member, f"{path}/{name}")
    if "items" in schema:
        yield from _open_objects(schema["items"], f"{path}[]")


def test_every_object_of_the_schema_refuses_unknown_fields_or_is_free_by_design() -> None:
    assert set(_open_objects(_SCHEMA)) == _FREE_BY_DESIGN.keys()


def test_an_object_that_admits_anything_would_be_found() -> None:
    nested = {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "object"}}}}
    closed = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": False}}
    schema = {"type": "object", "additionalProperties": False, "properties": {"a": nested, "c": closed}}
    assert list(_open_objects(schema)) == ["/a[]", "/a[]/b"]


def _paths(schema: Mapping[str, Any], values: object, path: str = "") -> Iterator[str]:
    """Yield the path of each default that the schema does not know."""
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        known = schema.get("properties", {}).get(name)
        if known is not None:
            yield from _paths(known, value, f"{path}.{name}")
        elif not isinstance(schema.get("additionalProperties"), dict):
            yield f"{path}.{name}"


def test_the_schema_has_every_described_value() -> None:
    described = {value.path: value.default for value in _TOOL["values"]((CHART / "values.yaml").read_text("utf-8"))}
    nested: dict[str, Any] = {}
    for path, default in described.items():
        *parents, name = path.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = default
    assert len(described) > 60
    assert list(_paths(_SCHEMA, nested)) == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("resources.limit.memory=1Gi", "/resources"),
        ("tolerations[0].kee=a", "/tolerations/0"),
        ("volumeMounts[0].path=/a", "/volumeMounts/0"),
        ("topologySpreadConstraints[0].topology=zone", "/topologySpreadConstraints/0"),
        ("networkPolicy.egress[0].from=a", "/networkPolicy/egress/0"),
        ("proxy.https=proxy:3128", "/proxy/https"),
        ("metrics.serviceMonitor.interval=15", "/metrics/serviceMonitor/interval"),
    ],
)
def test_an_invalid_value_is_refused_naming_its_path(helm: Helm, value: str, path: str) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(CHART, SOURCE, f"--set={value}")
    assert path in str(refusal.value)

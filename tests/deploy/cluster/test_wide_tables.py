"""Tables of 4,096 columns: the API server stores them, keeps them immutable, and refuses one column more."""

from typing import Any, Final

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.signature import MAX_FIELDS
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, model_version

_EVERY_FACET: Final[dict[str, Any]] = {"min": "0", "max": "1e9", "unit": "EUR", "featureRef": "aggregates@3"}


def _table(version: str, columns: int, **first: Any) -> Manifest:
    names = [f"transactions_of_the_last_30_days_feature_{number:04}" for number in range(columns)]
    inputs = [{"name": name, "dtype": "float64", **_EVERY_FACET} for name in names]
    inputs[0] |= first
    signature = {"profile": "columnar", "inputs": inputs, "outputs": [{"name": "score", "dtype": "float32"}]}
    changes = {"metadata.name": f"fraud-detector-v{version}", "spec.version": version, "spec.signature": signature}
    return model_version(changes)


def test_a_table_of_4096_columns_is_stored_and_read_by_the_operator(user: Kubectl) -> None:
    manifest = _table("1.0.0", MAX_FIELDS)
    # Server-side apply keeps no copy of the manifest in an annotation, which must be below 256 KiB.
    user("apply", "--server-side", "-f", "-", given=manifest)
    stored = user.json("get", "modelversion", "fraud-detector-v1.0.0")
    assert len(stored["spec"]["signature"]["inputs"]) == MAX_FIELDS
    assert decode(ModelVersionSpec, stored["spec"], "spec") == decode(ModelVersionSpec, manifest["spec"], "spec")
    # An annotation makes the API server compare the whole spec with what it was.
    user("annotate", "modelversion", "fraud-detector-v1.0.0", "serinus.dev/yanked=wrong units")


def test_a_column_of_a_wide_table_cannot_be_changed(user: Kubectl) -> None:
    user("apply", "--server-side", "-f", "-", given=_table("1.1.0", MAX_FIELDS))
    refusal = user.refusal("apply", "--server-side", "-f", "-", given=_table("1.1.0", MAX_FIELDS, unit="USD"))
    assert "a ModelVersion's spec is immutable" in refusal


def test_one_column_more_is_refused_by_its_number(user: Kubectl) -> None:
    refusal = user.refusal("create", "-f", "-", given=_table("1.2.0", MAX_FIELDS + 1))
    assert "spec.signature.inputs" in refusal
    assert f"must have at most {MAX_FIELDS} items" in refusal

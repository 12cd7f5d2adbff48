"""``serinus diff`` and the operator give one answer, for random pairs of manifests and policies."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from serinus.api.names import WAIVER_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION, ObjectKey
from serinus.api.parsing import encode
from serinus.api.rollout_status import RolloutStatus, Serving
from serinus.cli import main
from serinus.engine.semver import parse_version
from serinus.engine.versions.admission import REGISTERED, Review
from serinus.kube.records import model_record, model_version_record
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from support.builders import NOW
from support.examples import examples
from support.records import rollout
from support.schema.signatures import changed, signatures

_NUMBERS: Final = (
    *("0.3.1", "0.3.2", "1.0.0-rc9", "1.0.0-rc10", "1.0.0", "1.0.0-hotfix.1", "1.0.1", "1.1.0", "1.0.0-4-gabcdef0"),
    *("1.1.0-rc.1", "2.0.0", "2.0.0-rc.1", "v2.1.0"),
)
_DIGESTS: Final = tuple("sha256:" + letter * 64 for letter in "ab")
_METADATA: Final = {"namespace": "ml", "resourceVersion": "1", "creationTimestamp": "2026-11-01T00:00:00Z"}


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


builds: Final = st.fixed_dictionaries(
    {
        "artifact": maybe(st.sampled_from([{"uri": "s3://m", "digest": digest} for digest in _DIGESTS])),
        "framework": maybe(st.sampled_from([{"name": "pytorch", "version": one} for one in ("2.1.0", "2.1.1", "2.2")])),
        "trainingData": maybe(st.sampled_from([[{"uri": "s3://d", "digest": digest}] for digest in _DIGESTS])),
        "metrics": maybe(st.sampled_from([[{"name": "f1", "value": one}] for one in ("0.91", "0.905", "0.8")])),
        "serving": maybe(st.sampled_from([{"backendRef": {"name": one, "port": 80}} for one in ("a", "b")])),
    }
)
policies: Final = st.fixed_dictionaries(
    {
        "versioning": st.fixed_dictionaries(
            {"enforcement": st.sampled_from(["Enforce", "Warn"]), "retraining": st.sampled_from(["Enforce", "Warn"])}
        ),
        "metrics": st.fixed_dictionaries(
            {
                "enforcement": st.sampled_from(["Enforce", "Warn"]),
                "tolerances": st.sampled_from([[], [{"name": "f1", "better": "Higher", "worseBy": "0.01"}]]),
            }
        ),
        "require": st.sampled_from([{}, {}, {"digest": True}, {"signature": True}, {"lineage": True}]),
    }
)
annotations: Final = st.sampled_from(
    [{}, {}, {WAIVER_ANNOTATION: "known"}, {WORSE_METRICS_ANNOTATION: "faster"}, {YANKED_ANNOTATION: "poisoned"}]
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the version that serves and one to follow it, with different numbers."""
    old_signature = draw(maybe(signatures))
    new_signature = draw(changed(old_signature)) if old_signature is not None and draw(st.booleans()) else old_signature
    numbers = draw(st.lists(st.sampled_from(_NUMBERS), min_size=2, max_size=2, unique=True))
    manifests = []
    for number, signature in zip(numbers, (old_signature, new_signature), strict=True):
        facts = {name: value for name, value in draw(builds).items() if value is not None}
        signed = {"signature": encode(signature)} if signature is not None else {}
        name = f"fraud-v{number.removeprefix('v')}"
        manifests.append(
            {
                "apiVersion": "serinus.dev/v1alpha1",
                "kind": "ModelVersion",
                "metadata": {"name": name, "uid": name, **_METADATA, "annotations": draw(annotations)},
                "spec": {"model": "fraud", "version": number, **facts, **signed},
            }
        )
    return manifests[0], manifests[1]


def operators(old: dict[str, Any], new: dict[str, Any], model: dict[str, Any]) -> Review:
    """Return the operator's review of the later version while the other one serves."""
    cache = ClusterCache()
    before, after = model_version_record(old), model_version_record(new)
    cache.put(before)
    cache.put(after)
    cache.put(model_record(model))
    cache.put(rollout(status=RolloutStatus(stable=Serving(version=before.version, weight=100, since=NOW))))
    admission = AdmissionCache(cache)
    for version in (before, after):
        admission.set_registration(version.meta.uid, REGISTERED)
    return admission.reviews(ObjectKey("ml", "fraud"))[after.version]


def diffs(folder: Path, old: dict[str, Any], new: dict[str, Any], model: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the exit status and the JSON of ``serinus diff``."""
    for name, documents in (("old", [old]), ("new", [new, model])):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = main(["diff", str(folder / "old.yaml"), str(folder / "new.yaml"), "--json"])
    return status, json.loads(told.getvalue()) if status != 2 else {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diff")


@settings(max_examples=examples(400))
@given(pair=pairs(), policy=policies)
def test_diff_and_the_operator_agree(
    folder: Path, pair: tuple[dict[str, Any], dict[str, Any]], policy: dict[str, Any]
) -> None:
    old, new = pair
    model = {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "fraud", "uid": "model", **_METADATA},
        "spec": policy,
    }
    status, answer = diffs(folder, old, new, model)
    number, serves = parse_version(new["spec"]["version"]), parse_version(old["spec"]["version"])
    if number < serves and number.prerelease is None:
        assert status == 2  # a release below what serves follows nothing
        return
    review = operators(old, new, model)
    event("accepted" if review.block is None else review.block.reason)
    assert status == (0 if review.block is None else 1)
    assert answer["accepted"] == (review.block is None)
    schema = next(one for one in review.findings if one.kind == "SchemaAccepted")
    told = (schema.reason, schema.message)
    if review.block is not None and review.block.reason != "SchemaRejected":
        told = (review.block.reason, review.block.message)
    assert (answer["reason"], answer["message"]) == told
    assert review.compatibility is not None
    assert answer["declared"] == review.compatibility.declared.value
    assert answer["required"] == review.compatibility.required.value

"""The API server and the operator's parser give the same verdict, on manifests at random.

What the API server alone decides is left out: the names of objects (a ModelVersion gets the one name of its spec) and
the length of a time's fraction, which the parser does not see.
"""

from collections.abc import Iterator

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.errors import InvalidObjectError
from support.dry_run import DryRun
from support.examples import examples
from support.kubectl import Kubectl
from support.manifests.builders import Manifest
from support.manifests.mutations import manifests

_KINDS: dict[str, type[RolloutSpec | ModelVersionSpec | ModelSpec]] = {
    "Rollout": RolloutSpec,
    "ModelVersion": ModelVersionSpec,
    "Model": ModelSpec,
}

_TOGETHER = 10


@pytest.fixture(scope="module")
def server(user: Kubectl) -> Iterator[DryRun]:
    dry_run = DryRun.of(user.kubeconfig, user.namespace)
    yield dry_run
    dry_run.close()


def _refusal(manifest: Manifest) -> str:
    """Return why the operator refuses a manifest; empty where it takes it."""
    kind, spec = manifest["kind"], manifest.get("spec")
    try:
        # A Model needs no spec.
        decode(_KINDS[kind], {} if spec is None and kind == "Model" else spec, "spec")
    except InvalidObjectError as problem:
        return str(problem)
    return ""


@settings(max_examples=examples(2000 // _TOGETHER))
@given(batch=st.lists(manifests(), min_size=_TOGETHER, max_size=_TOGETHER))
def test_what_one_takes_the_other_takes(server: DryRun, batch: list[Manifest]) -> None:
    disagreements = []
    for manifest, verdict in zip(batch, server.create_each(batch), strict=True):
        event(f"{manifest['kind']} {'taken' if verdict.taken else 'refused'}")
        # What is stored is what the operator reads: without nulls, and with 2 where somebody wrote 2.0.
        refusal = _refusal(verdict.stored if verdict.stored is not None else manifest)
        if verdict.taken == bool(refusal):
            disagreements.append({"API server": verdict.said or "taken", "operator": refusal or "taken", **manifest})
    assert disagreements == []

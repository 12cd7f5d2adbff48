"""The API server and the operator's parser give the same verdict, on manifests at random."""

import pytest
from hypothesis import event, given, settings

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


@pytest.fixture(scope="module")
def server(user: Kubectl) -> DryRun:
    return DryRun.of(user.kubeconfig, user.namespace)


def _refusal(manifest: Manifest) -> str:
    """Return why the operator refuses a manifest; empty where it takes it."""
    try:
        decode(_KINDS[manifest["kind"]], manifest.get("spec"), "spec")
    except InvalidObjectError as problem:
        return str(problem)
    return ""


@settings(max_examples=examples(2000))
@given(manifest=manifests())
def test_what_one_takes_the_other_takes(server: DryRun, manifest: Manifest) -> None:
    verdict, refusal = server.create(manifest), _refusal(manifest)
    event(f"{manifest['kind']} {'taken' if verdict.taken else 'refused'}")
    assert verdict.taken == (not refusal), (verdict.said, refusal)
    if verdict.stored is not None:
        assert not _refusal(verdict.stored)

"""The API server, the operator's parser and ``serinus lint`` give the same verdict, on manifests at random.

``serinus lint`` gives it also in the same words. What the API server alone decides is left out: the names of objects (a
ModelVersion gets the one name of its spec) and the length of a time's fraction, which the parser does not see.
"""

from collections.abc import Iterator

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.cli.lint.finding import Check
from serinus.cli.lint.object_check import object_problems
from serinus.errors import InvalidObjectError
from support.dry_run import DryRun, Verdict
from support.examples import examples
from support.kubectl import Kubectl
from support.manifests.builders import Manifest
from support.manifests.mutations import manifests
from support.manifests.refused import REFUSED, Refused

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


def _of_another_mind(manifest: Manifest, verdict: Verdict) -> list[str]:
    """Return what ``serinus lint`` finds and the API server does not say, or that it misses a refusal."""
    found = [one for one in object_problems(manifest) if one.check is not Check.PARSER]
    if not verdict.taken and not found:
        return ["no problem"]
    # The API server says no more once a field is unknown, or once the object does not have the types of the schema.
    if "strict decoding error" in verdict.said:
        found = [one for one in found if one.check is Check.UNKNOWN_FIELD]
    elif "some validation rules were not checked" in verdict.said:
        found = [one for one in found if one.check is Check.SCHEMA]
    return [f"{one.path}: {one.said}" for one in found if one.said not in verdict.said]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_lint_says_of_a_refused_manifest_what_the_api_server_says(server: DryRun, case: Refused) -> None:
    assert _of_another_mind(case.manifest, server.create(case.manifest)) == []


@settings(max_examples=examples(2000 // _TOGETHER))
@given(batch=st.lists(manifests(), min_size=_TOGETHER, max_size=_TOGETHER))
def test_what_one_takes_the_other_takes(server: DryRun, batch: list[Manifest]) -> None:
    disagreements = []
    for manifest, verdict in zip(batch, server.create_each(batch), strict=True):
        event(f"{manifest['kind']} {'taken' if verdict.taken else 'refused'}")
        # What is stored is what the operator reads: without nulls, and with 2 where somebody wrote 2.0.
        refusal = _refusal(verdict.stored if verdict.stored is not None else manifest)
        lint = _of_another_mind(manifest, verdict)
        if verdict.taken == bool(refusal) or lint:
            said = {"API server": verdict.said or "taken", "operator": refusal or "taken", "lint": lint}
            disagreements.append({**said, **manifest})
    assert disagreements == []

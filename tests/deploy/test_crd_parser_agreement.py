"""The operator's parser and the CRDs agree: what one takes the other takes, what one refuses the other refuses."""

from pathlib import Path

import pytest

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.crd import definitions, render
from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode, encode
from serinus.api.rollout import RolloutSpec
from serinus.errors import InvalidObjectError
from support.manifests.accepted import TAKEN
from support.manifests.builders import Manifest
from support.manifests.refused import REFUSED, Refused

_ROOT = Path(__file__).resolve().parents[2]
_Spec = RolloutSpec | ModelVersionSpec | ModelSpec | AuditRecordSpec
_KINDS: dict[str, type[_Spec]] = {
    "Rollout": RolloutSpec,
    "ModelVersion": ModelVersionSpec,
    "Model": ModelSpec,
    "AuditRecord": AuditRecordSpec,
}


def _read(manifest: Manifest) -> _Spec:
    return decode(_KINDS[manifest["kind"]], manifest.get("spec"), "spec")


@pytest.mark.parametrize("manifest", TAKEN.values(), ids=TAKEN.keys())
def test_the_operator_reads_what_the_api_server_stores(manifest: Manifest) -> None:
    read = _read(manifest)
    assert decode(type(read), encode(read), "spec") == read


@pytest.mark.parametrize("case", [case for case in REFUSED if not case.server_only], ids=lambda case: case.story)
def test_the_operator_refuses_what_the_api_server_would_refuse(case: Refused) -> None:
    with pytest.raises(InvalidObjectError):
        _read(case.manifest)


@pytest.mark.parametrize("case", [case for case in REFUSED if case.server_only], ids=lambda case: case.story)
def test_a_rule_that_only_the_api_server_keeps_is_known_to_be_so(case: Refused) -> None:
    assert encode(_read(case.manifest)), "the parser refuses it by now: take the case's server_only away"


@pytest.mark.parametrize("name", definitions())
def test_the_committed_crds_are_what_the_models_say(name: str) -> None:
    committed = (_ROOT / "deploy" / "crds" / name).read_text(encoding="utf-8")
    assert committed == render(definitions()[name]), "run: python -m serinus.api.crd deploy/crds"

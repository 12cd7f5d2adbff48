"""The operator's parser and the CRDs accept and reject the same manifests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.crd import definitions, render
from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode, encode
from serinus.api.rollout import RolloutSpec
from serinus.errors import InvalidObjectError
from support.manifests.accepted import ACCEPTED
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


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_operator_parses_every_manifest_that_the_api_server_accepts(manifest: Manifest) -> None:
    read = _read(manifest)
    assert decode(type(read), encode(read), "spec") == read


@pytest.mark.parametrize("case", [case for case in REFUSED if not case.server_only], ids=lambda case: case.title)
def test_the_operator_rejects_every_manifest_that_the_api_server_rejects(case: Refused) -> None:
    with pytest.raises(InvalidObjectError):
        _read(case.manifest)


@pytest.mark.parametrize("case", [case for case in REFUSED if case.server_only], ids=lambda case: case.title)
def test_a_rule_marked_as_server_only_is_not_checked_by_the_parser(case: Refused) -> None:
    assert encode(_read(case.manifest)), "the parser rejects it now: remove the case's server_only"


@pytest.mark.parametrize("name", definitions())
def test_the_committed_crds_are_generated_from_the_models(name: str) -> None:
    committed = (_ROOT / "deploy" / "crds" / name).read_text(encoding="utf-8")
    assert committed == render(definitions()[name]), "run: python -m serinus.api.crd deploy/crds"


@pytest.mark.parametrize("name", ["rollouts.yaml", "modelversions.yaml", "models.yaml", "auditrecords.yaml"])
def test_only_traffic_is_a_number_or_a_text_and_no_rule_reads_all_of_it_twice(name: str) -> None:
    """Before 1.34 the API server takes such a field for 3 MB of text, and refuses the CRD if rules read too much of it.

    What was accepted there: rollout_rules.py says which functions are estimated without the length.
    """
    crd = yaml.safe_load((_ROOT / "deploy" / "crds" / name).read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found = dict(_numbers_or_texts(schema, ""))
    assert set(found) == ({".spec.stages[].traffic"} if name == "rollouts.yaml" else set())
    own = [text.replace("self", "self.traffic") for field in found.values() for text in _expressions(field)]
    others = _expressions(schema["properties"]["spec"]) if found else []
    others += _expressions(schema["properties"]["spec"]["properties"]["stages"]["items"]) if found else []
    assert [text for text in own + others if _COSTLY.search(text)] == []


_COSTLY = re.compile(
    r"type\([^)]*\) [=!]=|traffic[.](matches|find|split|contains|trim|replace|lowerAscii)|[+] \w+[.]traffic"
)


def _expressions(schema: dict[str, Any]) -> list[str]:
    rules = schema["x-kubernetes-validations"]
    return [text for rule in rules for text in (rule["rule"], rule.get("messageExpression", ""))]


def _numbers_or_texts(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if schema.get("x-kubernetes-int-or-string"):
        yield path, schema
    for field, member in schema.get("properties", {}).items():
        yield from _numbers_or_texts(member, f"{path}.{field}")
    if "items" in schema:
        yield from _numbers_or_texts(schema["items"], f"{path}[]")

"""Generates the CustomResourceDefinitions from the typed models: ``python -m serinus.api.crd deploy/crds``.

msgspec generates JSON Schema; the API server requires a *structural* schema (no ``$ref``, ``anyOf`` with null,
``title`` or ``const``), so references are inlined and optional members are not required.
"""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from serinus.api import audit_record, model
from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ModelSpec, ModelStatus
from serinus.api.modelversion import IMMUTABLE, OBJECT_RULES, ModelVersionSpec, ModelVersionStatus
from serinus.api.names import AUDIT_RECORD, GROUP, MODEL, MODEL_VERSION, ROLLOUT, VERSION, Kind
from serinus.api.preset_metrics import PRESET_RULES
from serinus.api.quantities import LONGEST_TEXT, Duration, Share
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_rules import ONE_MODEL, SPEC_RULES
from serinus.api.rollout_status import STATUS_RULES, RolloutStatus
from serinus.api.schema import API_DEFAULT, API_PATTERN, NEVER_OBSERVED, matches, rule, rules

Schema = dict[str, Any]

_BOUNDS: Final = {f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items", "Properties", "imum")}
_KEPT: Final = {"type", "description", "enum", "format", "pattern", "required"} | _BOUNDS

_DURATION: Final = rule(
    matches("self", Duration.PATTERN),
    Duration.ADVICE,
    computed="self.matches('^[0-9]{1,6}$') ? 'give a unit: write ' + self + 's, ' + self + 'm or ' + self + 'h'"
    " : self.matches('^[0-9]+d$') ? 'use hours, minutes and seconds: 24h for a day'"
    f" : '{Duration.ADVICE}'",
)
"""What to write where a length of time has no unit, or one in days."""


def structural(kind: type[msgspec.Struct]) -> Schema:
    """Return the structural schema of a model.

    Raises:
        TypeError: a structural schema cannot express the model.
    """
    (root,), definitions = msgspec.json.schema_components((kind,), schema_hook=_quantity, ref_template="{name}")
    return _structural(root, definitions)


def _quantity(kind: type[Any]) -> Schema:
    if kind not in {Duration, Share}:
        raise NotImplementedError(f"{kind} has no schema")
    schema = {
        "type": "string",
        "pattern": kind.PATTERN,
        "minLength": 1,
        "maxLength": LONGEST_TEXT,
        "description": kind.DESCRIPTION,
    }
    # The rules of a share are those of the field: it may be a number to the schema.
    return schema | (rules(_DURATION) if kind is Duration else {})


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in node:
        target = _structural(definitions[node["$ref"]], definitions)
        return target | _structural({key: value for key, value in node.items() if key != "$ref"}, definitions)
    if "anyOf" in node:
        return _optional(node, definitions)
    out = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if API_PATTERN in node:
        out["pattern"] = node[API_PATTERN]
    if API_DEFAULT in node:
        out["default"] = node[API_DEFAULT]
    if "items" in node:
        out["items"] = _structural(node["items"], definitions)
    if "properties" in node:
        out["properties"] = {name: _structural(member, definitions) for name, member in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict) and node["additionalProperties"]:
        out["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "enum" in out:
        out["type"] = "string"
    return out


def _optional(node: Schema, definitions: dict[str, Schema]) -> Schema:
    members = [member for member in node["anyOf"] if member != {"type": "null"}]
    if len(members) != 1:
        raise TypeError(f"a union has no structural schema: {node}")
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return _structural(members[0], definitions) | _structural(rest, definitions)


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, description: str = "") -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"description": description} if description else {}) | ({"priority": 1} if wide else {})


_ROLLOUT_COLUMNS: Final = [
    _column("Phase", ".status.phase"),
    _column("Stable", ".status.stable.version"),
    _column("Candidate", ".status.candidate.version"),
    _column(
        "Weight", ".status.candidate.weight", "number", description="Percent of the traffic that the candidate gets."
    ),
    _column("Stage", ".status.stage.name"),
    _column("Reason", ".status.reason"),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Since", ".status.phaseSince", "date", wide=True),
    _column("Next", ".status.nextAction", wide=True),
]
_MODEL_VERSION_COLUMNS: Final = [
    _column("Model", ".spec.model"),
    _column("Version", ".spec.version"),
    _column("Stage", ".status.stage"),
    _column("Traffic", ".status.traffic"),
    _column("Backend", ".spec.serving.backendRef.name"),
    _column("Bump", ".status.compatibility.required", description="How much the version number had to grow."),
    _column("Accepted", '.status.conditions[?(@.type=="Accepted")].status'),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Artifact", ".spec.artifact.uri", wide=True),
    _column("Digest", ".spec.artifact.digest", wide=True),
]

_MODEL_COLUMNS: Final = [
    _column("Production", ".status.production.version"),
    _column("Since", ".status.production.since", "date"),
    _column("Candidate", ".status.candidate.version"),
    _column("Traffic", ".status.candidate.traffic"),
    _column("Previous", ".status.good[0]", description="Where a rollback goes."),
    _column("Records", ".status.audit.sequence", "integer"),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Owner", ".spec.owner", wide=True),
    _column("Generation", ".status.generation", "integer", wide=True),
]
_AUDIT_RECORD_COLUMNS: Final = [
    _column("Model", ".spec.model"),
    _column("At", ".spec.at"),
    _column("Event", ".spec.event"),
    _column("Version", ".spec.version"),
    _column("Actor", ".spec.actor.name"),
    _column("Reason", ".spec.reason"),
    _column("Hash", ".spec.hash", wide=True),
]


def _definition(kind: Kind, short: str, columns: list[Schema], schema: Schema, selectable: list[str]) -> Schema:
    singular = kind.kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "serinus"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": singular,
                "shortNames": [short],
                # `kubectl get all` should not list thousands of records.
                "categories": ["serinus"] if kind is AUDIT_RECORD else ["serinus", "all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}} if "status" in schema["properties"] else {},
                    "additionalPrinterColumns": columns,
                    "selectableFields": [{"jsonPath": path} for path in selectable],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _object(description: str, spec: Schema, status: Schema | None, extra: Schema) -> Schema:
    meta = {"type": "string"}
    members = {"apiVersion": meta, "kind": meta, "metadata": {"type": "object"}, "spec": spec}
    members |= {"status": status} if status is not None else {}
    return {"type": "object", "description": description, "required": ["spec"], "properties": members} | extra


def definitions() -> dict[str, Schema]:
    """Return every CRD by its file name."""
    rollout = _object(
        "The desired version of a model, and the plan of stages by which it is rolled out.",
        structural(RolloutSpec) | rules(*SPEC_RULES, *PRESET_RULES, ONE_MODEL),
        structural(RolloutStatus) | rules(*STATUS_RULES) | NEVER_OBSERVED,
        {},
    )
    model_version = _object(
        "One immutable version of a model: what it was built from and where it serves.",
        structural(ModelVersionSpec) | rules(IMMUTABLE),
        structural(ModelVersionStatus) | NEVER_OBSERVED,
        rules(*OBJECT_RULES),
    )
    return {
        "rollouts.yaml": _definition(
            ROLLOUT, "mro", _ROLLOUT_COLUMNS, rollout, [".spec.model", ".spec.version", ".status.phase"]
        ),
        "modelversions.yaml": _definition(
            MODEL_VERSION, "mv", _MODEL_VERSION_COLUMNS, model_version, [".spec.model", ".spec.version"]
        ),
        "models.yaml": _definition(MODEL, "mdl", _MODEL_COLUMNS, _model(), []),
        "auditrecords.yaml": _definition(
            AUDIT_RECORD, "mar", _AUDIT_RECORD_COLUMNS, _audit_record(), [".spec.model", ".spec.event", ".spec.version"]
        ),
    }


def _model() -> Schema:
    schema = _object(
        "One model: its team's policy, and the registry's head, which only the operator writes.",
        structural(ModelSpec),
        structural(ModelStatus) | rules(*model.STATUS_RULES),
        {},
    )
    return schema | {"required": []}


def _audit_record() -> Schema:
    return _object(
        "One immutable, hash-chained entry of a model's audit trail.",
        structural(AuditRecordSpec) | rules(audit_record.IMMUTABLE),
        None,
        rules(*audit_record.OBJECT_RULES),
    )


def render(definition: Schema) -> str:
    """Return the text of a CRD's file."""
    head = "# Generated from operator/serinus/api by `make crds`: change the models, not this file.\n"
    return head + yaml.dump(definition, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Writes no anchors, for legibility."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def main(folder: str) -> None:
    """Write all CRDs into the folder."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions().items():
        (target / name).write_text(render(definition), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

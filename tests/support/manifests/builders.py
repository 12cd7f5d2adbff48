"""Builders of manifests as users write them, with fields changed by path."""

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

Manifest = dict[str, Any]

API_VERSION: Final = "serinus.dev/v1alpha1"
ABORT_ON: Final = ("latency_p95 > 200ms", "error_rate > 0.5%")
GONE: Final = object()
"""As a value in ``changes``: removes the field."""

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def rollout(changes: Mapping[str, Any] | None = None) -> Manifest:
    """Return a Rollout with the usual plan (staging 0 %, canary 5 %, production 100 %) and these changes."""
    plan: Manifest = {
        "apiVersion": API_VERSION,
        "kind": "Rollout",
        "metadata": {"name": "fraud-detector"},
        "spec": {
            "model": "fraud-detector",
            "version": "2.3.1",
            "route": {"httpRoute": {"name": "fraud-detector", "ruleName": "predict"}},
            "stages": [
                {"name": "staging", "traffic": "0%", "tests": [{"name": "contract", "http": {"path": "/healthz"}}]},
                {"name": "canary", "traffic": "5%", "duration": "2h", "abortOn": list(ABORT_ON)},
                {"name": "production", "traffic": "100%", "bake": "30m", "abortOn": list(ABORT_ON)},
            ],
        },
    }
    return changed(plan, changes or {})


def model_version(changes: Mapping[str, Any] | None = None) -> Manifest:
    """Return version 2.3.1 of the fraud detector, served by a Service, with these changes."""
    version: Manifest = {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": "fraud-detector-v2.3.1"},
        "spec": {
            "model": "fraud-detector",
            "version": "2.3.1",
            "artifact": {"uri": "s3://models/fraud/2.3.1.onnx"},
            "serving": {"backendRef": {"name": "fraud-detector-v2-3-1", "port": 80}},
        },
    }
    return changed(version, changes or {})


def changed(manifest: Manifest, changes: Mapping[str, Any]) -> Manifest:
    """Return a copy with these values by path, such as ``spec.stages[1].traffic``; ``GONE`` removes the field.

    An index one past the end appends.
    """
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        _put(result, _steps(path), copy.deepcopy(value) if value is not GONE else GONE)
    return result


def _steps(path: str) -> list[str | int]:
    return [int(index) if index else name for name, index in _STEP.findall(path)]


def _put(node: Any, steps: list[str | int], value: Any) -> None:
    *parents, last = steps
    for step in parents:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is GONE:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value

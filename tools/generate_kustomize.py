# ruff: noqa: INP001 - a script, in no package
"""Write ``deploy/kustomize/base`` from the chart, for those who install without Helm: ``make kustomize``."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster.settings import CHECKOUT
from support.helm import find_helm

CHART: Final = CHECKOUT / "deploy/helm/serinus"
BASE: Final = CHECKOUT / "deploy/kustomize/base"
NAMESPACE: Final = "serinus-system"

_OPTIONS: Final = (
    *("--set", "config.sources.default.url=http://prometheus.monitoring.svc:9090"),
    *("--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"),
    # Its pod would run at each apply.
    "--skip-tests",
)
_HEADING: Final = "# Generated from the chart (make kustomize): change deploy/helm/serinus instead.\n"
_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_OF_HELM: Final = ("helm.sh/chart", "helm.sh/resource-policy", "app.kubernetes.io/managed-by")


def files() -> dict[str, str]:
    """Return the files of the base, by their names."""
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in ("crds", "rbac", "people", "policies", "operator")}
    configuration = ""
    for document in find_helm().template(CHART, *_OPTIONS):
        if document["kind"] == "ConfigMap":
            configuration = document["data"]["config.yaml"]
        else:
            groups[_group_of(document)].append(_without_helm(document))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    manifests = {"namespace": [namespace], **groups}
    written = {f"{name}.yaml": _HEADING + _yaml(documents) for name, documents in manifests.items()}
    return {
        **written,
        "config.yaml": configuration,
        "kustomization.yaml": _HEADING + _yaml([_kustomization(sorted(written))]),
    }


def _group_of(document: Mapping[str, Any]) -> str:
    kind, name = document["kind"], document["metadata"]["name"]
    if kind == "CustomResourceDefinition":
        return "crds"
    if document["apiVersion"] == _ADMISSION:
        return "policies"
    if kind == "ClusterRole" and name != "serinus":
        return "people"
    return "rbac" if document["apiVersion"].startswith("rbac.") else "operator"


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what only Helm reads, and with what Helm sets at its installation."""
    for part in ("labels", "annotations"):
        kept = {name: value for name, value in document["metadata"].pop(part, {}).items() if name not in _OF_HELM}
        document["metadata"] |= {part: kept} if kept else {}
    if document["kind"] == "Deployment":
        # The name of the generated ConfigMap does the same: it changes with the configuration.
        document["spec"]["template"]["metadata"].get("annotations", {}).pop("checksum/config", None)
    return document


def _kustomization(resources: Iterable[str]) -> dict[str, Any]:
    generator = {"name": "serinus", "namespace": NAMESPACE, "files": ["config.yaml"]}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
        "configMapGenerator": [generator],
    }


def _yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, width=120)


def main() -> None:
    """Write the files; fail where the folder has others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=BASE)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    written = files()
    for name, text in written.items():
        (output / name).write_text(text, encoding="utf-8")
    strangers = sorted(path.name for path in output.iterdir() if path.name not in written)
    if strangers:
        sys.exit(f"{output} has files that are not generated: remove {', '.join(strangers)}")


if __name__ == "__main__":
    main()

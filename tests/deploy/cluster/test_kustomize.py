"""The Kustomize base is applied to a real cluster as by a user, with a configuration of his own."""

import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from support.kubectl import Kubectl

_BASE: Final = Path(__file__).resolve().parents[3] / "deploy" / "kustomize" / "base"
_OVERLAY: Final = """\
resources: [base]
configMapGenerator:
- {name: serinus, namespace: serinus-system, behavior: replace, files: [config.yaml]}
images:
- {name: serinus, newName: registry.example/serinus, newTag: "1"}
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A folder beside the base, with an image and a metric source of its own."""
    shutil.copytree(_BASE, tmp_path / "base")
    (tmp_path / "kustomization.yaml").write_text(_OVERLAY, encoding="utf-8")
    config = (_BASE / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        config.replace("prometheus.monitoring.svc", "thanos.example"), encoding="utf-8"
    )
    return tmp_path


def test_the_api_server_takes_all_of_the_base(admin: Kubectl) -> None:
    # Objects in a namespace need it to be there; a dry run makes none.
    apply = ("apply", "--server-side", "--force-conflicts")
    admin(*apply, f"--filename={_BASE / 'namespace.yaml'}")
    lines = admin.within("serinus-system")(*apply, "--dry-run=server", f"--kustomize={_BASE}").splitlines()
    assert len(lines) > 30
    assert all(line.endswith("serverside-applied (server dry run)") for line in lines)


def test_an_overlay_changes_configuration_and_image_and_the_pods_begin_anew(admin: Kubectl, overlay: Path) -> None:
    built = [one for one in yaml.safe_load_all(admin("kustomize", str(overlay))) if one]
    (config,) = (one for one in built if one["kind"] == "ConfigMap")
    (deployment,) = (one for one in built if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert "url: http://thanos.example:9090" in config["data"]["config.yaml"]
    assert config["metadata"]["name"] != "serinus"
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert pod["containers"][0]["image"] == "registry.example/serinus:1"

"""The fenced commands that install Serinus are run as a reader would paste them, without waiting for pods."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from support.fenced.commands import ROOT
from support.fenced.folders import page_folder, problem_of, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where
from support.helm import find_helm
from support.kubectl import Kubectl
from support.release import until_the_api_server_stamps

LINES: Final = lines_that_need(Where.INSTALLS)
INSTALLING: Final = [line for line in LINES if "helm install" in line.text]
UPGRADING: Final = [line for line in LINES if "helm upgrade" in line.text]
GOING_BACK: Final = [line for line in LINES if "helm history" in line.text or "helm rollback" in line.text]
WITHOUT_HELM: Final = [line for line in LINES if "helm " not in line.text]
_BASE: Final = ROOT / "deploy/kustomize/base"
_NAMESPACE: Final = "serinus-system"
_OVER_CRDS: Final[Mapping[str, str]] = {
    "helm install": "--take-ownership --force-conflicts",
    "apply --server-side": "--force-conflicts",
}
"""What the README adds for CRDs that are there already: here others have applied them."""

_LASTING: Final = ("CustomResourceDefinition", "Namespace")
"""What the other tests of the cluster go on using."""


@dataclass(frozen=True, slots=True)
class Shell:
    """A terminal with helm, kubectl and a kubeconfig."""

    admin: Kubectl
    folder: Path

    def problem(self, line: Line) -> str:
        """Run a line of a page; return what went wrong, empty where nothing did."""
        text = line.text
        for words, options in _OVER_CRDS.items():
            text = text.replace(words, f"{words} {options}")
        programs = (find_helm().program.parent, self.admin.program.parent)
        environment = {
            "PATH": ":".join((*map(str, programs), os.environ["PATH"])),
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.admin.kubeconfig),
        }
        done = run(line, text, page_folder(self.folder, line.page), environment)
        return problem_of(line, text, done, {0})

    def helm(self, *arguments: str) -> str:
        return find_helm().run(*arguments, f"--namespace={_NAMESPACE}", kubeconfig=self.admin.kubeconfig)

    @contextmanager
    def installed(self, line: Line) -> Iterator[None]:
        """Run a line that installs; uninstall in the end, which leaves the CRDs."""
        try:
            assert self.problem(line) == ""
            yield
        finally:
            self.helm("uninstall", "serinus", "--ignore-not-found")
            until_the_api_server_stamps(self.admin, wanted=False)

    def remove(self, overlay: Path) -> None:
        """Delete what an overlay has made."""
        built = [one for one in yaml.safe_load_all(self.admin("kustomize", str(overlay))) if one]
        for one in built:
            if one["kind"] not in _LASTING:
                here = self.admin.within(one["metadata"].get("namespace", "default"))
                here("delete", "--ignore-not-found", "--wait=false", "-f", "-", given=one)
        until_the_api_server_stamps(self.admin, wanted=False)


@pytest.fixture
def shell(admin: Kubectl, tmp_path: Path) -> Shell:
    return Shell(admin, tmp_path)


@pytest.fixture(scope="module")
def teams(admin: Kubectl) -> Iterator[None]:
    """The namespaces that a page has made before."""
    for name in ("fraud", "search"):
        admin("create", "namespace", name)
    yield
    admin("delete", "namespace", "fraud", "search")


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("line", INSTALLING, ids=lambda line: line.place)
def test_each_installation_of_the_pages_installs_the_operator(shell: Shell, line: Line) -> None:
    with shell.installed(line):
        assert shell.admin.within(_NAMESPACE)("get", "deployment", "serinus", "-o", "name")
        until_the_api_server_stamps(shell.admin, wanted=True)


def test_a_release_is_upgraded_and_brought_back_as_the_pages_say(shell: Shell) -> None:
    with shell.installed(INSTALLING[0]):
        assert [problem for line in (*UPGRADING, *GOING_BACK) if (problem := shell.problem(line))] == []
        last = shell.helm("history", "serinus", "--max=1", "--output=yaml")
    assert f"revision: {1 + len(UPGRADING) + 1}" in last
    assert f"description: Rollback to {len(UPGRADING)}" in last


def test_without_helm_an_overlay_is_applied_as_the_page_says(shell: Shell) -> None:
    (line,) = WITHOUT_HELM
    folder = page_folder(shell.folder, line.page)
    shutil.copytree(_BASE, folder / "base")
    shutil.copy(_BASE / "config.yaml", folder)
    try:
        assert shell.problem(line) == ""
        image = "jsonpath={.spec.template.spec.containers[0].image}"
        here = shell.admin.within(_NAMESPACE)
        assert here("get", "deployment", "serinus", "-o", image) == "registry.example/serinus:0.1.0"
        until_the_api_server_stamps(shell.admin, wanted=True)
    finally:
        shell.remove(folder)

"""The Dockerfile and the lock files, as far as they can be checked without a container engine."""

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
import yaml

from support.helm import find_helm
from support.release import CHART, SOURCE

_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile with the number of its stage, from 0; -1 before the first."""

    stage: int
    name: str
    rest: str


def _instructions() -> list[Instruction]:
    text = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    instructions, stage = [], -1
    for line in filter(str.strip, lines):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        instructions.append(Instruction(stage, name, " ".join(rest.split())))
    return instructions


def _of(name: str, stage: int) -> list[str]:
    return [entry.rest for entry in _instructions() if entry.name == name and entry.stage == stage]


def test_there_is_a_build_stage_and_a_run_stage_on_the_same_base() -> None:
    assert [entry.rest for entry in _instructions() if entry.name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    assert _of("ARG", -1) == ["BASE=python:3.12-slim"]


def test_only_the_environment_is_copied_from_the_build_stage() -> None:
    assert _of("COPY", 1) == ["--from=build /opt/serinus /opt/serinus"]
    assert _of("RUN", 1) == []


def test_every_download_is_protected_by_a_hash() -> None:
    assert not [entry for entry in _instructions() if entry.name == "ADD"]
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&]*", " && ".join(_of("RUN", 0)))
    assert len(installs) == 4
    assert [install for install in installs if not {"--require-hashes", "--no-index"} & set(install.split())] == []


def test_the_image_and_the_chart_use_the_same_unprivileged_user() -> None:
    (pod,) = (
        document["spec"]["template"]["spec"]
        for document in find_helm().template(CHART, SOURCE)
        if document["kind"] == "Deployment"
    )
    security = pod["securityContext"]
    assert _of("USER", 1) == [f"{security['runAsUser']}:{security['runAsGroup']}"]


def test_the_container_runs_the_operator_by_default_and_accepts_other_commands() -> None:
    assert _of("ENTRYPOINT", 1) == ['["serinus"]']
    assert _of("CMD", 1) == ['["run"]']
    scripts = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert "serinus" in scripts


def test_a_read_only_root_is_enough() -> None:
    (environment,) = _of("ENV", 1)
    assert {"PYTHONDONTWRITEBYTECODE=1", "HOME=/tmp"} <= set(environment.split())


def test_the_build_context_contains_what_the_dockerfile_copies_and_nothing_else() -> None:
    lines = (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    included = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {source for rest in _of("COPY", 0) for source in rest.split()[:-1]}
    assert copied == included
    assert [source for source in copied if not (_ROOT / source).exists()] == []
    excluded = [line for line in lines[2:] if line and not line.startswith(("!", "#"))]
    assert any(fnmatch("operator/serinus/api/__pycache__", pattern) for pattern in excluded)


def _pins(lock: str) -> dict[str, str]:
    text = (_ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements-run.lock", "requirements-build.lock"])
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    text = (_ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|--index-url|--find-links", text)


def test_the_image_has_the_dependencies_that_were_tested() -> None:
    tested = _pins("requirements.lock")
    image = _pins("requirements-run.lock")
    assert {name: pin for name, pin in image.items() if tested.get(name) != pin} == {}


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.split(r"[<>=!~ ;\[]", line)[0].lower() for line in project["dependencies"]}
    assert direct - _pins("requirements-run.lock").keys() == set()


def test_the_image_and_the_chart_have_the_same_version() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == project["version"]

"""``serinus check`` through a real kubectl: what it says of a cluster with the chart installed."""

import json
from collections.abc import Iterator

import pytest

from serinus.cli import main
from support.kubectl import Kubectl
from support.release import Release, installed, until_the_api_server_stamps


@pytest.fixture(scope="module")
def release(admin: Kubectl) -> Iterator[Release]:
    with installed(admin) as release:
        yield release


def _checked(user: Kubectl, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    main(["check", "-n", user.namespace, "-o", "json"])
    said = capsys.readouterr()
    return {line["check"]: (line["state"], line["message"]) for line in json.loads(said.out or said.err)}


def test_check_sees_kinds_rights_policies_and_the_configuration(
    user: Kubectl, release: Release, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(user.kubeconfig))
    monkeypatch.setenv("PATH", str(user.program.parent), prepend=":")
    until_the_api_server_stamps(user, wanted=True)
    found = _checked(user, capsys)
    for name in ("api-server", "crds", "crds-current", "rights-read", "rights-write", "actor-stamp"):
        assert found[name][0] == "ok", found
    assert found["policies"] == ("ok", found["policies"][1])
    assert f"{release.name}-approvals" in found["policies"][1]
    assert found["configuration"] == ("ok", "sources: default")
    # No image can be pulled here, so that no pod gets ready.
    assert found["operator"][0] in {"ok", "failed"}

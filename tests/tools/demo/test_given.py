"""The demo in a cluster of yours says what is missing, asks, and changes nothing before."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.__main__ import _parser, main
from demo.given import play
from demo.given.checks import Found, _checked, gateway_line
from demo.given.options import Options
from demo.terminal import Terminal
from localcluster.settings import CHECKOUT
from serinus.cli.check.line import State, failed, ok
from serinus.source_settings import SourceSettings
from support.demo_kubectl import kubectl_that_says


def arguments(folder: Path, **changes: str) -> list[str]:
    file = folder / "kubeconfig"
    file.touch()
    told = {
        "kubeconfig": str(file),
        "gateway": "gateways/public",
        "gateway-url": "http://127.0.0.1:8080",
        "prometheus": "http://127.0.0.1:9090",
    }
    return ["cluster", *(f"--{name}={value}" for name, value in (told | changes).items())]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kubeconfig": "/nowhere/config"}, "/nowhere/config is not a file"),
        ({"gateway": "public"}, "write NAMESPACE/NAME"),
        ({"gateway-url": "https://gateway.example.org"}, "http://HOST:PORT"),
        ({"prometheus": "prometheus:9090"}, "http://HOST:PORT"),
        ({"namespace": "Demo_1"}, "cannot be the name of a namespace"),
        ({"rate": "501"}, "20 to 500 requests per second"),
        ({"rate": "1"}, "20 to 500 requests per second"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str
) -> None:
    assert main(arguments(tmp_path, **changes)) == 70
    assert said in capsys.readouterr().err


def test_a_preset_that_the_demo_cannot_read_is_refused_with_those_that_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments(tmp_path, preset="vllm"))
    assert "'envoy-gateway'" in capsys.readouterr().err


def test_the_kubeconfig_of_the_environment_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "production"))
    with pytest.raises(SystemExit):
        main([word for word in arguments(tmp_path) if not word.startswith("--kubeconfig")])
    assert "required: --kubeconfig" in capsys.readouterr().err


def made(*arguments: str, **environment: str) -> str:
    """Return what make would run."""
    program = ["make", "-s", "-n", "-o", ".venv/.installed", "-C", str(CHECKOUT), "demo", *arguments]
    done = subprocess.run(
        program, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_make_demo_is_the_local_demo_whatever_the_environment_says() -> None:
    names = ("KUBECONFIG", "CONTEXT", "GATEWAY", "GATEWAY_URL", "PROMETHEUS", "PRESET", "OPTIONS")
    said = made(**dict.fromkeys(names, "production"))

    assert said == made()
    assert "localcluster run" in said
    assert "production" not in said


def test_make_demo_with_a_kubeconfig_on_the_command_line_is_the_other_one() -> None:
    said = made(
        *("KUBECONFIG=/home/me/kind", "GATEWAY=projectcontour/contour", "GATEWAY_URL=http://localhost:8080"),
        *("PROMETHEUS=http://localhost:9090", "OPTIONS=--rate=50 --keep"),
        CONTEXT="production",
    )

    assert "localcluster run" not in said
    assert "-m demo cluster '--kubeconfig=/home/me/kind' " in said
    assert "'--gateway-url=http://localhost:8080'" in said
    assert "--rate=50 --keep" in said
    assert "production" not in said


def test_make_demo_with_a_gateway_but_without_a_kubeconfig_says_what_is_missing() -> None:
    assert "KUBECONFIG=" in made("GATEWAY=projectcontour/contour", KUBECONFIG="/home/me/production")


def gateway(source: str | None = "All", programmed: str = "True", protocol: str = "HTTP") -> dict[str, Any]:
    listener: dict[str, Any] = {"name": "web", "protocol": protocol, "port": 80}
    if source is not None:
        listener["allowedRoutes"] = {"namespaces": {"from": source}}
    return {
        "metadata": {"name": "public", "namespace": "gateways"},
        "spec": {"listeners": [listener]},
        "status": {"conditions": [{"type": "Programmed", "status": programmed}]},
    }


@pytest.mark.parametrize(
    ("raw", "state", "said"),
    [
        (gateway(), State.OK, "is programmed"),
        (gateway("Selector"), State.OK, "is programmed"),
        (gateway("Same"), State.FAILED, "routes of its own namespace only"),
        (gateway(None), State.FAILED, "routes of its own namespace only"),
        (gateway(programmed="False"), State.FAILED, "is not programmed"),
        (gateway(protocol="HTTPS"), State.FAILED, "no listener for HTTP"),
    ],
)
def test_a_gateway_must_be_programmed_and_take_the_demos_routes(raw: dict[str, Any], state: State, said: str) -> None:
    line = gateway_line(raw, "serinus-demo")

    assert (line.state, bool(line.remedy)) == (state, state is State.FAILED)
    assert said in line.said


def test_a_gateway_for_its_own_namespace_takes_a_demo_that_is_played_there() -> None:
    assert gateway_line(gateway("Same"), "gateways").state is State.OK


def ready(*, leftover: bool = False) -> Found:
    return Found(lines=(ok("crds", "served"),), source=SourceSettings(url="http://p"), leftover=leftover)


def played(
    folder: Path, found: Found, monkeypatch: pytest.MonkeyPatch, *words: str, answer: str | None = None
) -> tuple[int, str, bool]:
    """Return the status, the output, and whether the demo began."""
    kubectl_that_says(folder, {"config view": {}})
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    began: list[bool] = []

    async def look(*_: object) -> Found:
        return found

    def begin(*_: object) -> int:
        began.append(True)
        return 0

    monkeypatch.setattr("demo.given.checks.look", look)
    monkeypatch.setattr(play, "_play", begin)
    monkeypatch.setattr("builtins.input", lambda _: answer or "")
    monkeypatch.setattr(sys, "stdin", Tty() if answer is not None else io.StringIO())
    out = io.StringIO()
    parsed = Options.of(_parser().parse_args([*arguments(folder), *words]))
    return play.run(parsed, Terminal(out, {})), out.getvalue(), bool(began)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_something_is_missing_it_says_what_to_do_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found(lines=(ok("crds", "served"), failed("gateway", "there is none", "install one")))
    status, out, began = played(tmp_path, found, monkeypatch, "--yes")

    assert (status, began) == (play.NOT_READY, False)
    assert "✖ gateway: there is none" in out
    assert "install one" in out
    assert "nothing was changed" in out


@pytest.mark.parametrize(("answer", "begins"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_a_person_is_asked_before_the_cluster_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, begins: bool
) -> None:
    status, out, began = played(tmp_path, ready(), monkeypatch, answer=answer)

    assert (status, began) == (0 if begins else play.NOT_READY, begins)
    assert "requests/s to http://127.0.0.1:8080 and nowhere else" in out
    assert "With scrapes every 15 s it takes about 9 minutes" in out


def test_a_pipe_has_to_say_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(tmp_path, ready(), monkeypatch)[::2] == (play.NOT_READY, False)
    assert played(tmp_path, ready(), monkeypatch, "--yes")[::2] == (0, True)


def test_an_earlier_demos_namespace_is_named_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = played(tmp_path, ready(leftover=True), monkeypatch, answer="n")

    assert "removes the namespace serinus-demo of an earlier demo" in out


async def test_a_namespace_that_the_demo_is_to_make_is_not_missing(tmp_path: Path) -> None:
    answers = {"get --raw=/version": {"gitVersion": "v1.37.2"}, "get namespaces serinus-demo": {"items": []}}
    said = kubectl_that_says(tmp_path, answers)
    lines = await _checked(replace(said, environment={**said.environment, "PATH": str(tmp_path)}), "serinus-demo")

    assert [line.name for line in lines if line.state is State.OK] == ["api-server"]
    assert "namespace" not in {line.name for line in lines}

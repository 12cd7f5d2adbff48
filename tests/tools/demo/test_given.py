"""The demo in a cluster of yours says what is missing, asks, and changes nothing before."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.__main__ import _parser, main
from demo.cluster import Kubectl
from demo.errors import DemoError
from demo.given import play
from demo.given.access import pinned
from demo.given.checks import Found, gateway_line
from demo.given.namespace import LABEL, MARK, ForeignNamespaceError, is_there, own_namespace
from demo.given.operator import OperatorMeter, source_of
from demo.given.options import Options
from demo.terminal import Terminal
from localcluster.settings import CHECKOUT
from serinus.api.rollout_status import CurrentStage, Phase, RolloutStatus, StageState
from serinus.cli.check.line import State, failed, ok
from serinus.source_settings import SourceSettings

NOW = datetime(2026, 11, 30, tzinfo=UTC)
_KUBECTL = """#!{python}
import json, sys
words = " ".join(sys.argv[1:])
with open("{folder}/asked", "a") as asked:
    print(words, file=asked)
for beginning, answer in json.load(open("{folder}/answers")).items():
    if words.startswith(beginning):
        print(answer)
        break
"""


def kubectl_that_says(folder: Path, answers: Mapping[str, object]) -> Kubectl:
    """Return a program that prints the answer to the first beginning of a command line that fits."""
    texts = {words: answer if isinstance(answer, str) else json.dumps(answer) for words, answer in answers.items()}
    (folder / "answers").write_text(json.dumps(texts), encoding="utf-8")
    (folder / "asked").touch()
    program = folder / "kubectl"
    program.write_text(_KUBECTL.format(python=sys.executable, folder=folder), encoding="utf-8")
    program.chmod(0o755)
    return Kubectl(program, {"KUBECONFIG": str(folder / "kubeconfig")})


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text(encoding="utf-8").splitlines()


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


def a_namespace(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "serinus-demo", "uid": "1", "labels": {"a": "b"} | labels}}


async def test_a_namespace_that_no_demo_has_made_is_left_alone(tmp_path: Path) -> None:
    kubectl = kubectl_that_says(tmp_path, {"get namespace serinus-demo": a_namespace()})

    with pytest.raises(ForeignNamespaceError, match="no demo has made it"):
        await is_there(kubectl, "serinus-demo")
    with pytest.raises(ForeignNamespaceError):
        async with own_namespace(kubectl, "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
            raise AssertionError("it was entered")
    assert {line.split()[0] for line in asked(tmp_path)} == {"get"}


async def test_a_namespace_of_an_earlier_demo_is_known_and_none_is_none(tmp_path: Path) -> None:
    mine = a_namespace(**{LABEL: MARK})

    assert await is_there(kubectl_that_says(tmp_path, {"get namespace": mine}), "serinus-demo")
    assert not await is_there(kubectl_that_says(tmp_path, {"get namespace": ""}), "serinus-demo")


async def test_a_kept_namespace_is_not_removed(tmp_path: Path) -> None:
    answers = {"get namespace": ""}
    out = io.StringIO()
    async with own_namespace(kubectl_that_says(tmp_path, answers), "serinus-demo", Terminal(out, {}), keep=True):
        kubectl_that_says(tmp_path, {"get namespace": a_namespace(**{LABEL: MARK})})

    assert [line for line in asked(tmp_path) if line.startswith("delete")] == []
    assert "kubectl delete namespace serinus-demo" in out.getvalue()


def a_deployment(name: str = "serinus") -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name, "namespace": "serinus-system"}}]}


@pytest.mark.parametrize(
    ("source", "config", "said"),
    [
        ("default", "sources: {default: {url: http://p, scrapeInterval: 30s}}", "scraped every 30s"),
        ("other", "sources: {default: {url: http://p}}", "no metric source other"),
        ("default", "sources: {default: {ulr: http://p}}", "ulr"),
        ("default", "", "ConfigMap serinus-system/serinus"),
        ("default", "{jobTests: false, sources: {default: {url: http://p}}}", "creates no Jobs"),
        ("default", "{routers: [grpcRoute], sources: {default: {url: http://p}}}", "does not write HTTPRoutes"),
        (
            "default",
            "{registry: {kind: DynamoDB, dynamodb: {cluster: a}}, sources: {default: {url: http://p}}}",
            "not in the Kubernetes API",
        ),
    ],
)
async def test_the_scrape_interval_is_that_of_the_operators_configuration(
    tmp_path: Path, source: str, config: str, said: str
) -> None:
    answers = {"get deployments": a_deployment(), "get configmap serinus -n serinus-system": config}
    found, line = await source_of(kubectl_that_says(tmp_path, answers), source)

    assert said in line.said
    assert (found is not None) == (line.state is State.OK)


async def test_without_an_operator_there_is_no_source(tmp_path: Path) -> None:
    found, line = await source_of(kubectl_that_says(tmp_path, {"get deployments": {"items": []}}), "default")

    assert (found, line.state) == (None, State.FAILED)


def test_a_context_is_copied_for_the_time_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl_that_says(tmp_path, {"config view --raw --minify": {"current-context": "kind-demo"}})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pinned(tmp_path / "config", "kind-demo") as kubectl:
        copy = Path(kubectl.environment["KUBECONFIG"])
        assert json.loads(copy.read_text(encoding="utf-8")) == {"current-context": "kind-demo"}
        assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    assert not copy.parent.exists()
    assert asked(tmp_path)[0].endswith(f"--kubeconfig={tmp_path}/config --context=kind-demo")


def test_without_kubectl_the_demo_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match="kubectl is not on PATH"), pinned(tmp_path / "config", ""):
        pass


class Readings:
    """What Prometheus has of the operator's queries and ticks, at each reading."""

    def __init__(self, *pairs: tuple[float, float] | None) -> None:
        self._values = iter([value for pair in pairs for value in (pair or (None, None))])

    async def value(self, _: str) -> float | None:
        return next(self._values)


def status(state: StageState = StageState.ANALYZING) -> RolloutStatus:
    stage = CurrentStage(index=1, name="canary", state=state, since=NOW, state_since=NOW)
    return RolloutStatus(phase=Phase.PROGRESSING, stage=stage)


@pytest.mark.parametrize(
    ("pairs", "per_tick"),
    [(((10.0, 2.0), (20.0, 4.0), (60.0, 12.0)), 5.0), (((10.0, 2.0), (10.0, 2.0)), None), ((None, None), None)],
)
async def test_queries_are_counted_by_the_operators_own_metrics(pairs: Any, per_tick: float | None) -> None:
    meter = OperatorMeter(Readings(*pairs), 1.0, alone=True)
    await meter.record(status(StageState.TESTING))
    for _ in pairs:
        await meter.record(status())

    assert meter.per_tick == per_tick


async def test_an_operator_that_has_others_to_look_after_is_not_measured() -> None:
    meter = OperatorMeter(Readings(), 1.0, alone=False)
    await meter.record(status())

    assert meter.per_tick is None


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

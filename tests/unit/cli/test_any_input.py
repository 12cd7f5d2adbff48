"""No argument and no file ends a command in a traceback: 3,000 command lines over all verbs, most of them wrong."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest
import yaml

from serinus.cli.command import Command
from serinus.cli.main import run as run_words
from serinus.errors import ConfigurationError
from support.audit.trails import MODEL, Trail, a_trail
from support.cli_inputs import BYTES, FLEET, Inputs, Sample, as_lines, as_yaml
from support.cli_lines import CASES, ON_CALL
from support.command_lines import command_of
from support.servers.artifact_server import ArtifactServer, Reply

BATCHES, IN_ONE = 10, 300
EXAMPLES = Path("examples")


def documents(*paths: str) -> tuple[Any, ...]:
    return tuple(document for path in paths for document in yaml.safe_load_all((EXAMPLES / path).read_text()))


CONFIG = {
    "sources": {
        "default": {"url": "http://127.0.0.1:9", "scrapeInterval": "5s", "queries": {"drift": {"promql": "x"}}}
    },
    "namespaces": ["ml"],
    "registry": {
        "kind": "DynamoDB",
        "dynamodb": {"endpoint": "http://127.0.0.1:9", "region": "eu-central-1", "cluster": "prod-eu"},
    },
    "audit": {"checkpoints": {"bucket": "b", "prefix": "p/", "keyFile": "/nowhere", "s3": {"endpoint": "http://x:1"}}},
    "httpPort": 8080,
}
RECORDING = (
    {"kind": "SerinusRecording", "model": "fraud", "version": "2.0.0", "began": "2026-11-29T14:00:00Z"}
    | {"scrapeInterval": "15s"},
    *(
        {
            "at": f"2026-11-29T14:00:{second}Z",
            "figures": {
                "error_rate": {"candidate": {"requests": 50, "bad": 20}, "stable": {"requests": 950, "bad": 1}},
                "latency_p95 > 200ms": {"candidate": {"requests": 50, "bad": 1}},
            },
        }
        for second in (15, 30, 45)
    ),
)
METADATA = {
    "model_id": "fraud-v3.0.0",
    "framework": "pytorch==2.1.0",
    "training_duration": "3h 24m",
    "training_date": "2026-11-01T10:00:00Z",
    "data_hash": "0" * 64,
    "metrics": {"auc_roc": 0.96},
}
PLAN = {
    "model_id": "fraud-v3.0.0",
    "stages": [
        {"name": "canary", "traffic": 5, "duration": "1h", "abort_on": ["error_rate > 1%"], "rollback_to": "v2.0.0"},
        {"name": "production", "traffic": "100%", "abort_on": {"latency_p95": "200ms"}},
    ],
}
COLUMNS = [{"type": "double", "name": "amount", "required": True}, {"type": "string", "name": "country"}]
MLMODEL = {
    "artifact_path": "s3://models/fraud",
    "flavors": {"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {"sklearn_version": "1.9.1"}},
    "run_id": "0" * 32,
    "signature": {
        "inputs": json.dumps(COLUMNS),
        "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]),
        "params": json.dumps([{"name": "fill", "type": "double", "default": 0.5, "shape": None}]),
    },
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    folder = tmp_path_factory.mktemp("samples")
    assert a_trail().run("audit", "export", "ml/fraud", "--registry", FLEET, "-o", str(folder / "out")) == 0
    records = tuple(json.loads(line) for line in (folder / "out").read_text().splitlines())
    versions = documents("schema/fraud-detector.yaml", "regulated/version.yaml")
    return {
        "export": Sample(records, as_lines),
        "versions": Sample(tuple(one for one in versions if one["kind"] == "ModelVersion"), as_yaml),
        "policy": Sample(({**documents("regulated/model.yaml")[0], "metadata": {"name": "fraud"}},), as_yaml),
        "rollout": Sample(documents("quickstart/40-rollout.yaml", "regulated/rollout.yaml"), as_yaml),
        "plan": Sample((PLAN,), as_yaml),
        "config": Sample((CONFIG,), as_yaml),
        "mlmodel": Sample((MLMODEL,), as_yaml),
        "metadata": Sample((METADATA,), as_lines),
        "recording": Sample(RECORDING, as_lines),
        "key": Sample(({"not": "a key"},), as_yaml),
    }


class JunkReplies(dict[str, Reply]):
    """An MLflow server that answers nonsense."""

    random = Random(0)  # noqa: S311 - a test must be repeatable

    def get(self, _: str, __: object = None) -> Any:
        bodies = [b"{}", b"[]", b"\xff", b"null", b'{"model_version": {"name": 7}}', b"<html>", b'{"error_code": []}']
        known = {"name": "fraud", "version": "7", "run_id": "r", "source": "s3://x/y"}
        bodies.append(json.dumps({"model_version": known}).encode())
        return Reply(status=self.random.choice((200, 200, 200, 404, 500, 302)), body=self.random.choice(bodies))


@pytest.fixture(scope="module", autouse=True)
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No network, no kubeconfig, a kubectl that answers nonsense, and an MLflow server that does."""

    def offline(*_: object, **__: object) -> NoReturn:
        raise ConfigurationError("no network in this test")

    random = Random(1)  # noqa: S311 - likewise
    told = ("", "{}", "[]", "null", '{"kind": "List", "items": [1, {"kind": 2}]}', "\x1b[2J", "{" * 9999, "[" * 9999)

    def kubectl(words: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        if random.random() < 0.1:
            raise random.choice((OSError(8, "Exec format error"), subprocess.TimeoutExpired(words, 1)))
        return subprocess.CompletedProcess(words, random.choice((0, 0, 1)), random.choice(told), random.choice(told))

    server, home = ArtifactServer(tls=False), tmp_path_factory.mktemp("home")
    server.replies = JunkReplies()
    with server.running(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("subprocess.run", kubectl)
        patch.setattr("serinus.audit.bucket._client", offline)
        patch.setattr("serinus.registry.dynamodb.client.connect", offline)
        patch.setattr("serinus.registry.dynamodb.identity.caller_arn", offline)
        patch.setenv("JUNK_SERVER", server.url)
        patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        patch.setattr("serinus.kube.connection.KUBE_CONFIG_DEFAULT_LOCATION", str(home / "config"))
        yield


def run(trail: Trail, words: list[str]) -> tuple[object, set[int]]:
    """Return the exit status, and those that the command documents."""
    command = command_of(words)
    documented = set(command.statuses) if isinstance(command, Command) else {0, 2}
    try:
        return run_words(words, trail.context()), documented
    except Exception as problem:
        raise AssertionError(f"a traceback: serinus {words}") from problem


def damaged(trail: Trail, inputs: Inputs) -> Trail:
    """Return the trail with a record in which somebody has changed something."""
    other = trail.copy()
    inputs.damage(inputs.random.choice(list(other.data[MODEL].records.values())))
    return other


@pytest.fixture
def inputs(
    request: pytest.FixtureRequest, samples: dict[str, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Inputs:
    (tmp_path / "examples").symlink_to(EXAMPLES.absolute())
    monkeypatch.chdir(tmp_path)
    seed = getattr(request, "param", 0)
    return Inputs(Random(seed), tmp_path, samples, junk_server=os.environ["JUNK_SERVER"])  # noqa: S311 - likewise


@pytest.mark.parametrize("inputs", range(BATCHES), indirect=True)
def test_no_input_ends_in_a_traceback(inputs: Inputs, capsys: pytest.CaptureFixture[str]) -> None:
    _try(inputs, CASES, IN_ONE, capsys)


@pytest.mark.parametrize("inputs", range(2), indirect=True)
def test_no_input_of_the_commands_on_call_ends_in_a_traceback(
    inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    _try(inputs, ON_CALL, 100, capsys)


def _try(
    inputs: Inputs, cases: Sequence[Callable[[Inputs], list[str]]], number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = a_trail()
    for _ in range(number):
        words = inputs.random.choice(cases)(inputs)
        status, documented = run(damaged(trail, inputs) if inputs.random.random() < 0.2 else trail, words)
        said = capsys.readouterr()
        assert status in documented, words
        assert said.err or said.out, words
        assert "Traceback" not in said.err + said.out, words
        assert not [letter for letter in said.err + said.out if letter < " " and letter not in "\n\t"], words


# ---- the message names the file and the field ---------------------------------------------------

WITH_A_FILE = {
    "versions": [["registry", "register", "-f", "FILE", "--registry", FLEET], ["diff", "FILE", "FILE"]],
    "policy": [["audit", "prune", "ml/fraud", "--policy", "FILE", "--registry", FLEET]],
    "config": [["run", "--config", "FILE"]],
    "mlmodel": [["import", "mlmodel", "FILE", "--version", "1.0.0", "--model", "fraud"]],
    "export": [["audit", "verify", "--file", "FILE"]],
    "rollout": [["lint", "-f", "FILE"], ["simulate", "-f", "FILE", "--rate", "1/s"]],
    "plan": [["import", "plan", "FILE"]],
    "recording": [["simulate", "-f", "examples/quickstart/40-rollout.yaml", "--recording", "FILE"]],
    "key": [["audit", "verify", "--all", "--registry", FLEET, "--checkpoints", "s3://b/p", "--public-key", "FILE"]],
}
COMMANDS = [(kind, words) for kind, lines in WITH_A_FILE.items() for words in lines]


@pytest.mark.parametrize(("kind", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_file_that_cannot_be_read_is_named(
    kind: str, words: list[str], inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    file = inputs.folder / "odd.file"
    loop, missing = inputs.folder / "loop.file", inputs.folder / "missing.file"
    loop.symlink_to(loop)
    for path in (inputs.folder, loop, missing):
        assert run(a_trail(), [str(path) if word == "FILE" else word for word in words])[0] in {1, 2}
        assert path.name in capsys.readouterr().err
    # A file without an object of ours has no findings.
    refusals = {0, 1, 2} if words[0] == "lint" else {1, 2}
    for content in BYTES:
        file.write_bytes(content)
        assert run(a_trail(), [str(file) if word == "FILE" else word for word in words])[0] in refusals, content
        said = capsys.readouterr()
        assert file.name in said.err + said.out, content


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every field in a nested value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


@pytest.mark.parametrize(("kind", "words"), COMMANDS[:4], ids=lambda value: value if isinstance(value, str) else "")
def test_a_field_of_a_wrong_type_is_named(
    kind: str, words: list[str], inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    file, sample = inputs.folder / "odd.yaml", inputs.samples[kind].documents[0]
    # diff does not look at metadata, and a policy is found by its name.
    ignored = {"apiVersion", "kind"} | ({"metadata"} if words[0] != "registry" else set())
    found = [path for path in places(sample) if path[0] not in ignored]
    assert len(found) > 5
    for path in found:
        document = json.loads(json.dumps(sample))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = [{"x": 7}]
        file.write_bytes(as_yaml([document]))
        status, _ = run(a_trail(), [str(file) if word == "FILE" else word for word in words])
        said = capsys.readouterr().err
        assert status in {1, 2}, path
        names = [str(key) for key in path if not isinstance(key, int)]
        # A key of a map that a person chose is told as [...], after the map's name.
        assert names[-1] in said or f"{names[-2]}[...]" in said, (path, said)
        assert file.name in said, path

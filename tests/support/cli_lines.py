"""Random command lines of every verb, out of what :mod:`support.cli_inputs` draws."""

from collections.abc import Callable
from typing import Final

from support.cli_inputs import Inputs

Words = list[str]


def _some(inputs: Inputs, *options: Words) -> Words:
    return [word for option in options if inputs.random.random() < 0.4 for word in option]


def _common(inputs: Inputs) -> Words:
    words = ["--registry", inputs.registry()]
    return words + _some(inputs, ["-n", inputs.either("ml", "payments")], ["--cluster", inputs.either("prod-eu")])


def _reason(inputs: Inputs) -> Words:
    return ["--reason", inputs.either("complaints of merchants")]


def _model(inputs: Inputs) -> str:
    return inputs.either("ml/fraud", "fraud")


def _version(inputs: Inputs) -> str:
    return inputs.either("1.1.0", "v2.0.0")


def _checkpoints(inputs: Inputs) -> Words:
    return _some(inputs, ["--checkpoints", inputs.place()], ["--public-key", inputs.file("key")])


def _output(inputs: Inputs, *good: str) -> str:
    return inputs.random.choice((*good, str(inputs.folder / "out"), str(inputs.folder), "/dev/null/x", "x" * 300, ""))


def _log(inputs: Inputs) -> Words:
    filters = (
        ["--since", inputs.either("36h", "2026-11-01")],
        ["--until", inputs.word()],
        ["--event", inputs.either("Promoted")],
        ["--version", _version(inputs)],
        ["--actor", inputs.word()],
        ["-o", inputs.either("table", "wide", "json")],
    )
    verb = inputs.random.choice((["audit", "log"], ["registry", "history"]))
    return [*verb, _model(inputs), *_common(inputs), *_some(inputs, *filters)]


def _verify(inputs: Inputs) -> Words:
    if inputs.random.random() < 0.6:
        return ["audit", "verify", "--file", inputs.file("export"), *_some(inputs, _checkpoints(inputs))]
    which = inputs.random.choice(([_model(inputs)], ["--all"], [_model(inputs), "--all"], []))
    archive = _some(inputs, ["--archive", inputs.place()])
    return ["audit", "verify", *which, *_common(inputs), *archive, *_checkpoints(inputs)]


def _export(inputs: Inputs) -> Words:
    options = (["--format", inputs.either("csv", "jsonl")], ["-o", _output(inputs)])
    return ["audit", "export", _model(inputs), *_common(inputs), *_some(inputs, *options)]


def _prune(inputs: Inputs) -> Words:
    policy = ["--policy", inputs.file("policy")]
    options = (["--before", inputs.either("36h")], ["--archive", inputs.place()], policy, ["--finish"], ["--yes"])
    words = ["audit", "prune", _model(inputs), *_common(inputs), *_checkpoints(inputs)]
    return [*words, *_some(inputs, *options, _reason(inputs))]


def _restore(inputs: Inputs) -> Words:
    options = (["--archive", inputs.place()], ["--yes"], _reason(inputs))
    return ["audit", "restore", _model(inputs), *_common(inputs), *_some(inputs, *options)]


def _checkpoint(inputs: Inputs) -> Words:
    options = (
        ["--config", inputs.file("config")],
        ["--registry", inputs.registry()],
        ["--checkpoints", inputs.place()],
        ["--key-file", inputs.file("key")],
        ["--retention-days", inputs.either("30", "99999999999")],
    )
    return ["audit", "checkpoint", *_some(inputs, *options)]


def _keygen(inputs: Inputs) -> Words:
    return ["audit", "keygen", "-o", _output(inputs, str(inputs.folder / inputs.word().replace("/", "")))]


def _report(inputs: Inputs) -> Words:
    options = (
        ["-o", _output(inputs, "-", "page.md")],
        ["--format", inputs.either("html", "markdown")],
        ["--as-of", inputs.word()],
        ["--live-at", inputs.either("36h", "2026-11-01")],
        ["--data", inputs.either("sha256:" + "0" * 64)],
        ["--artifact", inputs.word()],
    )
    which = [_model(inputs)] if inputs.random.random() < 0.8 else []
    return ["report", *which, *_common(inputs), *_some(inputs, *options, _checkpoints(inputs))]


def _diff(inputs: Inputs) -> Words:
    sides = [inputs.either(inputs.file("versions"), "2.3.0", "v2.4.0") for _ in range(2)]
    files = ["-f", inputs.random.choice((inputs.file("versions"), "examples/schema", str(inputs.folder / "none")))]
    options = (files, files, ["--model", inputs.either("fraud-detector")], ["-n", inputs.word()], ["--json"])
    return ["diff", *sides, *_some(inputs, *options, ["--context", inputs.word()])]


def _simulate(inputs: Inputs) -> Words:
    figures = (
        ["--errors", inputs.either("1%", "0%", "100%")],
        ["--p95", inputs.either("180ms", "1ms")],
        ["--bursts", inputs.either("3")],
        ["--client-errors", inputs.either("5%")],
        ["--set", inputs.either("abortOn[0]=error_rate > 1%", "canary.duration=1m; guards=Off", "canary.abortOn[7]=")],
        ["--stage", inputs.either("production")],
        ["--scrape-interval", inputs.either("15s", "1m")],
        ["--seed", inputs.either("7")],
        ["--stable-errors", inputs.either("0.1%")],
        ["-o", inputs.either("table", "json", "svg", "html")],
    )
    synthetic = [
        "--rate",
        inputs.either("10/s", "1000000/s", "1/h"),
        "--runs",
        "2",
        "--for",
        inputs.either("3m", "1ms"),
    ]
    recorded = ["--recording", inputs.file("recording"), *_some(inputs, ["--record", _output(inputs)])]
    place = ["--candidate-backend", inputs.either("fraud:80"), "--from", inputs.either("1h", "2026-11-01")]
    asked = ["--prometheus", inputs.either("http://127.0.0.1:9"), *_some(inputs, place)]
    which = inputs.random.choice((synthetic, synthetic, recorded, recorded, asked))
    return ["simulate", "-f", inputs.file("rollout"), *which, *_some(inputs, *figures)]


def _mlmodel(inputs: Inputs) -> Words:
    options = (
        ["--backend", inputs.either("fraud:80")],
        ["--artifact-uri", inputs.either("s3://models/fraud/")],
        ["--repository", inputs.word()],
        ["-n", inputs.word()],
        ["-o", _output(inputs)],
    )
    needed = ["--version", inputs.either("2.3.1"), "--model", inputs.either("fraud")]
    return ["import", "mlmodel", inputs.file("mlmodel"), *needed, *_some(inputs, *options)]


def _mlflow(inputs: Inputs) -> Words:
    reference = inputs.either("models:/fraud/7", "models:/fraud@champion")
    uri = ["--tracking-uri", inputs.either(inputs.junk_server, "http://[", "http://x:99999", "ftp://x", "")]
    options = (["--version", _version(inputs)], ["--model", inputs.word()], ["--hash"])
    return ["import", "mlflow", reference, *uri, *_some(inputs, *options)]


def _json(inputs: Inputs) -> Words:
    options = (
        ["--version", _version(inputs)],
        ["--model", inputs.word()],
        ["--backend", inputs.either("fraud:80")],
        ["-o", _output(inputs)],
    )
    return ["import", "json", inputs.file("metadata"), *_some(inputs, *options)]


def _lint(inputs: Inputs) -> Words:
    kind = inputs.random.choice(("versions", "rollout", "rollout", "policy"))
    options = (
        ["-o", inputs.either("github", "json", "sarif")],
        ["--cluster"],
        ["-n", inputs.either("ml")],
        ["--prometheus", inputs.either(inputs.junk_server, "http://[", "")],
    )
    return ["lint", "-f", inputs.file(kind), *_some(inputs, *options)]


def _check(inputs: Inputs) -> Words:
    return ["check", *_some(inputs, ["-n", inputs.either("ml")], ["--context", inputs.word()], ["-o", "json"])]


def _plan(inputs: Inputs) -> Words:
    options = (
        ["--model", inputs.either("fraud")],
        ["--version", _version(inputs)],
        ["--route", inputs.either("fraud/predict")],
        ["-o", _output(inputs)],
    )
    return ["import", "plan", inputs.file("plan"), *_some(inputs, *options)]


def _get(inputs: Inputs) -> Words:
    form = ["-o", inputs.either("json")]
    return ["registry", "get", _model(inputs), _version(inputs), *_common(inputs), *_some(inputs, form)]


def _production(inputs: Inputs) -> Words:
    return ["registry", "production", _model(inputs), *_common(inputs), *_some(inputs, ["-o", inputs.either("json")])]


def _list(inputs: Inputs) -> Words:
    options = (
        ["--stage", inputs.either("Production")],
        ["--digest", inputs.word()],
        ["--data-digest", inputs.word()],
        ["--major", inputs.either("1", "-1", "9" * 50)],
        ["--label", inputs.either("team=payments")],
        ["-o", inputs.either("json", "table")],
    )
    return ["registry", "list", *_some(inputs, [_model(inputs)]), *_common(inputs), *_some(inputs, *options)]


def _register(inputs: Inputs) -> Words:
    options = (["--policy", inputs.file("policy")], ["--id", inputs.word()])
    kind = inputs.random.choice(("versions", "metadata"))
    words = ["registry", "register", "-f", inputs.file(kind), *_common(inputs), *_reason(inputs)]
    return [*words, *_some(inputs, *options)]


def _write(inputs: Inputs) -> Words:
    verb = inputs.random.choice(("promote", "release", "yank", "unyank"))
    guards = _some(inputs, ["--generation", inputs.word()], ["--force"]) if verb == "promote" else []
    return ["registry", verb, _model(inputs), _version(inputs), *_common(inputs), *_reason(inputs), *guards]


def _create_tables(inputs: Inputs) -> Words:
    place = inputs.random.choice((["--config", inputs.file("config")], ["--registry", inputs.registry()], []))
    return ["registry", "dynamodb", "create-tables", *place, *_some(inputs, ["--no-protection"])]


def _clusters(inputs: Inputs) -> Words:
    place = ["--registry", inputs.registry()]
    if inputs.random.random() < 0.5:
        return ["registry", "dynamodb", "clusters", *place]
    return ["registry", "dynamodb", "release-cluster", inputs.either("prod-eu"), *place, *_some(inputs, ["--yes"])]


def _on_call(inputs: Inputs) -> Words:
    verb = inputs.random.choice(("promote", "pause", "resume", "abort", "retry", "rollback"))
    options = (["-n", inputs.word()], ["--context", inputs.word()], ["--override"], _reason(inputs))
    more = _some(inputs, ["--to", _version(inputs)], ["--registry", inputs.registry()]) if verb == "rollback" else []
    return [verb, inputs.either("fraud", "-x", "--all"), *_some(inputs, *options), *more]


def _one_look(inputs: Inputs) -> Words:
    verb = inputs.random.choice(("status", "list", "history", "explain"))
    options = (["-n", inputs.word()], ["-o", inputs.either("wide", "json", "yaml", "name")], ["-A"], ["--all"])
    watch = ["-w", "--timeout", inputs.either("1s")]
    name = [] if verb == "list" else [inputs.either("fraud", "-x")]
    return [verb, *name, *_some(inputs, *options, watch)]


def _waiting(inputs: Inputs) -> Words:
    return [*_on_call(inputs), *_some(inputs, ["--no-wait"], ["--timeout", inputs.either("1s")])]


def _run(inputs: Inputs) -> Words:
    return ["run", "--config", inputs.file("config"), *_some(inputs, ["--log-format", inputs.either("json")])]


def _anything(inputs: Inputs) -> Words:
    verbs = ("audit", "registry", "version", "report", "diff", "import", "abort", "dynamodb", "list", "verify")
    return [inputs.random.choice((*verbs, inputs.word())) for _ in range(inputs.random.randint(0, 4))]


CASES: Final[tuple[Callable[[Inputs], Words], ...]] = (
    _log, _verify, _verify, _export, _prune, _restore, _checkpoint, _keygen, _report, _diff, _diff, _mlmodel, _mlmodel,
    _json, _plan, _plan, _lint, _lint, _check, _mlflow,
    _get, _production, _list, _register, _register, _write, _create_tables, _clusters, _on_call, _run,
    _simulate, _simulate, _anything,
)  # fmt: skip
"""One function for each verb; those that read files twice."""

ON_CALL: Final = (_one_look, _waiting)
"""The same for the commands that follow a Rollout."""

"""Wrong usage: whatever can be seen in the words alone is told with status 2, and nothing is done."""

import pytest

from serinus.cli.main import main

REASON = ["--reason", "a reason that is long enough"]
SIMULATE = ["simulate", "-f", "rollout.yaml", "--rate", "1/s"]
FLEET = ["--registry", "dynamodb://serinus?region=eu-central-1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "-n"], "requires an argument"),
        (["pause", "Fraud_1"], "'Fraud_1' is not the name of a Rollout"),
        (["promote", "ml/fraud"], "'ml/fraud' is not the name of a Rollout"),
        (["rollback", "Fraud", *REASON], "'Fraud' is not the name of a Rollout"),
        (["promote", "fraud", "--override"], "--override needs --reason"),
        (["registry", "list", "--registry", "mysql://x"], "'--registry': 'mysql://x' is not the address of a registry"),
        (["registry", "list", "--registry", "kubernetes:x"], "kubernetes: takes nothing more"),
        (["audit", "log", "fraud", "--registry", "dynamodb://x?colour=red"], "unknown parameter colour"),
        (["report", "fraud", "--registry", ""], "is not the address of a registry"),
        (["audit", "log", "ml/Fraud", *FLEET], "'MODEL': 'ml/Fraud' is no model in namespace 'ml'"),
        (["registry", "get", "a/b/c", "1.0.0"], "'a/b/c' is no model in namespace 'a/b'"),
        (["report", "Fraud", *FLEET], "'Fraud' is no model in namespace ''"),
        (["rollback", "ml/Fraud", *FLEET, *REASON], "'ml/Fraud' is no model"),
        (["registry", "promote", "fraud", "1.0.0", *FLEET], "'--reason': explain the change in at least 10 characters"),
        (["registry", "yank", "fraud", "1.0.0", "--reason", "bad"], "'--reason': explain the change in at least 10"),
        (["report"], "name a MODEL, or give --live-at, --data or --artifact"),
        (["report", "fraud", "--as-of", "2999-01-01", *FLEET], "'--as-of': 2999-01-01T00:00:00Z is in the future"),
        (["report", "--live-at", "2999-01-01", *FLEET], "'--live-at': 2999-01-01T00:00:00Z is in the future"),
        (["report", "--data", "sha256:12"], "'--data': invalid digest 'sha256:12'"),
        (["report", "--artifact", f"sha256:{'0' * 64}\n"], "'--artifact': invalid digest"),
        (["report", "fraud", "--checkpoints", "s3://trail"], "--checkpoints and --public-key go together"),
        (["registry", "list", "--stage", "Production"], "name a MODEL: --stage, --major and --label filter"),
        (["registry", "list", "--label", "team=risk"], "name a MODEL: --stage, --major and --label filter"),
        (["registry", "list", "--digest", "12"], "'--digest': invalid digest '12'"),
        (["registry", "list", "fraud", "--data-digest", ""], "'--data-digest': invalid digest ''"),
        (["registry", "promote", "fraud", "1.0.0", *REASON], "'--registry': give the address of a registry"),
        (["registry", "register", "versions.yaml", *REASON], "'--registry': give the address of a registry"),
        (
            ["registry", "dynamodb", "clusters", "--registry", "kubernetes:"],
            "'--registry': 'kubernetes:' is no registry in Dynamo",
        ),
        (["registry", "dynamodb", "create-tables", "--registry", "mysql://x"], "'--registry': 'mysql://x' is not the"),
        (["audit", "verify"], "name one MODEL, or --all, or --file"),
        (["audit", "verify", "fraud", "--all"], "name one MODEL, or --all, or --file"),
        (["audit", "verify", "fraud", "--public-key", "key.pem"], "--checkpoints and --public-key go together"),
        (["audit", "prune", "fraud", "--policy", "model.yaml"], "--policy is for a registry without a cluster"),
        (["audit", "prune", "fraud", "--checkpoints", "s3://trail"], "--checkpoints and --public-key go together"),
        (["import", "json", "v.json", "--backend", "fraud"], "'--backend': invalid Service and port 'fraud'"),
        (["import", "json", "v.json", "--backend", ""], "'--backend': invalid Service and port ''"),
        (["import", "json", "v.json", "--backend", "fraud:70000"], "'--backend': invalid Service and port"),
        (["import", "json", "v.json", "--model", "Fraud_1"], "'--model': invalid model name 'Fraud_1'"),
        (["import", "json", "v.json", "--version", "2.3"], "'--version': invalid version '2.3'"),
        (["import", "mlflow", "models:/fraud/7", "--version", "latest"], "'--version': invalid version 'latest'"),
        (["import", "mlmodel", "MLmodel", "--version", "1.0.0", "--model", "fraud", "--hash"], "--hash needs"),
        (["import", "plan", "plan.yaml", "--route", "Fraud/a/b"], "'--route': invalid route 'Fraud/a/b'"),
        ([*SIMULATE, "--set", "more"], "'--set': 'more' is not a change: write STAGE.FIELD=VALUE"),
        ([*SIMULATE, "--set", "canary.minRequests=[1"], "'--set': '[1' is not valid YAML"),
        ([*SIMULATE[:3], "--prometheus", "http://x", "--from", "1h"], "--prometheus needs --from and"),
        ([*SIMULATE, "--candidate-backend", "fraud"], "'--candidate-backend': invalid Service and port 'fraud'"),
        ([*SIMULATE, "--stable-backend", "fraud:²"], "'--stable-backend': invalid Service and port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_the_words_has_status_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in " ".join(told.err.split())

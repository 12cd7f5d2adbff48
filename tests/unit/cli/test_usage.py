"""Wrong usage: whatever can be seen in the words alone is told with status 2, and nothing is done."""

import pytest

from serinus.cli.main import main

REASON = ["--reason", "a reason that is long enough"]
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

"""Completion: the protocol of kubectl's plugins, from the parser of the command line itself."""

import pytest

from serinus.cli import completion
from serinus.cli.completion import candidates
from serinus.cli.kubectl import Place


def names(place: Place) -> list[str]:
    return {None: ["fraud", "ranker"], "ml": ["churn"]}[place.namespace]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stat"], ["status"]),
        (["status", ""], ["fraud", "ranker"]),
        (["status", "f"], ["fraud"]),
        (["explain", "-n", "ml", ""], ["churn"]),
        (["explain", "--namespace=ml", ""], ["churn"]),
        (["rollback", ""], ["fraud", "ranker"]),
        (["status", "fraud", ""], []),
        (["status", "fraud", "-o", ""], ["text", "wide", "json", "yaml", "name"]),
        (["status", "--cont"], ["--context"]),
        (["list", ""], []),
        (["audit", "ver"], ["verify"]),
        (["audit", "verify", "--chec"], ["--checkpoints"]),
        (["no-such-verb", ""], []),
        (["status", "--no-such-option", ""], ["fraud", "ranker"]),
    ],
)
def test_what_may_come_next(words: list[str], expected: list[str]) -> None:
    assert [line.partition("\t")[0] for line in candidates(words, names)] == expected


def test_every_verb_is_offered_with_its_help() -> None:
    lines = dict(line.split("\t") for line in candidates([""], names))
    assert lines["status"] == "show what serves, what is tried, why, and what comes next"
    assert {"list", "history", "explain", "pause", "abort", "audit", "version", "run"} <= lines.keys()


def test_the_output_is_that_of_the_protocol(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-serinus", "hist"])
    assert completion.main() == 0
    verb, end = capsys.readouterr().out.splitlines()
    assert verb.startswith("history\t")
    assert end == ":4"


def test_a_kubectl_without_a_cluster_offers_no_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.rollout_names(Place()) == []
    assert capsys.readouterr().err == ""

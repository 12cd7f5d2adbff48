"""``serinus lint`` on one object: the API server's verdict and sentences, and what to write instead."""

import copy
from typing import Any

import pytest

from serinus.cli.lint.finding import Check
from serinus.cli.lint.object_check import object_problems
from support.manifests.accepted import ACCEPTED
from support.manifests.builders import GONE, Manifest, model_version, rollout
from support.manifests.refused import REFUSED, Refused

_RULE_SAYS_MORE = frozenset({"match", "(>=|>|<=|<)", "(ms|s|%)?", "([0-9]{1,7}s)?", "([0-9]{1,6}h)?"})
"""Parts of regular expressions that lint leaves out where a rule says what to write."""


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_api_server_takes_has_no_problem(manifest: Manifest) -> None:
    assert list(object_problems(manifest)) == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_what_the_api_server_refuses_is_found_at_its_field(case: Refused) -> None:
    problems = list(object_problems(case.manifest))
    at = [one for one in problems if case.field in {one.path, "<nil>"}]
    assert at, problems
    told = any(case.message in one.said for one in at)
    replaced = case.message in _RULE_SAYS_MORE or case.message.startswith("should match")
    assert told or (replaced and any(one.check is Check.RULE for one in at)), problems


def test_a_manifest_is_not_changed_by_its_check() -> None:
    manifest = rollout({"spec.stages[1].abort_on": ["error_rate > 1%"], "spec.rollbackTo": None})
    before = copy.deepcopy(manifest)
    assert list(object_problems(manifest))
    assert manifest == before


ADVICE: list[tuple[dict[str, Any], str, str]] = [
    ({"spec.stages[1].traffic": 5}, "spec.stages[1].traffic", "write 5%"),
    ({"spec.stages[1].traffic": 0.05}, "spec.stages[1].traffic", 'write "5%" or "0.05%"'),
    ({"spec.stages[1].traffic": 150}, "spec.stages[1].traffic", "between 0% and 100%"),
    ({"spec.stages[1].traffic": "5"}, "spec.stages[1].traffic", "write 5%"),
    ({"spec.stages[1].traffic": ".5%"}, "spec.stages[1].traffic", "write 0.5%"),
    ({"spec.stages[1].traffic": ".5"}, "spec.stages[1].traffic", "write 0.5%"),
    ({"spec.stages[1].traffic": "5 %"}, "spec.stages[1].traffic", "write 5%"),
    ({"spec.stages[1].duration": 30}, "spec.stages[1].duration", 'write "30s", "30m" or "30h"'),
    ({"spec.stages[1].duration": "30"}, "spec.stages[1].duration", "give a unit: write 30s, 30m or 30h"),
    ({"spec.stages[1].duration": "2d"}, "spec.stages[1].duration", "use hours, minutes and seconds: 24h for a day"),
    ({"spec.version": "fraud-detector-v2.3.1"}, "spec.version", "write 2.3.1, without the name of the model"),
    ({"spec.version": 2.3}, "spec.version", 'write "2.3.0"'),
    ({"spec.rollbackTo": 2}, "spec.rollbackTo", 'write it in quotes: "2"'),
    ({"spec.guards": False}, "spec.guards", 'write "Off", in quotes: YAML reads the word alone as false'),
    ({"spec.stages[1].abortOn": ["error_rate > .5%"]}, "spec.stages[1].abortOn[0]", "write 0.5%"),
    ({"spec.stages[1].abortOn": ["latency_p95 > 350"]}, "spec.stages[1].abortOn[0]", "write 350ms or 350s"),
    ({"spec.stages[1].abortOn": "error_rate > 1%"}, "spec.stages[1].abortOn", "write a list"),
    ({"spec.stages[1].abortOn": GONE}, "spec.stages[1].abortOn", "say when canary is bad, such as abortOn:"),
    ({"spec.stages[1].minRequests": "500"}, "spec.stages[1].minRequests", "write 500, without quotes"),
]


@pytest.mark.parametrize(("changes", "field", "words"), ADVICE, ids=[words for _, _, words in ADVICE])
def test_a_value_in_another_form_is_told_how_to_write_it(changes: dict[str, Any], field: str, words: str) -> None:
    (problem,) = object_problems(rollout(changes))
    assert problem.path == field
    assert words in problem.sentence


NAMES = {
    "spec.stages[1].abort_on": "did you mean abortOn?",
    "spec.stages[1].abortsOn": "did you mean abortOn?",
    "spec.stages[1].weight": "did you mean traffic?",
    "spec.stages[1].rollback_to": "did you mean spec.rollbackTo? It is not a field of this object",
    "spec.rollback_to": "did you mean rollbackTo?",
    "spec.stages[1].max-duration": "did you mean maxDuration?",
    "spec.colour": "its fields are guards, metrics, model,",
    "data": "its fields are apiVersion, kind, metadata, spec, status",
}


@pytest.mark.parametrize(("path", "words"), NAMES.items(), ids=NAMES.keys())
def test_an_unknown_field_is_named_with_the_one_that_is_meant(path: str, words: str) -> None:
    unknown = [one for one in object_problems(rollout({path: "2.2.4"})) if one.check is Check.UNKNOWN_FIELD]
    assert [(one.path, one.said) for one in unknown] == [(path, f'unknown field "{path}"')]
    assert unknown[0].advice.startswith(words)


def test_what_is_in_a_misspelled_field_is_checked_and_its_absence_is_not_held_against_it() -> None:
    manifest = rollout({"spec.stages[1].abortOn": GONE, "spec.stages[1].abort_on": ["error_rate > .5%"]})
    found = [(one.check, one.path) for one in object_problems(manifest)]
    assert found == [
        (Check.UNKNOWN_FIELD, "spec.stages[1].abort_on"),
        (Check.RULE, "spec.stages[1].abortOn[0]"),
    ]


def test_a_name_of_our_group_that_is_not_ours_is_refused() -> None:
    (kind,) = object_problems({**rollout(), "kind": "Rollouts"})
    assert kind.path == "kind"
    (version,) = object_problems({**rollout(), "apiVersion": "serinus.dev/v1"})
    assert version.advice == "write serinus.dev/v1alpha1"


@pytest.mark.parametrize("name", [GONE, 5, "Fraud", "a..b", "x" * 254])
def test_a_name_that_kubernetes_does_not_take_is_refused(name: object) -> None:
    (problem,) = object_problems(rollout({"metadata.name": name}))
    assert problem.path == "metadata.name"


def test_what_only_the_operator_refuses_is_told_as_such() -> None:
    manifest = model_version({"spec.version": "2.3.1-a-.b", "metadata.name": "fraud-detector-v2.3.1-a-.b"})
    problems = list(object_problems(manifest))
    assert "cannot end the name of an object" in problems[-1].said or problems[0].path == "metadata.name"

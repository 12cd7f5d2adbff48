"""The cases of hostile input reach every field, and each of their laws can be broken."""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from localcluster.api import Api
from support.e2e.manifests import backend_ref, route
from support.hostile import laws
from support.hostile.cases import ANNOTATIONS, Case, all_cases, missing_places, sample
from support.hostile.values import FORGED_LINE, MARK, TEXTS
from support.hostile.world import CaseWorld, full_objects


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return all_cases(full_objects())


def test_every_field_and_every_annotation_has_cases(cases: list[Case]) -> None:
    assert missing_places(full_objects()) == set()
    assert len({str(case) for case in cases}) == len(cases) > 5000
    assert {key for keys in ANNOTATIONS.values() for key in keys} == {case.path for case in cases if case.annotation}


def test_a_sample_is_the_same_for_the_same_seed(cases: list[Case]) -> None:
    assert sample(cases, 50, 1) == sample(cases, 50, 1) != sample(cases, 50, 2)


@pytest.mark.parametrize("kind", ["Rollout", "ModelVersion", "Model"])
def test_a_hostile_object_differs_from_the_good_one_at_its_one_place(cases: list[Case], kind: str) -> None:
    good = full_objects()[kind]
    cases = sample([case for case in cases if case.kind == kind], 300, 1)
    same = [case for case in cases if case.applied(good) == good]
    others = [
        case for case in cases if {**case.applied(good), "spec": 0, "metadata": 0} != {**good, "spec": 0, "metadata": 0}
    ]
    assert others == []
    # A hostile value may happen to be the good one, such as a list in its good form.
    assert len(same) < len(cases) / 50
    assert good == full_objects()[kind]


def test_each_case_is_one_change_of_an_object_that_could_be_sent(cases: list[Case]) -> None:
    for case in cases:
        world = CaseWorld(cast("Api", None), case, "ml", "m", ("127.0.0.1", "127.0.0.1"))
        hostile = world.hostile()
        assert json.loads(json.dumps(hostile)) == hostile, case


def test_the_candidates_share_is_that_of_everything_but_the_stable_version() -> None:
    rule: dict[str, Any] = {"name": "x", "backendRefs": [backend_ref("m-v1-0-0", 95), backend_ref("m-v2-0-0", 5)]}
    assert laws.share_of_candidate(route("ml", "x", rule)) == 5.0
    assert laws.share_of_candidate(route("ml", "x")) == 0.0


def test_the_first_share_of_a_plan_is_the_first_above_zero() -> None:
    stages = [{"traffic": "0%"}, {"traffic": "0.25%"}, {"traffic": "100%"}]
    assert laws.first_share({"stages": stages}) == 0.25


def _written(name: str, kind: str, manager: str = "serinus") -> Mapping[str, Any]:
    metadata = {"name": name, "namespace": "hostile-0", "managedFields": [{"manager": manager}]}
    return {"kind": kind, "metadata": metadata}


@pytest.mark.parametrize(
    ("raw", "foreign"),
    [
        (_written("c1", "Rollout"), False),
        (_written("c1-v2.0.0", "ModelVersion"), False),
        (_written("c1-000000000001", "AuditRecord"), False),
        (_written("c11", "HTTPRoute"), True),
        (_written("bystander", "HTTPRoute"), True),
        (_written("bystander", "HTTPRoute", "kubectl"), False),
        (_written("c1-v2-0-0", "Service"), True),
    ],
)
def test_a_write_to_anything_but_the_cases_own_objects_is_foreign(raw: Mapping[str, Any], foreign: bool) -> None:  # noqa: FBT001
    found = laws.foreign_writes([raw], {"hostile-0": frozenset({"c1"})})
    assert bool(found) is foreign


def test_what_was_written_before_the_run_is_not_of_it() -> None:
    metadata = {"name": "old", "managedFields": [{"manager": "serinus", "time": "2026-11-29T08:00:00Z"}]}
    raw = {"kind": "Rollout", "metadata": metadata}
    assert laws.foreign_writes([raw], {}, since="2026-11-29T09:00:00Z") == []
    assert laws.foreign_writes([raw], {}, since="2026-11-29T07:00:00Z") != []


def test_a_rollout_that_others_left_is_followed_as_any_other() -> None:
    begun, entry = "2026-11-29T07:00:00Z", {"manager": "serinus", "time": "2026-11-29T08:00:00Z"}
    metadata = {"name": "left", "managedFields": [entry], "creationTimestamp": "2026-11-29T06:00:00Z"}

    assert laws.foreign_writes([{"kind": "Rollout", "metadata": metadata}], {}, begun) == []
    assert laws.foreign_writes([{"kind": "ConfigMap", "metadata": metadata}], {}, begun) != []


@pytest.mark.parametrize(
    ("law", "broken"),
    [
        (laws.problems_of_query, f'x{{a="b"}} or {MARK}{{x=""}}'),
        (laws.problems_of_query, 'x{a="b"c"}'),
        (lambda text: laws.problems_of_text("status", text), TEXTS["NUL"]),
        (lambda text: laws.problems_of_text("status", text), TEXTS["terminal"]),
        (lambda text: laws.problems_of_text("status", text), TEXTS["right to left"]),
        (lambda text: laws.problems_of_page("page", text), f"<td>{TEXTS['HTML']}</td>"),
        (lambda text: laws.problems_of_page("page", text), f'<a href="{TEXTS["script URL"]}">'),
        (laws.problems_of_log, f"2026 INFO a: x\n{FORGED_LINE}"),
        (laws.problems_of_log, "2026 ERROR a: x\nTraceback (most recent call last):"),
        (laws.problems_of_log, TEXTS["terminal"]),
        (lambda text: laws.problems_of_output("audit log", text), f"x\n{FORGED_LINE}"),
    ],
)
def test_a_broken_law_is_found(law: Callable[[str], list[str]], broken: str) -> None:
    assert law(broken)
    assert law("x") == []


def test_quoted_input_in_a_query_is_no_problem() -> None:
    assert laws.problems_of_query(f'x{{a="{MARK}\\"}} or vector(1)"}}') == []

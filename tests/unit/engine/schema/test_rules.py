"""Every rule by a minimal example, compared with the reference page; and the reasons shown to users."""

import re
from pathlib import Path
from typing import Final

import pytest

from serinus.api.modelversion import Bump, SchemaChange
from serinus.api.parsing import decode, encode
from serinus.api.signature import Profile, Signature
from serinus.engine.schema.diff import backward, diff, forward
from serinus.engine.schema.rules import Rule
from serinus.engine.semver import greatest
from support.schema.cases import CASES, Case
from support.schema.signatures import a_signature, with_inputs, with_outputs

_PAGE: Final = Path(__file__).resolve().parents[4] / "docs" / "reference" / "compatibility.md"
_ROW: Final = re.compile(r"^\| ([IOPX]\d+) \| (.+?) \| (\w+) \| (\w+) \| ([a-z /]+) \| .* \|$", re.MULTILINE)
_IDS: Final = [f"{case.rule}: {case.change}" for case in CASES]


def _page() -> dict[tuple[str, str], tuple[str, str, str]]:
    found = _ROW.findall(_PAGE.read_text(encoding="utf-8"))
    return {(rule, change): (columnar, tensor, safe) for rule, change, columnar, tensor, safe in found}


def _word(case: Case, profile: Profile) -> str:
    changes = diff(*case.signatures(profile))
    return greatest(change.bump for change in changes).value.upper() if changes else "none"


def _safety(case: Case) -> str:
    words = ["yes" if forward(*case.signatures(profile)) else "no" for profile in (Profile.COLUMNAR, Profile.TENSOR)]
    return words[0] if words[0] == words[1] else " / ".join(words)


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_the_page_documents_bump_and_rollback_safety_of_a_change(case: Case) -> None:
    documented = _page()[(case.rule, case.change)]
    assert documented == (_word(case, Profile.COLUMNAR), _word(case, Profile.TENSOR), _safety(case))


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_change_has_the_rule_under_which_the_page_lists_it(case: Case) -> None:
    rules = [change.rule for profile in Profile for change in diff(*case.signatures(profile))]
    assert case.rule in rules


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_chat_has_the_rules_of_a_table(case: Case) -> None:
    if "profile" in case.before:
        assert [change.rule for change in diff(*case.signatures(Profile.CHAT))] == [case.rule]
        return
    assert diff(*case.signatures(Profile.CHAT)) == diff(*case.signatures(Profile.COLUMNAR))


def test_the_page_and_the_code_have_the_same_rules() -> None:
    assert {rule for rule, _ in _page()} == set(Rule)
    assert set(_page()) == {(case.rule, case.change) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_change_fits_the_status(case: Case) -> None:
    for profile in Profile:
        for change in diff(*case.signatures(profile)):
            assert decode(SchemaChange, encode(change), "change") == change


def test_however_long_the_names_and_values_a_change_fits_the_status() -> None:
    long, other = "n" * 253, "m" * 253
    fields = {
        "dtype": "t" * 63,
        "categories": ["k" * 253] * 256,
        "default": "d" * 1024,
        "unit": "u" * 63,
        "featureRef": "f" * 253,
        "aliases": ["a" * 252 + str(number) for number in range(8)],
        "shape": [1] * 16,
        "max": "9" * 30 + "." + "9" * 30,
    }
    before = with_inputs({"name": long}, {"name": other, **fields, "optional": True})
    after = with_inputs({"name": long, **fields}, {"name": other, "optional": True, "default": "e" * 1024})
    changes = [*diff(before, after), *diff(with_outputs({"name": long}), with_outputs({"name": long, **fields}))]
    assert len(changes) > 10
    for change in changes:
        assert decode(SchemaChange, encode(change), "change") == change


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_inputs({"dtype": "double"}), with_inputs({"dtype": "FP64"})),
        (
            with_inputs({"dtype": "float", "default": "1.0"}),
            with_inputs({"dtype": "fp32", "default": "1", "optional": True}),
        ),
        (with_inputs({"max": "1e1"}), with_inputs({"max": "10.0"})),
        (with_inputs({"dtype": "timestamp-millis"}), with_inputs({"dtype": "datetime64[ns]"})),
        (with_inputs({"shape": [-1]}), with_inputs({"shape": [-7]})),
        (with_inputs({"categories": ["1", "2"]}), with_inputs({"categories": ["2.0", "1"]})),
        (with_inputs({"featureRef": "risk@3"}), with_inputs({"featureRef": "risk@v3.7"})),
        (with_inputs({"aliases": ["b"]}, {"name": "b"}), with_inputs({}, {"name": "b"})),
        (with_outputs({"open": True}), with_outputs({"open": False})),
        (with_outputs({"default": "1"}), with_outputs({})),
        (a_signature(profile="tensor", inputs=[{"name": "t", "dtype": "string"}]),) * 2,
    ],
)
def test_insignificant_differences_are_ignored(one: Signature, other: Signature) -> None:
    assert diff(one, other) == ()


def test_in_a_tensor_texts_are_bytes_and_in_a_column_they_are_not() -> None:
    texts, raw = ([{"name": "t", "dtype": dtype}] for dtype in ("string", "BYTES"))
    assert diff(a_signature(profile="tensor", inputs=texts), a_signature(profile="tensor", inputs=raw)) == ()
    (change,) = diff(a_signature(inputs=texts), a_signature(inputs=raw))
    assert change.rule == "I8"


def test_a_renamed_input_without_an_alias_counts_as_removed_and_added() -> None:
    assert [(change.path, change.rule) for change in diff(with_inputs({}), with_inputs({"name": "total"}))] == [
        ("inputs.amount", "I3"),
        ("inputs.total", "I2"),
    ]


def test_a_renamed_input_is_compared_with_what_it_was() -> None:
    changes = diff(with_inputs({}), with_inputs({"name": "total", "aliases": ["amount"], "dtype": "float32"}))
    assert [(change.path, change.rule) for change in changes] == [
        ("inputs.total.dtype", "I7"),
        ("inputs.total.name", "I9"),
    ]


def test_each_dimension_is_a_change_of_its_own() -> None:
    changes = diff(with_inputs({"shape": [-1, 3, 4]}), with_inputs({"shape": [2, -1, 4]}))
    assert [(change.path, change.rule) for change in changes] == [
        ("inputs.amount.shape[0]", "I11"),
        ("inputs.amount.shape[1]", "I10"),
    ]


def test_a_reason_names_the_clients_that_break() -> None:
    (narrow,) = diff(with_inputs({"dtype": "long"}), with_inputs({"dtype": "int"}))
    assert narrow.reason == "Takes int32; the old version took int64. A client that sends int64 is refused."
    (wide,) = diff(with_inputs({"dtype": "int"}), with_inputs({"dtype": "long"}))
    assert wide.reason.endswith("Old clients do not notice; a client that sends int64 cannot go back.")
    (scale,) = diff(with_outputs({"max": "1"}), with_outputs({}))
    assert "the old version gave values up to 1. An old client does not expect all of that." in scale.reason
    (added,) = diff(with_outputs({"categories": ["a"]}), with_outputs({"categories": ["a", "b"]}))
    assert added.reason == "May answer b: an old client does not know it."


def test_where_the_profile_changes_the_fields_are_compared_too() -> None:
    changes = diff(with_inputs({}), with_inputs({"dtype": "int64"}, profile="tensor"))
    assert {change.path for change in changes} == {"profile", "inputs.amount.dtype"}
    assert not backward(with_inputs({}), with_inputs({}, profile="tensor"))


def test_the_bump_of_a_signature_without_fields_is_none() -> None:
    nothing = a_signature(inputs=[], outputs=[])
    assert diff(nothing, nothing) == ()
    assert greatest(change.bump for change in diff(nothing, with_inputs({}))) is Bump.MAJOR


# ---- interactions of two facts -----------------------------------------------------------------

_IGNORING: Final = {"unknownInputs": "Ignore"}


def test_a_name_that_is_ignored_from_now_on_breaks_old_clients_where_the_input_is_required() -> None:
    before: dict[str, list[str]] = {"aliases": ["total"]}
    after: dict[str, list[str]] = {"aliases": []}
    assert not backward(with_inputs(before, **_IGNORING), with_inputs(after, **_IGNORING))
    spare = {"optional": True}
    assert backward(with_inputs(before | spare, **_IGNORING), with_inputs(after | spare, **_IGNORING))


def test_an_alias_is_lost_to_an_input_that_has_it_as_its_name() -> None:
    aliased = {"aliases": ["total"]}
    changes = diff(with_inputs(aliased), with_inputs(aliased, {"name": "total", "optional": True}))
    assert [(change.path, change.rule) for change in changes] == [("inputs.amount.name", "I9"), ("inputs.total", "I1")]


def test_a_new_name_is_ignored_by_the_old_version_only_where_it_can_do_without_the_input() -> None:
    renamed = {"name": "total", "aliases": ["amount"]}
    assert not forward(with_inputs({}, **_IGNORING), with_inputs(renamed, **_IGNORING))
    spare = {"optional": True}
    assert forward(with_inputs(spare, **_IGNORING), with_inputs(renamed | spare, **_IGNORING))


def test_a_name_handed_to_another_output_breaks_even_clients_that_expect_it_to_be_missing() -> None:
    spare = {"optional": True}
    assert backward(with_outputs({**spare, "aliases": ["odds"]}), with_outputs(spare))
    assert not backward(with_outputs({**spare, "aliases": ["odds"]}), with_outputs(spare, {"name": "odds"}))
    assert not forward(with_outputs(spare, {"name": "odds"}), with_outputs({**spare, "aliases": ["odds"]}))


def test_open_classes_count_on_the_side_of_the_reader() -> None:
    few, many = ["a"], ["a", "b"]
    assert backward(with_outputs({"categories": few, "open": True}), with_outputs({"categories": many}))
    assert not backward(with_outputs({"categories": few}), with_outputs({"categories": many, "open": True}))
    assert forward(with_outputs({"categories": many}), with_outputs({"categories": few, "open": True}))
    assert not forward(with_outputs({"categories": many, "open": True}), with_outputs({"categories": few}))


@pytest.mark.parametrize(
    ("small", "large"),
    [
        *(("int8", "int16"), ("uint8", "uint64"), ("uint8", "int16"), ("uint32", "float64"), ("int32", "double")),
        *(("half", "float"), ("bf16", "FP32"), ("float", "double")),
    ],
)
def test_a_column_is_widened_where_no_value_is_lost_and_only_in_that_direction(small: str, large: str) -> None:
    assert backward(with_inputs({"dtype": small}), with_inputs({"dtype": large}))
    assert not backward(with_inputs({"dtype": large}), with_inputs({"dtype": small}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("int8", "uint16"), ("uint32", "int32"), ("int64", "double"), ("uint64", "double"), ("int8", "float")),
        *(("bf16", "half"), ("bool", "int8"), ("string", "binary"), ("date", "datetime"), ("mine", "yours")),
    ],
)
def test_types_of_different_kinds_are_incompatible_both_ways(one: str, other: str) -> None:
    for before, after in ((one, other), (other, one)):
        assert [change.rule for change in diff(with_inputs({"dtype": before}), with_inputs({"dtype": after}))] == ["I8"]

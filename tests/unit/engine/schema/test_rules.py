"""Every rule by its smallest example, held against the page that people read; and the sentences that they read."""

import re
from pathlib import Path
from typing import Final

import pytest

from serinus.api.modelversion import Bump, Profile, SchemaChange
from serinus.api.parsing import decode, encode
from serinus.engine.schema.diff import backward, diff, forward
from serinus.engine.schema.rules import Rule
from serinus.engine.semver import greatest
from support.schema.cases import CASES, Case
from support.schema.signatures import a_signature, giving, taking

_PAGE: Final = Path(__file__).resolve().parents[4] / "docs" / "reference" / "compatibility.md"
_ROW: Final = re.compile(r"^\| ([IOPX]\d+) \| (.+?) \| (\w+) \| (\w+) \| ([a-z /]+) \| .* \|$", re.MULTILINE)
_IDS: Final = [f"{case.rule}: {case.change}" for case in CASES]


def _page() -> dict[tuple[str, str], tuple[str, str, str]]:
    found = _ROW.findall(_PAGE.read_text(encoding="utf-8"))
    return {(rule, change): (columnar, tensor, safe) for rule, change, columnar, tensor, safe in found}


def _word(case: Case, profile: Profile) -> str:
    changes = diff(*case.signatures(profile))
    return greatest(one.bump for one in changes).value.upper() if changes else "none"


def _safety(case: Case) -> str:
    words = ["yes" if forward(*case.signatures(profile)) else "no" for profile in Profile]
    return words[0] if words[0] == words[1] else " / ".join(words)


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_the_page_says_of_a_change_what_the_code_does(case: Case) -> None:
    said = _page()[(case.rule, case.change)]
    assert said == (_word(case, Profile.COLUMNAR), _word(case, Profile.TENSOR), _safety(case))


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_change_bears_the_rule_under_which_the_page_lists_it(case: Case) -> None:
    found = [one.rule for profile in Profile for one in diff(*case.signatures(profile))]
    assert case.rule in found


def test_the_page_and_the_code_have_the_same_rules() -> None:
    assert {rule for rule, _ in _page()} == set(Rule)
    assert set(_page()) == {(case.rule, case.change) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_change_fits_the_status(case: Case) -> None:
    for profile in Profile:
        for one in diff(*case.signatures(profile)):
            assert decode(SchemaChange, encode(one), "change") == one


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
    before = taking({"name": long}, {"name": other, **fields, "optional": True})
    after = taking({"name": long, **fields}, {"name": other, "optional": True, "default": "e" * 1024})
    found = [*diff(before, after), *diff(giving({"name": long}), giving({"name": long, **fields}))]
    assert len(found) > 10
    for one in found:
        assert decode(SchemaChange, encode(one), "change") == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (taking({"dtype": "double"}), taking({"dtype": "FP64"})),
        (taking({"dtype": "float", "default": "1.0"}), taking({"dtype": "fp32", "default": "1", "optional": True})),
        (taking({"max": "1e1"}), taking({"max": "10.0"})),
        (taking({"dtype": "timestamp-millis"}), taking({"dtype": "datetime64[ns]"})),
        (taking({"shape": [-1]}), taking({"shape": [-7]})),
        (taking({"categories": ["1", "2"]}), taking({"categories": ["2.0", "1"]})),
        (taking({"featureRef": "risk@3"}), taking({"featureRef": "risk@v3.7"})),
        (taking({"aliases": ["b"]}, {"name": "b"}), taking({}, {"name": "b"})),
        (giving({"open": True}), giving({"open": False})),
        (giving({"default": "1"}), giving({})),
        (a_signature(profile="tensor", inputs=[{"name": "t", "dtype": "string"}]),) * 2,
    ],
)
def test_what_does_not_matter_is_no_change(one: object, other: object) -> None:
    assert diff(one, other) == ()  # type: ignore[arg-type] # both are signatures


def test_in_a_tensor_texts_are_bytes_and_in_a_column_they_are_not() -> None:
    texts, raw = ([{"name": "t", "dtype": dtype}] for dtype in ("string", "BYTES"))
    assert diff(a_signature(profile="tensor", inputs=texts), a_signature(profile="tensor", inputs=raw)) == ()
    (change,) = diff(a_signature(inputs=texts), a_signature(inputs=raw))
    assert change.rule == "I8"


def test_a_renamed_input_without_an_alias_is_one_gone_and_one_come() -> None:
    assert [(one.path, one.rule) for one in diff(taking({}), taking({"name": "total"}))] == [
        ("inputs.amount", "I3"),
        ("inputs.total", "I2"),
    ]


def test_a_renamed_input_is_compared_with_what_it_was() -> None:
    found = diff(taking({}), taking({"name": "total", "aliases": ["amount"], "dtype": "float32"}))
    assert [(one.path, one.rule) for one in found] == [("inputs.total.dtype", "I7"), ("inputs.total.name", "I9")]


def test_each_dimension_is_a_change_of_its_own() -> None:
    found = diff(taking({"shape": [-1, 3, 4]}), taking({"shape": [2, -1, 4]}))
    assert [(one.path, one.rule) for one in found] == [
        ("inputs.amount.shape[0]", "I11"),
        ("inputs.amount.shape[1]", "I10"),
    ]


def test_a_reason_says_who_is_hurt() -> None:
    (narrow,) = diff(taking({"dtype": "long"}), taking({"dtype": "int"}))
    assert narrow.reason == "Takes int32; the old version took int64. A client that sends int64 is refused."
    (wide,) = diff(taking({"dtype": "int"}), taking({"dtype": "long"}))
    assert wide.reason.endswith("Old clients do not notice; a client that sends int64 cannot go back.")
    (scale,) = diff(giving({"max": "1"}), giving({}))
    assert "the old version gave values up to 1. An old client does not expect all of that." in scale.reason
    (added,) = diff(giving({"categories": ["a"]}), giving({"categories": ["a", "b"]}))
    assert added.reason == "May answer b: an old client does not know it."


def test_where_the_profile_changes_the_fields_are_compared_too() -> None:
    found = diff(taking({}), taking({"dtype": "int64"}, profile="tensor"))
    assert {one.path for one in found} == {"profile", "inputs.amount.dtype"}
    assert not backward(taking({}), taking({}, profile="tensor"))


def test_the_bump_of_a_signature_without_fields_is_none() -> None:
    nothing = a_signature(inputs=[], outputs=[])
    assert diff(nothing, nothing) == ()
    assert greatest(one.bump for one in diff(nothing, taking({}))) is Bump.MAJOR


# ---- where two facts meet ----------------------------------------------------------------------

_IGNORING: Final = {"unknownInputs": "Ignore"}


def test_a_name_that_is_ignored_from_now_on_breaks_old_clients_where_the_input_is_required() -> None:
    before: dict[str, list[str]] = {"aliases": ["total"]}
    after: dict[str, list[str]] = {"aliases": []}
    assert not backward(taking(before, **_IGNORING), taking(after, **_IGNORING))
    spare = {"optional": True}
    assert backward(taking(before | spare, **_IGNORING), taking(after | spare, **_IGNORING))


def test_an_alias_is_lost_to_an_input_that_takes_it_for_its_name() -> None:
    one = {"aliases": ["total"]}
    found = diff(taking(one), taking(one, {"name": "total", "optional": True}))
    assert [(one.path, one.rule) for one in found] == [("inputs.amount.name", "I9"), ("inputs.total", "I1")]


def test_a_new_name_is_ignored_by_the_old_version_only_where_it_can_do_without_the_input() -> None:
    renamed = {"name": "total", "aliases": ["amount"]}
    assert not forward(taking({}, **_IGNORING), taking(renamed, **_IGNORING))
    spare = {"optional": True}
    assert forward(taking(spare, **_IGNORING), taking(renamed | spare, **_IGNORING))


def test_a_name_handed_to_another_output_breaks_even_clients_that_expect_it_to_be_missing() -> None:
    spare = {"optional": True}
    assert backward(giving({**spare, "aliases": ["odds"]}), giving(spare))
    assert not backward(giving({**spare, "aliases": ["odds"]}), giving(spare, {"name": "odds"}))
    assert not forward(giving(spare, {"name": "odds"}), giving({**spare, "aliases": ["odds"]}))


def test_openness_counts_on_the_side_of_whoever_reads() -> None:
    few, many = ["a"], ["a", "b"]
    assert backward(giving({"categories": few, "open": True}), giving({"categories": many}))
    assert not backward(giving({"categories": few}), giving({"categories": many, "open": True}))
    assert forward(giving({"categories": many}), giving({"categories": few, "open": True}))
    assert not forward(giving({"categories": many, "open": True}), giving({"categories": few}))


@pytest.mark.parametrize(
    ("small", "large"),
    [
        *(("int8", "int16"), ("uint8", "uint64"), ("uint8", "int16"), ("uint32", "float64"), ("int32", "double")),
        *(("half", "float"), ("bf16", "FP32"), ("float", "double")),
    ],
)
def test_a_column_is_widened_where_no_value_is_lost_and_only_in_that_direction(small: str, large: str) -> None:
    assert backward(taking({"dtype": small}), taking({"dtype": large}))
    assert not backward(taking({"dtype": large}), taking({"dtype": small}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("int8", "uint16"), ("uint32", "int32"), ("int64", "double"), ("uint64", "double"), ("int8", "float")),
        *(("bf16", "half"), ("bool", "int8"), ("string", "binary"), ("date", "datetime"), ("mine", "yours")),
    ],
)
def test_types_of_other_kinds_exchange_no_values(one: str, other: str) -> None:
    for before, after in ((one, other), (other, one)):
        assert [change.rule for change in diff(taking({"dtype": before}), taking({"dtype": after}))] == ["I8"]

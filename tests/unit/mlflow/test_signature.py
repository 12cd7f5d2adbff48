"""MLflow's signatures as its releases, its users and its chat models write them."""

import hashlib
import json
from typing import Any, Final

import pytest
from msgspec import structs

from serinus.api.modelversion import Bump
from serinus.api.signature import MAX_FIELDS, Field, Profile, Signature
from serinus.engine.schema.diff import diff
from serinus.engine.semver import greatest
from serinus.mlflow.signature import Converted, UnsupportedSignatureError, convert_signature


def converted(inputs: Any, outputs: Any = (), params: Any = None) -> Converted:
    def text(section: Any) -> str | None:
        return None if section is None else json.dumps(section)

    return convert_signature(text(inputs), text(list(outputs)), text(params))


def column(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, **fields}


def tensor(dtype: str, *shape: int | None) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}


def test_a_column_that_an_older_mlflow_calls_optional_may_be_left_out() -> None:
    old = converted([column("double", "a"), column("string", "c", optional=True)]).signature
    new = converted([column("double", "a", required=True), column("string", "c", required=False)]).signature
    assert [field.optional for field in old.inputs] == [False, True]
    assert diff(old, new) == ()
    assert not converted([column("double", "a", optional=False)]).signature.inputs[0].optional


@pytest.mark.parametrize(
    ("default", "text"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ([1.0, float("nan")], "[1.0,NaN]"),
        (True, "true"),
        (1e22, "1e+22"),
    ],
)
def test_a_default_may_be_any_number_that_python_writes(default: Any, text: str) -> None:
    signature = converted([], params=[{"name": "fill", "type": "double", "default": default, "shape": None}]).signature
    assert signature.parameters == (Field(name="fill", dtype="float64", optional=True, default=text),)


@pytest.mark.parametrize(("one", "other"), [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf")])
def test_the_spelling_of_a_default_that_is_no_decimal_does_not_matter(one: str, other: str) -> None:
    signature = converted([], params=[{"name": "fill", "type": "double", "default": 0, "shape": None}]).signature
    (parameter,) = signature.parameters
    both = [structs.replace(signature, parameters=(structs.replace(parameter, default=text),)) for text in (one, other)]
    assert diff(*both) == ()


@pytest.mark.parametrize("unit", ["", "[s]", "[ms]", "[us]", "[ns]", "[D]"])
def test_a_time_of_any_precision_is_a_time(unit: str) -> None:
    assert converted([tensor(f"datetime64{unit}", -1)]).signature.inputs[0].dtype == "datetime"


def test_an_open_dimension_of_keras_is_minus_one() -> None:
    assert converted([tensor("float32", None, 28, 28)]).signature.inputs[0].shape == (-1, 28, 28)


def test_a_wide_table_fits_up_to_the_limit_which_is_named() -> None:
    wide = [column("double", f"f{number}") for number in range(MAX_FIELDS)]
    assert len(converted(wide).signature.inputs) == MAX_FIELDS
    with pytest.raises(UnsupportedSignatureError, match="has 4,097 fields; a ModelVersion holds 4,096"):
        converted([*wide, column("double", "one too many")])


def test_a_long_default_is_kept_as_its_hash_and_a_change_of_it_shows() -> None:
    def prompted(text: str) -> Converted:
        return converted([], params=[{"name": "prompt", "type": "string", "default": text, "shape": None}])

    long = "You are a careful assistant. " * 60
    kept = prompted(long)
    assert kept.signature.parameters[0].default == f"sha256:{hashlib.sha256(long.encode()).hexdigest()}"
    assert kept.remarks == (
        "the text of signature.parameters.prompt.default (1,740 characters): its SHA-256 stands for it",
    )
    (change,) = diff(kept.signature, prompted(long + "!").signature)
    assert change.rule == "I14"


@pytest.mark.parametrize("section", ["{", "[" * 100_000, "3", '["a"]', '"text"', '[{"name": "\\ud800"}]'])
def test_a_section_that_is_no_list_is_refused_by_its_name(section: str) -> None:
    with pytest.raises(UnsupportedSignatureError, match=r"signature\.inputs is not"):
        convert_signature(section, None, None)


def test_a_section_may_be_a_list_instead_of_text() -> None:
    assert convert_signature([column("long", "a")], None, None).signature.inputs == (Field(name="a", dtype="int64"),)


# ---- chat models --------------------------------------------------------------------------------


def message(**more: Any) -> dict[str, Any]:
    text = {"type": "string", "required": True}
    return {"type": "object", "properties": {"role": text, "content": text, **more}}


# As mlflow.types.llm writes the signature of a ChatModel, shortened.
INPUTS: Final = [
    {"type": "array", "items": message(name={"type": "string", "required": False}), "name": "messages"},
    column("double", "temperature", required=False),
    {"type": "array", "items": {"type": "string"}, "name": "stop", "required": False},
    {"type": "map", "values": {"type": "string"}, "name": "metadata", "required": False},
    column("any", "custom", required=False),
]
CHOICE: Final = {"type": "object", "properties": {"message": {**message(), "required": True}}}
OUTPUTS: Final = [column("string", "id"), {"type": "array", "items": CHOICE, "name": "choices"}]


def chat(inputs: Any = INPUTS, outputs: Any = OUTPUTS) -> Signature:
    return converted(inputs, outputs).signature


def test_a_chat_models_signature_has_its_paths_as_names() -> None:
    signature = chat()
    assert signature.profile is Profile.CHAT
    assert signature.inputs == (
        Field(name="messages", dtype="object", shape=(-1,)),
        Field(name="messages[].role", dtype="string"),
        Field(name="messages[].content", dtype="string"),
        Field(name="messages[].name", dtype="string", optional=True),
        Field(name="temperature", dtype="float64", optional=True),
        Field(name="stop", dtype="string", shape=(-1,), optional=True),
        Field(name="metadata", dtype="map", optional=True),
        Field(name="metadata{}", dtype="string", optional=True),
        Field(name="custom", dtype="any", optional=True),
    )
    assert [field.name for field in signature.outputs] == [
        *("id", "choices", "choices[].message", "choices[].message.role", "choices[].message.content"),
    ]


def with_message(**properties: Any) -> list[dict[str, Any]]:
    return [{**INPUTS[0], "items": message(**properties)}, *INPUTS[1:]]


TOOL: Final = {"type": "object", "properties": {"id": {"type": "string", "required": True}}}
NAME: Final = {"name": {"type": "string", "required": False}}


@pytest.mark.parametrize(
    ("inputs", "bump"),
    [
        (with_message(**NAME, refusal={"type": "string", "required": False}), Bump.MINOR),
        (with_message(**NAME, tool_call_id={"type": "string", "required": True}), Bump.MAJOR),
        (with_message(name={"type": "string", "required": True}), Bump.MAJOR),
        (with_message(), Bump.MAJOR),
        ([*INPUTS, {**TOOL, "name": "tool", "required": False}], Bump.MINOR),
        ([*INPUTS, {**TOOL, "name": "tool", "required": True}], Bump.MAJOR),
        ([INPUTS[0], column("long", "temperature", required=False), *INPUTS[2:]], Bump.MAJOR),
        ([INPUTS[0], column("float", "temperature", required=False), *INPUTS[2:]], Bump.MAJOR),
    ],
)
def test_a_change_of_a_chat_models_requests_needs_its_bump(inputs: Any, bump: Bump) -> None:
    assert greatest(change.bump for change in diff(chat(), chat(inputs))) is bump


def test_an_answer_may_gain_objects_and_may_not_lose_them() -> None:
    usage = {"type": "object", "properties": {"total": {"type": "long", "required": True}}, "name": "usage"}
    more = chat(outputs=[*OUTPUTS, usage])
    assert greatest(change.bump for change in diff(chat(), more)) is Bump.MINOR
    assert greatest(change.bump for change in diff(more, chat())) is Bump.MAJOR
    spare = chat(outputs=[*OUTPUTS, {**usage, "required": False}])
    assert greatest(change.bump for change in diff(spare, chat())) is Bump.MINOR


def test_parameters_of_a_chat_model_may_be_objects() -> None:
    params = [
        {
            "name": "format",
            "type": "object",
            "properties": {"type": {"type": "string", "required": True}},
            "default": {"type": "text"},
            "shape": None,
        }
    ]
    signature = converted(INPUTS, OUTPUTS, params).signature
    assert signature.parameters == (
        Field(name="format", dtype="object", optional=True, default='{"type":"text"}'),
        Field(name="format.type", dtype="string"),
    )
    assert greatest(change.bump for change in diff(chat(), signature)) is Bump.MINOR


def test_a_schema_without_end_is_refused() -> None:
    nested: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        nested = {"type": "object", "properties": {"more": nested}}
    with pytest.raises(UnsupportedSignatureError, match="nested more than 16 deep"):
        converted([{**nested, "name": "deep"}])

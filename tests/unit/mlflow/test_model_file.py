"""MLmodel files: frameworks, signatures, and what a ModelVersion cannot express."""

import json
from typing import Any

import pytest

from serinus.api.modelversion import Framework
from serinus.api.signature import Field, Profile
from serinus.errors import InvalidObjectError
from serinus.mlflow.model_file import ModelFile, read_model_file


def read(**fields: Any) -> ModelFile:
    raw = {"flavors": {"python_function": {"python_version": "3.11.7"}}, "mlflow_version": "3.17.2", **fields}
    # JSON is YAML.
    return read_model_file(json.dumps(raw).encode(), "MLmodel")


def signed(**fields: Any) -> ModelFile:
    return read(signature={name: json.dumps(value) if value is not None else None for name, value in fields.items()})


def column(kind: str, name: str | None = "x", **fields: Any) -> dict[str, Any]:
    return {"type": kind, **({"name": name} if name else {}), **fields}


def tensor(dtype: str, *shape: int, **fields: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **fields}


@pytest.mark.parametrize(
    ("flavors", "framework"),
    [
        ({"sklearn": {"sklearn_version": "1.9.1"}}, Framework(name="sklearn", version="1.9.1")),
        ({"xgboost": {"xgb_version": "3.0.0"}}, Framework(name="xgboost", version="3.0.0")),
        ({"onnx": {"onnx_version": "1.19"}, "python_function": None}, Framework(name="onnx", version="1.19")),
        ({"tensorflow": {}, "keras": {"keras_version": "3.1"}}, Framework(name="keras", version="3.1")),
        ({"ours": {}}, Framework(name="ours")),
        ({"python_function": {}}, None),
    ],
)
def test_the_framework_is_the_flavor_with_a_version(flavors: dict[str, Any], framework: Framework | None) -> None:
    assert read(flavors=flavors).framework == framework


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("boolean", "bool"),
        ("integer", "int32"),
        ("long", "int64"),
        ("float", "float32"),
        ("double", "float64"),
        ("string", "string"),
        ("binary", "bytes"),
        ("datetime", "datetime"),
    ],
)
def test_each_column_type_has_its_own(kind: str, dtype: str) -> None:
    signature = signed(inputs=[column(kind)], outputs=[column(kind)]).signature
    assert signature is not None
    assert signature.profile is Profile.COLUMNAR
    assert signature.inputs == signature.outputs == (Field(name="x", dtype=dtype),)


def test_arrays_have_a_dimension_that_varies_and_a_column_may_be_left_out() -> None:
    items = {"type": "array", "items": {"type": "array", "items": {"type": "double"}}, "name": "xs", "required": False}
    signature = signed(inputs=[items], outputs=[]).signature
    assert signature is not None
    assert signature.inputs == (Field(name="xs", dtype="float64", shape=(-1, -1), optional=True),)


def test_tensors_keep_type_and_shape_and_are_named_by_their_position() -> None:
    signature = signed(inputs=[tensor("float32", -1, 3)], outputs=[tensor("str", -1, name="label")]).signature
    assert signature is not None
    assert signature.profile is Profile.TENSOR
    assert signature.inputs == (Field(name="0", dtype="float32", shape=(-1, 3)),)
    assert signature.outputs == (Field(name="label", dtype="string", shape=(-1,)),)


def test_unnamed_columns_are_named_by_their_position() -> None:
    signature = signed(inputs=[column("double", None), column("long", None)], outputs=[]).signature
    assert signature is not None
    assert [field.name for field in signature.inputs] == ["0", "1"]


def test_parameters_have_their_defaults_as_text() -> None:
    params = [
        {"name": "threshold", "type": "double", "default": 0.5, "shape": None},
        {"name": "stop", "type": "string", "default": ["a"], "shape": [-1]},
        {"name": "seed", "type": "long", "default": None, "shape": None},
    ]
    signature = signed(inputs=[], outputs=[], params=params).signature
    assert signature is not None
    assert signature.parameters == (
        Field(name="threshold", dtype="float64", optional=True, default="0.5"),
        Field(name="stop", dtype="string", shape=(-1,), optional=True, default='["a"]'),
        Field(name="seed", dtype="int64", optional=True),
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([column("object")], "signature.inputs.x: an object without"),
        ([column("map")], "signature.inputs.x: a map without"),
        ([column("sparkml_vector")], "signature.inputs.x: the type 'sparkml_vector'"),
        ([column("any"), tensor("int8", 1, name="y")], "signature has tensors and nested objects"),
        ([column("array")], "signature.inputs.x: an array without"),
        ([tensor("complex64", 1)], "signature.inputs.0: the type 'complex64'"),
        ([{"type": "tensor"}], "signature.inputs.0: a tensor without"),
        ([tensor("int8", -2)], "signature.inputs.0: its shape"),
        ([column("long"), column("double")], "signature.inputs has two fields"),
        ([column("long", "x" * 300)], "signature.inputs[0].name"),
        ({"not": "a list"}, "signature.inputs is not a list"),
    ],
)
def test_an_unsupported_signature_is_left_out_with_the_reason(inputs: Any, words: str) -> None:
    file = signed(inputs=inputs, outputs=[])
    assert file.signature is None
    assert words in file.problem


@pytest.mark.parametrize(
    "path", ["C:/models/fraud", r"C:\\models\\fraud", r"\\\\nas\\models", r"models\\fraud", "/srv/models"]
)
def test_a_path_of_the_machine_that_logged_the_model_is_no_address(path: str) -> None:
    assert read(artifact_path=path).artifact_uri == ""


def test_a_signature_may_lack_the_outputs() -> None:
    assert not signed(inputs=[column("long")], outputs=None).outputs_known
    assert signed(inputs=[column("long")], outputs=[]).outputs_known


def test_the_artifact_path_is_used_only_if_it_is_an_address() -> None:
    assert read(artifact_path="mlflow-artifacts:/1/models/m/artifacts").artifact_uri.startswith("mlflow-artifacts:/")
    assert read(artifact_path="model").artifact_uri == ""
    assert read(run_id="abc").run_id == "abc"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "MLmodel: is not YAML"),
        (b"[]", "MLmodel: "),
        (b"{}", "flavors"),
        (b"flavors: []", r"MLmodel\.flavors"),
        (b"flavors: {}\nsignature: {inputs: 3}", r"MLmodel\.signature\.inputs"),
    ],
)
def test_an_invalid_model_file_is_refused_naming_the_field(content: bytes, words: str) -> None:
    with pytest.raises(InvalidObjectError, match=words):
        read_model_file(content, "MLmodel")

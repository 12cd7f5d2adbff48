import re

import pytest

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode, encode
from serinus.api.schema import in_python
from serinus.errors import InvalidObjectError


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^[a-z]+$", "abc", True),
        (r"^[a-z]+$", "abc\n", False),
        (r"^a\s*b$", "a \t\n\f\rb", True),
        (r"^a\s*b$", "a\vb", False),
        (r"^a\s*b$", "a\u00a0b", False),
        (r"^/[^\s#]*$", "/a\vb", True),
        (r"^/[^\s#]*$", "/a b", False),
        (r"^\d+$", "12", True),
        (r"^\d+$", "\u0663", False),
    ],
)
def test_a_pattern_matches_in_python_as_in_re2(pattern: str, text: str, *, matches: bool) -> None:
    assert bool(re.search(in_python(pattern), text)) == matches


def a_version(**fields: object) -> ModelVersionSpec:
    return decode(ModelVersionSpec, {"model": "fraud", "version": "2.0.0", **fields}, "spec")


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"version": "fraud-v2.0.0"}, "spec.version", "write a SemVer 2.0 version"),
        ({"version": "2.0.0--"}, "spec.version", "cannot end the name of an object"),
        ({"version": "2.0.0-a.-b"}, "spec.version", "cannot end the name of an object"),
        ({"artifact": {"uri": "s3://a", "sizeBytes": 2**53}}, "spec.artifact.sizeBytes", "9007199254740991"),
        ({"serving": {"backendRef": {"name": "a"}}}, "spec.serving.backendRef.port", "a Service backend needs a port"),
        (
            {"training": {"startedAt": "0202-11-01T06:00:00Z"}},
            "spec.training.startedAt",
            "the year 202 is not from 1900",
        ),
        (
            {"signature": {"profile": "tensor", "inputs": [], "outputs": [{"name": "a", "dtype": "int8"}] * 2}},
            "spec.signature.outputs[1]",
            "there is another 'a' before it",
        ),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, object], path: str, words: str) -> None:
    with pytest.raises(InvalidObjectError) as refusal:
        a_version(**fields)
    assert refusal.value.path == path
    assert words in refusal.value.problem


def test_a_time_without_an_offset_is_in_utc() -> None:
    spec = a_version(training={"startedAt": "2026-11-01 06:00:00"})
    assert encode(spec)["training"]["startedAt"] == "2026-11-01T06:00:00Z"

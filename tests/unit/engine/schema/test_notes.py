"""Notes: likely mistakes in a number or a signature that break no rule."""

from typing import Any, Final

import pytest

from serinus.api.signature import Signature
from serinus.engine.schema.compatibility import KnownVersion, judge
from support.schema.signatures import a_signature, with_inputs

PLAIN: Final = with_inputs({})


def known(version: str, signature: Signature | None = PLAIN, **fields: Any) -> KnownVersion:
    return KnownVersion(**{"version": version, "signature": signature, "spec_hash": f"spec of {version}", **fields})


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (
            "1.2.3-4-gabcdef0",
            "comes before 1.2.3, for what follows the first hyphen makes it a prerelease",
        ),
        ("1.2.3-4-gabcdef0", "such as 1.2.4-dev.1."),
        (
            "1.0.0-rc10",
            "SemVer compares rc10 as text, so that rc10 comes before rc9: put a dot before the number",
        ),
        ("1.0.0-beta2.x", "as in beta.2."),
    ],
)
def test_a_number_that_sorts_otherwise_than_meant_is_warned_of(number: str, sentence: str) -> None:
    assert sentence in judge(known(number), [], None).message


@pytest.mark.parametrize("number", ["1.0.0-rc.10", "1.0.0", "1.0.0-sha.abc123", "1.0.0-rc.1-4-gabcdef0"])
def test_other_numbers_are_not(number: str) -> None:
    assert judge(known(number), [], None).message == "1.0.0 has no earlier".replace("1.0.0", number) + (
        " release and none in its line to be compared with."
    )


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ({"dtype": "flaot64"}, "'flaot64' is not a known type and equals only itself (did you mean float64?)."),
        ({"dtype": "integr"}, "(did you mean int32?)."),
        ({"dtype": "torch.Tensor"}, "torch.Tensor is not a known type and equals only itself."),
        ({"min": "5", "max": "1"}, "inputs.amount: its min 5 is above its max 1."),
        ({"shape": [-2, 4]}, "inputs.amount.shape: [-2, 4] has a negative length that is not -1; it is read as -1."),
    ],
)
def test_a_likely_mistake_in_a_signature_is_named(field: dict[str, Any], sentence: str) -> None:
    verdict = judge(known("1.0.0", with_inputs(field)), [], None)
    assert verdict.accepted
    assert sentence.replace("'", "") in verdict.message


def test_many_mistakes_are_counted() -> None:
    wrong = [{"name": f"f{number}", "dtype": "flaot64"} for number in range(50)]
    message = judge(known("1.0.0", a_signature(inputs=wrong)), [], None).message
    assert message.endswith("47 more fields look like mistakes.")

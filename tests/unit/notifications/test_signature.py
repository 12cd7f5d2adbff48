"""Signatures of Standard Webhooks."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest

from serinus.errors import RefusedError
from serinus.notifications.message import Message
from serinus.notifications.signature import read_keys, signature_headers


def test_the_example_of_the_specification_is_signed_as_there() -> None:
    (key,) = read_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", "application/json", b'{"test": 2432232314}')
    assert signature_headers(message, [key], datetime.fromtimestamp(1614265330, UTC)) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_key_is_replaced_both_sign() -> None:
    old, new = (f"whsec_{b64encode(bytes([number] * 32)).decode()}" for number in (1, 2))
    message, at = Message("id", "application/json", b"{}"), datetime(2026, 11, 23, tzinfo=UTC)
    alone = [signature_headers(message, read_keys(one), at)["webhook-signature"] for one in (old, new)]
    both = signature_headers(message, read_keys(f"{old}\n{new}"), at)["webhook-signature"]
    assert both.split() == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has 0 keys"),
        ("\n".join(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] * 4), "has 4 keys"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "another form"),
        ("whsec_MfKQ", "another form"),
        ("whsec_!" + "M" * 31, "another form"),
        ("whsec_" + "A" * 88, "another form"),
        ("whsec_\N{LATIN SMALL LETTER E WITH ACUTE}", "another form"),
    ],
)
def test_a_file_without_good_keys_is_refused_without_quoting_it(text: str, problem: str) -> None:
    with pytest.raises(RefusedError, match=problem) as raised:
        read_keys(text)
    assert "MfKQ" not in str(raised.value)

"""The audit chain: every change is detected, and hashes are SHA-256 over canonical JSON (RFC 8785)."""

import copy
import struct
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.parsing import decode, encode
from serinus.engine.audit.chain import START as BEGINNING
from serinus.engine.audit.chain import (
    Anchor,
    ChainFault,
    ChainFinding,
    StoredRecord,
    digest_of,
    record_hash,
    verify_chain,
)
from support.audit.random_histories import audit_entries, chain_of
from support.registry.place import audit_entry

Chain = list[StoredRecord]

histories = st.lists(audit_entries(), min_size=1, max_size=6)


def stored(*entries: Any) -> Chain:
    return [StoredRecord(record.sequence, encode(record)) for record in chain_of(entries)[0]]


def end_of(chain: Chain) -> Anchor:
    return Anchor(chain[-1].sequence, chain[-1].content["hash"], "the head")


def of_three() -> Chain:
    return stored(*(audit_entry(AuditEvent.PROMOTED, version=f"{number}.0.0") for number in (1, 2, 3)))


def faults(found: tuple[ChainFinding, ...]) -> set[tuple[ChainFault, int]]:
    return {(finding.fault, finding.sequence) for finding in found}


def rewritten(chain: Chain, since: int, **changes: Any) -> Chain:
    """Return the chain as rewritten by somebody with full write access: changed, with all hashes recomputed."""
    made: Chain = []
    for record in chain:
        content = dict(copy.deepcopy(record.content))
        if record.sequence >= since:
            content |= changes if record.sequence == since else {}
            content["previousHash"] = made[-1].content["hash"] if made else ""
            content["hash"] = record_hash(content)
        made.append(replace(record, content=content))
    return made


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a record."""
    yield path
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, member in members:
        yield from leaves(member, (*path, name))


def changed_at(content: Any, path: tuple[Any, ...], how: str) -> dict[str, Any]:
    """Return the content with one change at the path: another value, the value removed, or a member added."""
    made: dict[str, Any] = copy.deepcopy(dict(content))
    inside: Any = made
    for step in path[:-1]:
        inside = inside[step]
    match how:
        case "removed":
            del inside[path[-1]]
        case "added" if path and isinstance(inside[path[-1]], dict):
            inside[path[-1]]["more"] = "words"
        case "added":
            made["more"] = "words"
        case _:
            inside[path[-1]] = _another(inside[path[-1]])
    return made


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value} "
        case dict():
            return {**value, "more": "words"}
        case _:
            return [*value, "more"]


@given(histories)
def test_an_unchanged_chain_verifies_up_to_the_head_and_against_every_checkpoint(entries: list[Any]) -> None:
    chain = stored(*entries)
    seen = [Anchor(record.sequence, record.content["hash"], "a checkpoint") for record in chain]
    assert verify_chain(chain, end=end_of(chain), anchors=seen) == ()


@given(histories, st.data())
def test_any_change_of_any_field_of_any_record_is_found(entries: list[Any], data: st.DataObject) -> None:
    chain = stored(*entries)
    place = data.draw(st.integers(0, len(chain) - 1))
    path = data.draw(st.sampled_from([path for path in leaves(chain[place].content) if path]))
    how = data.draw(st.sampled_from(["changed", "removed", "added"]))
    forged = changed_at(chain[place].content, path, how)
    assume(forged != chain[place].content)
    chain[place] = replace(chain[place], content=forged)
    found = faults(verify_chain(chain, end=Anchor(len(entries), stored_hash(entries), "the head")))
    assert (ChainFault.ALTERED, place + 1) in found


def stored_hash(entries: list[Any]) -> str:
    return str(end_of(stored(*entries)).hash)


@given(histories, st.data())
def test_a_change_with_a_hash_that_fits_shows_in_the_next_record_or_in_the_head(
    entries: list[Any], data: st.DataObject
) -> None:
    chain = stored(*entries)
    head = end_of(chain)
    place = data.draw(st.integers(0, len(chain) - 1))
    forged = {**chain[place].content, "reason": "quite another"}
    chain[place] = replace(chain[place], content={**forged, "hash": record_hash(forged)})
    last = place == len(chain) - 1
    expected = (ChainFault.HEAD_DIFFERS, place + 1) if last else (ChainFault.BROKEN, place + 2)
    assert expected in faults(verify_chain(chain, end=head))


@given(histories, st.data())
def test_a_removed_record_is_found(entries: list[Any], data: st.DataObject) -> None:
    chain = stored(*entries)
    head = end_of(chain)
    gone = data.draw(st.integers(0, len(chain) - 1))
    rest = chain[:gone] + chain[gone + 1 :]
    expected = ChainFault.TRUNCATED if gone == len(chain) - 1 else ChainFault.MISSING
    assert (expected, gone + 1) in faults(verify_chain(rest, end=head))


@given(histories, st.data())
def test_an_inserted_record_is_found(entries: list[Any], data: st.DataObject) -> None:
    chain = stored(*entries)
    head = end_of(chain)
    place = data.draw(st.integers(0, len(chain)))
    alike = chain[data.draw(st.integers(0, len(chain) - 1))]
    forged = {**alike.content, "id": "somebody's"}
    other = data.draw(st.sampled_from([alike, replace(alike, content={**forged, "hash": record_hash(forged)})]))
    assert verify_chain([*chain[:place], other, *chain[place:]], end=head) != ()


def test_records_in_another_order_are_found() -> None:
    chain = of_three()
    orders = [list(order) for order in permutations(chain) if list(order) != chain]
    assert len(orders) == 5
    assert all(verify_chain(order, end=end_of(chain)) for order in orders)


def test_records_that_have_changed_places_are_found() -> None:
    one, two, three = of_three()
    swapped = [one, replace(two, content=three.content), replace(three, content=two.content)]
    found = faults(verify_chain(swapped, end=end_of([one, two, three])))
    assert {(ChainFault.MISPLACED, 2), (ChainFault.MISPLACED, 3)} <= found


def test_a_finding_names_the_record_and_the_defect() -> None:
    one, two, three = of_three()
    (missing,) = verify_chain([one, three], end=end_of([one, two, three]))
    assert (missing.fault, missing.sequence, missing.message) == (ChainFault.MISSING, 2, "record 2 is missing")
    altered = replace(two, content={**two.content, "reason": "another"})
    first, second = verify_chain([one, altered, three], end=end_of([three]))
    assert first.message == f"its hash is {two.content['hash']}, its content hashes to {record_hash(altered.content)}"
    assert second.message.startswith(f"it follows {two.content['hash']}, but record 2 is sha256:")


@given(histories, st.data())
def test_a_rewritten_chain_is_consistent_in_itself_but_not_with_a_checkpoint(
    entries: list[Any], data: st.DataObject
) -> None:
    chain = stored(*entries)
    since = data.draw(st.integers(1, len(chain)))
    witnessed = data.draw(st.integers(since, len(chain)))
    forged = rewritten(chain, since, reason="it was never bad")
    checkpoint = Anchor(witnessed, chain[witnessed - 1].content["hash"], "the checkpoint of noon")
    assert verify_chain(forged, end=end_of(forged)) == ()
    found = verify_chain(forged, end=end_of(forged), anchors=[checkpoint])
    assert faults(found) == {(ChainFault.CHECKPOINT_DIFFERS, witnessed)}
    assert "the checkpoint of noon" in found[0].message


@given(histories, st.data())
def test_a_chain_cut_short_with_its_head_shows_against_a_checkpoint(entries: list[Any], data: st.DataObject) -> None:
    chain = stored(*entries)
    kept = data.draw(st.integers(0, len(chain) - 1))
    head = end_of(chain[:kept]) if kept else Anchor(0, "", "the head")
    checkpoint = Anchor(len(chain), chain[-1].content["hash"], "the checkpoint of noon")
    assert verify_chain(chain[:kept], end=head) == ()
    assert faults(verify_chain(chain[:kept], end=head, anchors=[checkpoint])) == {(ChainFault.TRUNCATED, len(chain))}


@given(histories, st.data())
def test_the_chain_after_pruned_records_still_verifies(entries: list[Any], data: st.DataObject) -> None:
    chain = stored(*entries)
    pruned = data.draw(st.integers(0, len(chain)))
    begin = Anchor(pruned, chain[pruned - 1].content["hash"], "the last removed record") if pruned else BEGINNING
    old = Anchor(1, "sha256:of-a-record-that-was-removed", "an old checkpoint")
    anchors = [old] if pruned else []
    assert verify_chain(chain[pruned:], begin=begin, end=end_of(chain), anchors=anchors) == ()
    if pruned < len(chain):
        wrong = replace(begin, hash="sha256:of-another-chain")
        assert (ChainFault.BROKEN, pruned + 1) in faults(verify_chain(chain[pruned:], begin=wrong, end=end_of(chain)))


def test_a_head_that_says_less_or_other_than_the_chain_is_found() -> None:
    chain = of_three()
    assert faults(verify_chain(chain, end=end_of(chain[:2]))) == {(ChainFault.HEAD_DIFFERS, 2)}
    assert faults(verify_chain(chain, end=Anchor(3, "sha256:other", "the head"))) == {(ChainFault.HEAD_DIFFERS, 3)}
    assert verify_chain([], end=Anchor(0, "", "the head")) == ()
    assert faults(verify_chain([], end=end_of(chain))) == {(ChainFault.TRUNCATED, 3)}
    assert verify_chain(chain) == (), "without a head to ask, there is none to differ"


def test_a_record_that_has_no_canonical_form_is_found_and_breaks_nothing_else() -> None:
    one, two, three = of_three()
    strange = replace(two, content={**two.content, "traffic": float("nan")})
    found = verify_chain([one, strange, three], end=end_of([three]))
    assert faults(found) == {(ChainFault.ALTERED, 2), (ChainFault.BROKEN, 3)}
    assert "no canonical form" in found[0].message
    bottomless: dict[str, Any] = {}
    inside = bottomless
    for _ in range(100_000):
        inside["deeper"] = {}
        inside = inside["deeper"]
    found = verify_chain([one, replace(two, content={**two.content, "details": bottomless}), three])
    assert (ChainFault.ALTERED, 2) in faults(found)
    while bottomless:  # freed level by level: at once it would be too deep for the interpreter
        bottomless = bottomless.pop("deeper")


@given(audit_entries())
def test_a_records_hash_covers_all_other_fields_and_survives_a_round_trip(entry: Any) -> None:
    ((record,), _) = chain_of([entry])
    content = encode(record)
    assert record.hash == record_hash(content) == record_hash({**content, "hash": "another"})
    assert record_hash(dict(reversed(content.items()))) == record.hash
    assert decode(AuditRecordSpec, content, "spec").hash == record.hash


# ---- RFC 8785 ---------------------------------------------------------------------------------

SAMPLE = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
    "literals": [None, True, False],
}
SAMPLE_IN_HEX = """
    7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73
    22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31
    65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c
    22 2f 22 7d
"""
"""RFC 8785, section 3.2.2 and, in UTF-8, 3.2.4."""

SORTED_KEYS = {
    "\r": "Carriage Return",
    "1": "One",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
    "\u20ac": "Euro Sign",
    "\U0001f600": "Emoji: Grinning Face",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
}
"""Section 3.2.3, in the order that it asks for: that of UTF-16, in which the emoji is lower than the Hebrew letter."""

NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
"""Appendix B: the bits of a number, and how it is written."""


def sha(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def test_the_sample_of_the_rfc_has_the_digest_of_its_bytes() -> None:
    assert digest_of(SAMPLE) == sha(bytes.fromhex(SAMPLE_IN_HEX))


def test_keys_stand_in_the_order_of_the_rfc() -> None:
    # Of all characters here only the carriage return is written with an escape (section 3.2.2.2).
    members = ",".join(f'"{key}":"{value}"' for key, value in SORTED_KEYS.items()).replace("\r", "\\r")
    expected = sha(f"{{{members}}}".encode())
    assert digest_of(SORTED_KEYS) == expected
    assert digest_of(dict(reversed(SORTED_KEYS.items()))) == expected


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_a_number_is_written_as_the_rfcs_appendix_says(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert digest_of({"n": number}) == sha(f'{{"n":{text}}}'.encode())


def test_a_known_record_has_the_hash_that_it_had_when_this_was_written() -> None:
    content = {"format": 1, "sequence": 1, "event": "Promoted", "at": "2026-11-01T12:00:00Z", "previousHash": ""}
    written = b'{"at":"2026-11-01T12:00:00Z","event":"Promoted","format":1,"previousHash":"","sequence":1}'
    assert record_hash({**content, "hash": "sha256:whatever"}) == sha(written)

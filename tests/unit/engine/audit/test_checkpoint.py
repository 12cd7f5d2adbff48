"""What a checkpoint is: its canonical form, what is signed, and the names under which it is stored."""

import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode, encode
from serinus.audit.checkpoint_reader import CheckpointAnchors
from serinus.engine.audit.chain import ChainOwner
from serinus.engine.audit.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    anchors_of,
    canonical,
    checkpoint_hash,
    checkpoint_of,
    hash_in_name,
    object_name,
    signing_payload,
    time_in_name,
    time_part,
)

AT = datetime(2026, 11, 1, 12, 30, 15, 250_000, tzinfo=UTC)
FRAUD, CREDIT = ObjectKey("ml", "fraud"), ObjectKey("ml", "credit")
A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def end(sequence: int, digest: str = A) -> ChainHead:
    return ChainHead(sequence=sequence, hash=digest)


keys = st.builds(
    ObjectKey, st.sampled_from(["", "ml", "risk"]), st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
)
ends = st.builds(
    ChainHead,
    sequence=st.integers(1, 10**12 - 1),
    hash=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)
times = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis adds the zone
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
checkpoints = st.builds(
    lambda heads, at, previous: checkpoint_of(heads.items(), at, previous),
    st.dictionaries(keys, ends, max_size=5),
    times,
    st.sampled_from(["", A, B]),
)


def test_the_canonical_form_never_changes() -> None:
    checkpoint = checkpoint_of([(FRAUD, end(128)), (CREDIT, end(7, B))], AT, A)
    assert signing_payload(checkpoint) == (
        b"serinus checkpoint 1\n"
        b'{"at":"2026-11-01T12:30:15.250Z","format":1,"heads":['
        b'{"hash":"sha256:' + b"b" * 64 + b'","model":"credit","namespace":"ml","sequence":7},'
        b'{"hash":"sha256:' + b"a" * 64 + b'","model":"fraud","namespace":"ml","sequence":128}],'
        b'"previous":"sha256:' + b"a" * 64 + b'"}'
    )
    assert checkpoint_hash(checkpoint) == "sha256:6e5b6a672ee3cfe4fa233c95606bcc4663d8d8e444031a36625472c168de815d"


def test_the_order_of_the_heads_does_not_matter() -> None:
    heads = [(FRAUD, end(128)), (CREDIT, end(7))]
    assert checkpoint_of(heads, AT, "") == checkpoint_of(reversed(heads), AT, "")


def test_of_two_heads_of_a_model_the_longer_chain_counts_and_an_empty_one_is_left_out() -> None:
    checkpoint = checkpoint_of([(FRAUD, end(3)), (FRAUD, end(5, B)), (FRAUD, end(4)), (CREDIT, ChainHead())], AT, "")
    assert [(head.model, head.sequence, head.hash) for head in checkpoint.heads] == [("fraud", 5, B)]


@given(checkpoints)
def test_a_checkpoint_survives_a_round_trip(checkpoint: Checkpoint) -> None:
    signed = SignedCheckpoint(checkpoint=checkpoint, key=A, signature="c2ln")
    read = decode(SignedCheckpoint, json.loads(canonical(signed)), "checkpoint")
    assert read == signed
    assert signing_payload(read.checkpoint) == signing_payload(checkpoint)


@given(checkpoints, st.data())
def test_every_field_is_signed(checkpoint: Checkpoint, data: st.DataObject) -> None:
    changes = [
        structs.replace(checkpoint, at=checkpoint.at + timedelta(milliseconds=1)),
        structs.replace(checkpoint, previous=B if checkpoint.previous != B else ""),
        structs.replace(checkpoint, heads=(*checkpoint.heads, *checkpoint.heads[:1])),
    ]
    for number, head in enumerate(checkpoint.heads):
        others = (
            structs.replace(head, sequence=head.sequence + 1),
            structs.replace(head, hash=A if head.hash != A else B),
            structs.replace(head, model=f"{head.model}x"),
            structs.replace(head, namespace=f"{head.namespace}x"),
        )
        rest = checkpoint.heads[:number], checkpoint.heads[number + 1 :]
        changes += [structs.replace(checkpoint, heads=(*rest[0], other, *rest[1])) for other in others]
        changes.append(structs.replace(checkpoint, heads=(*rest[0], *rest[1])))
    changed = data.draw(st.sampled_from([change for change in changes if change != checkpoint]))
    assert signing_payload(changed) != signing_payload(checkpoint)
    assert checkpoint_hash(changed) != checkpoint_hash(checkpoint)


def test_the_signed_bytes_have_a_prefix_so_that_no_other_signature_is_valid() -> None:
    checkpoint = checkpoint_of([(FRAUD, end(1))], AT, "")
    assert not signing_payload(checkpoint).startswith(b"{")


@given(times, times)
def test_names_sort_chronologically(one: datetime, other: datetime) -> None:
    assert (time_part(one) < time_part(other)) == (one < other)


def test_the_time_in_a_name_is_utc_wherever_it_was_written() -> None:
    assert time_part(AT.astimezone(timezone(timedelta(hours=5)))) == time_part(AT) == "20261101T123015.250Z"


@given(checkpoints)
def test_a_name_contains_the_time_and_the_hash(checkpoint: Checkpoint) -> None:
    name = object_name(checkpoint)
    assert time_in_name(name) == checkpoint.at
    assert hash_in_name(name) == checkpoint_hash(checkpoint)


def test_other_names_contain_neither_time_nor_hash() -> None:
    for name in ("", "README.md", "20261101T123015.250Z-short.json", f"x-{'g' * 64}.json", f"x-{'a' * 64}.jsonl"):
        assert hash_in_name(name) is None
    assert time_in_name("README.md") is None


def test_each_head_is_an_anchor_that_names_the_checkpoint() -> None:
    anchors = dict(anchors_of(checkpoint_of([(FRAUD, end(128)), (CREDIT, end(7, B))], AT, "")))
    assert (anchors[FRAUD].sequence, anchors[FRAUD].hash) == (128, A)
    assert anchors[CREDIT].where == "the checkpoint of 2026-11-01 12:30:15Z"


def test_a_checkpoint_has_only_the_documented_fields() -> None:
    assert set(encode(checkpoint_of([], AT, ""))) == {"format", "at", "heads", "previous"}


def test_each_clusters_anchors_are_its_own_in_a_bucket_that_several_share() -> None:
    ours, theirs, before = (
        checkpoint_of([(FRAUD, end(3, digest))], AT, "", cluster=cluster)
        for digest, cluster in ((A, "prod-eu"), (B, "prod-us"), (A, ""))
    )
    stored = [decode(Checkpoint, encode(one), "checkpoint") for one in (ours, theirs, before)]
    assert stored == [ours, theirs, before]
    assert "cluster" not in encode(before)["heads"][0]
    eu, us, unnamed = (dict(anchors_of(one))[FRAUD] for one in stored)
    seen = CheckpointAnchors(anchors={FRAUD: (eu, us, unnamed)})
    assert seen.of(FRAUD, ChainOwner("prod-eu", unnamed=False)) == (eu,)
    # The cluster that goes on with the chains from before clusters had names.
    assert seen.of(FRAUD, ChainOwner("prod-eu")) == (eu, unnamed)
    assert seen.of(FRAUD) == (unnamed,)

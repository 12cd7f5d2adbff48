"""``serinus audit verify``: every way to tamper with a trail is found, and an untouched one is intact.

The histories are random; the tampering is any field of any record, a record removed, inserted or moved, the head, and
a whole chain that was rewritten, which only a checkpoint finds.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.model import ChainHead, Head
from serinus.api.names import ObjectKey
from serinus.audit.checkpoint_reader import CheckpointAnchors
from serinus.audit.verify import prove
from serinus.engine.audit.checkpoint import anchors_of, checkpoint_of
from serinus.errors import TransientError
from support.audit.trails import MODEL, Step, Trail, a_trail, rewritten, steps, write
from support.examples import examples
from support.registry.memory import MemoryStore
from support.registry.place import START, Fault

EVERY_FIELD = settings(
    max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def verify(trail: Trail, *words: str) -> int:
    return trail.run("audit", "verify", str(MODEL), *words)


@EVERY_FIELD
@given(steps)
def test_an_untouched_trail_is_intact(told: list[Step]) -> None:
    assert verify(a_trail(told)) == 0


def places(content: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return every place in a record that holds a value."""
    if isinstance(content, dict):
        return [place for name, value in content.items() for place in places(value, (*path, name))]
    if isinstance(content, list):
        return [place for index, value in enumerate(content) for place in places(value, (*path, index))]
    return [path]


@EVERY_FIELD
@given(steps, st.data())
def test_a_change_of_any_field_of_any_record_is_found(told: list[Step], data: st.DataObject) -> None:
    trail = a_trail(told)
    content: Any = trail.records[data.draw(st.sampled_from(sorted(trail.records)))]
    *way, last = data.draw(st.sampled_from(places(content)))
    for name in way:
        content = content[name]
    before = content[last]
    content[last] = data.draw(st.sampled_from([None, "", "x", 0, 1, True, [], {}, 2**60]))
    assume(content[last] != before or type(content[last]) is not type(before))
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.data())
def test_a_removed_or_added_field_is_found(told: list[Step], data: st.DataObject) -> None:
    trail = a_trail(told)
    content = trail.records[data.draw(st.sampled_from(sorted(trail.records)))]
    if data.draw(st.booleans()):
        del content[data.draw(st.sampled_from(sorted(content)))]
    else:
        content["note"] = "by an intruder"
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.data())
def test_a_removed_record_is_found(told: list[Step], data: st.DataObject) -> None:
    trail = a_trail(told)
    del trail.records[data.draw(st.sampled_from(sorted(trail.records)))]
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.data())
def test_an_inserted_record_is_found(told: list[Step], data: st.DataObject) -> None:
    """The records behind it move up, and each says the number at which it now stands.

    One behind the last is no part of the chain until the head says so: writers leave such when they are cut off.
    """
    trail = a_trail(told)
    records = [trail.records[number] for number in sorted(trail.records)]
    at = data.draw(st.integers(0, len(records) - 1))
    copy = dict(data.draw(st.sampled_from(records)))
    assume(copy != records[-1] or at < len(records) - 1)
    records.insert(at, copy)
    trail.records.clear()
    trail.records.update({number: {**one, "sequence": number} for number, one in enumerate(records, start=1)})
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.data())
def test_reordered_records_are_found(told: list[Step], data: st.DataObject) -> None:
    trail = a_trail(told)
    one, other = data.draw(st.lists(st.sampled_from(sorted(trail.records)), min_size=2, max_size=2, unique=True))
    records = trail.records
    records[one], records[other] = records[other], records[one]
    if data.draw(st.booleans()):
        records[one]["sequence"], records[other]["sequence"] = one, other
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.integers(1, 3))
def test_a_chain_that_was_cut_off_is_found(told: list[Step], number: int) -> None:
    trail = a_trail(told)
    for gone in sorted(trail.records)[-number:]:
        del trail.records[gone]
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, st.data())
def test_a_changed_head_is_found(told: list[Step], data: st.DataObject) -> None:
    trail = a_trail(told)
    head = trail.head
    changed = data.draw(
        st.sampled_from(
            [
                structs.replace(head, generation=head.generation + 1),
                structs.replace(head, good=("9.9.9", *head.good)),
                structs.replace(head, quarantined=("9.9.9", *head.quarantined)),
                structs.replace(head, audit=structs.replace(head.audit, hash=f"sha256:{'0' * 64}")),
                structs.replace(head, audit=structs.replace(head.audit, sequence=head.audit.sequence + 1)),
                structs.replace(head, audit=structs.replace(head.audit, sequence=head.audit.sequence - 1)),
            ]
        )
    )
    trail.data[MODEL].head = changed
    assert verify(trail) == 1


@EVERY_FIELD
@given(steps, steps, st.data())
def test_a_chain_written_anew_is_found_by_a_checkpoint_and_by_nothing_else(
    told: list[Step], later: list[Step], data: st.DataObject
) -> None:
    trail = a_trail(told)
    seen_by = checkpoint_of([(MODEL, trail.head.audit)], START, "")
    seen = CheckpointAnchors(
        anchors={model: (anchor,) for model, anchor in anchors_of(seen_by)}, mentions={MODEL: 1}, checkpoints=1
    )
    first = data.draw(st.sampled_from(sorted(trail.records)))
    asyncio.run(write(trail, later))
    assert asyncio.run(prove(trail.registry, MODEL, seen)).ok
    forged = rewritten(trail, first, reason="the intruder's own")
    assert verify(forged) == 0
    found = asyncio.run(prove(forged.registry, MODEL, seen))
    assert [one.fault.value for one in found.findings] == ["CheckpointDiffers"]


def test_a_finding_is_printed_with_its_number_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    trail = a_trail()
    trail.records[4]["reason"] = "nothing happened\x1b[2J"
    assert verify(trail) == 1
    told = capsys.readouterr().out
    assert "ml/fraud: 2 findings in 6 records" in told
    assert "#4  Altered" in told
    assert "it was changed after it was written" in told
    assert "\x1b" not in told


def test_an_intact_trail_prints_its_record_count_and_head_hash(capsys: pytest.CaptureFixture[str]) -> None:
    trail = a_trail()
    assert verify(trail) == 0
    assert capsys.readouterr().out == f"ok: 6 records, head #6 {trail.head.audit.hash}\n"


def test_a_registry_that_does_not_answer_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    trail = a_trail()

    class Gone(Trail):
        def open(self) -> MemoryStore:
            return MemoryStore(self.data, faults=[Fault.THROTTLED])

    assert verify(Gone(trail.data)) == 2
    assert "could not verify: too many requests" in capsys.readouterr().err


def test_an_unknown_model_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert a_trail().run("audit", "verify", "ml/freud") == 2
    assert "there is no record of ml/freud" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["ml/fraud", "--all"],
        ["--all", "--file", "x.jsonl"],
        ["ml/fraud", "--public-key", "k"],
        ["--file", "absent"],
    ],
)
def test_contradictory_options_exit_with_2(words: list[str]) -> None:
    assert a_trail().run("audit", "verify", *words) == 2


def test_all_models_are_listed_and_the_worst_decides_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    trail = a_trail()
    other = ObjectKey("risk", "credit")
    asyncio.run(write(trail, [], other))
    trail.data[ObjectKey("risk", "new")] = type(trail.data[MODEL])()
    assert trail.run("audit", "verify", "--all") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in told] == ["ml/fraud", "risk/credit", "risk/new"]
    assert told[2] == "risk/new: ok: no records yet"
    trail.data[other].records[2]["reason"] = "other"
    assert trail.run("audit", "verify", "--all") == 1
    assert trail.run("audit", "verify", "--all", "-n", "ml") == 0


def test_a_finding_outweighs_a_model_that_could_not_be_read() -> None:
    trail = a_trail()
    asyncio.run(write(trail, [], ObjectKey("risk", "credit")))

    class Patchy(MemoryStore):
        async def read_head(self, model: ObjectKey) -> Head:
            if model.namespace == "risk":
                raise TransientError("too many requests")
            return await super().read_head(model)

    class Places(Trail):
        def open(self) -> MemoryStore:
            return Patchy(self.data)

    patchy = Places(trail.data)
    assert patchy.run("audit", "verify", "--all") == 2
    trail.records[4]["reason"] = "nothing happened"
    assert patchy.run("audit", "verify", "--all") == 1


def test_a_deleted_model_is_found_by_the_checkpoint() -> None:
    trail = a_trail()
    gone = ObjectKey("ml", "gone")
    seen_by = checkpoint_of([(gone, ChainHead(sequence=3, hash=f"sha256:{'a' * 64}"))], START, "")
    seen = CheckpointAnchors(
        anchors={model: (anchor,) for model, anchor in anchors_of(seen_by)}, mentions={gone: 1}, checkpoints=1
    )
    found = asyncio.run(prove(trail.registry, gone, seen))
    assert [one.fault.value for one in found.findings] == ["Truncated"]


# ---- files ------------------------------------------------------------------------------------


def exported(trail: Trail, folder: Path) -> Path:
    file = folder / "trail.jsonl"
    assert trail.run("audit", "export", str(MODEL), "-o", str(file)) == 0
    return file


def verify_file(file: Path) -> int:
    return Trail().run("audit", "verify", "--file", str(file))


@EVERY_FIELD
@given(told=steps)
def test_an_export_verifies_without_the_registry(told: list[Step], tmp_path: Path) -> None:
    assert verify_file(exported(a_trail(told), tmp_path)) == 0


@EVERY_FIELD
@given(told=steps, data=st.data())
def test_an_export_that_was_tampered_with_is_found_even_where_its_manifest_is_gone(
    told: list[Step], data: st.DataObject, tmp_path: Path
) -> None:
    file = exported(a_trail(told), tmp_path)
    if data.draw(st.booleans()):
        file.with_name("trail.jsonl.manifest.json").unlink()
    lines = file.read_text().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 2))
    match data.draw(st.sampled_from(["change", "remove", "repeat", "exchange", "garbage", "twice"])):
        case "change":
            lines[at] = lines[at].replace("the story wants it", "the story wanted it")
        case "remove":
            del lines[at + 1 if at + 2 < len(lines) else at]
            assume(at + 2 < len(lines))
        case "repeat":
            lines.insert(at, lines[at])
        case "exchange":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case "garbage":
            lines.insert(
                at, data.draw(st.sampled_from(["\n", "[]\n", "{}\n", "NaN\n", '{"sequence":true}\n', "x" * 50]))
            )
        case _:
            lines[at] = lines[at].replace('{"actor"', '{"reason":"first","actor"', 1)
    file.write_text("".join(lines))
    assert verify_file(file) == 1


def test_a_duplicate_key_is_found_although_its_last_value_is_right(tmp_path: Path) -> None:
    file = exported(a_trail(), tmp_path)
    file.with_name("trail.jsonl.manifest.json").unlink()
    assert verify_file(file) == 0
    file.write_text(file.read_text().replace('{"actor"', '{"reason":"the board approved","actor"', 1))
    assert verify_file(file) == 1


def test_an_export_that_was_cut_off_is_found_by_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = exported(a_trail(), tmp_path)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert verify_file(file) == 1
    assert "its manifest says 6" in capsys.readouterr().out


def test_an_empty_file_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    assert verify_file(tmp_path / "empty.jsonl") == 2


def test_a_huge_sequence_number_is_not_counted_up_to(tmp_path: Path) -> None:
    file = exported(a_trail(), tmp_path)
    with file.open("a") as out:
        out.write(json.dumps({"sequence": 999_999_999_999}) + "\n")
    assert verify_file(file) == 1


def test_a_spreadsheet_cannot_be_verified_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trail.csv"
    assert a_trail().run("audit", "export", str(MODEL), "--format", "csv", "-o", str(file)) == 0
    assert verify_file(file) == 2
    assert "export as jsonl" in capsys.readouterr().err

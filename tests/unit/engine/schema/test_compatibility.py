"""The compatibility verdict: the versions compared with, the bump required, and the message."""

import time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.modelversion import MAX_CHANGES, Bump, Compatibility
from serinus.api.parsing import decode, encode
from serinus.api.signature import Signature
from serinus.engine.schema.compatibility import KnownVersion, Reason, WayBack, judge
from support.examples import examples
from support.schema.signatures import a_field, a_signature, signatures, with_inputs

PLAIN: Final = with_inputs({})
MORE: Final = with_inputs({}, {"name": "country", "dtype": "string", "optional": True})
OTHER: Final = with_inputs({"dtype": "string"})


def known(version: str, signature: Signature | None = PLAIN, **fields: Any) -> KnownVersion:
    return KnownVersion(**{"version": version, "signature": signature, "spec_hash": f"spec of {version}", **fields})


def test_a_first_version_is_accepted_and_can_always_go_back_to_nothing() -> None:
    verdict = judge(known("1.0.0"), [], None)
    assert (verdict.accepted, verdict.reason, verdict.way_back) == (True, Reason.FIRST_VERSION, WayBack.SAFE)
    assert verdict.compatibility == Compatibility(
        against="", declared=Bump.NONE, required=Bump.NONE, rollback_safe=True
    )


def test_a_minor_change_under_a_minor_number_is_accepted() -> None:
    verdict = judge(known("2.3.0", MORE), [known("2.2.4")], "2.2.4")
    assert (verdict.accepted, verdict.reason) == (True, Reason.COMPATIBLE)
    assert verdict.compatibility.against == "2.2.4"
    assert (verdict.compatibility.declared, verdict.compatibility.required) == (Bump.MINOR, Bump.MINOR)
    assert verdict.message == "2.3.0 is a minor step from 2.2.4, and minor is enough."
    assert not verdict.compatibility.rollback_safe
    assert verdict.way_back is WayBack.UNSAFE


def test_a_breaking_change_under_a_minor_number_is_refused_with_the_number_that_would_do() -> None:
    verdict = judge(known("2.3.0", OTHER), [known("2.2.4")], None)
    assert (verdict.accepted, verdict.reason) == (False, Reason.BUMP_TOO_SMALL)
    assert (verdict.compatibility.declared, verdict.compatibility.required) == (Bump.MINOR, Bump.MAJOR)
    assert verdict.message == (
        "2.3.0 is a minor step from 2.2.4, but a major one is needed: inputs.amount.dtype (I8): Takes string; the old "
        "version took float64. A client that sends float64 is refused, one that sends string cannot go back. "
        "Number it 3.0.0 or higher, or keep the promise to clients of 2.2.4."
    )


def test_a_breaking_change_under_a_major_number_is_accepted_and_is_not_held_against_the_old_line() -> None:
    verdict = judge(known("3.0.0", OTHER), [known("2.2.4"), known("2.0.0", MORE)], "2.2.4")
    assert (verdict.accepted, verdict.compatibility.required) == (True, Bump.MAJOR)


@pytest.mark.parametrize(
    ("before", "after", "signature", "accepted", "advice"),
    [
        ("0.3.1", "0.3.2", MORE, True, ""),
        ("0.3.1", "0.3.2", OTHER, False, "Number it 0.4.0 or higher"),
        ("0.3.1", "0.4.0", OTHER, True, ""),
        ("1.2.3", "1.2.4", MORE, False, "Number it 1.3.0 or higher"),
        ("1.2.3", "1.2.4", PLAIN, True, "nothing that matters to a client has changed"),
        ("1.2.3", "1.2.4", with_inputs({"unit": "EUR"}), True, "patch is enough"),
    ],
)
def test_the_required_bump_follows_semver(
    before: str, after: str, signature: Signature, *, accepted: bool, advice: str
) -> None:
    verdict = judge(known(after, signature), [known(before)], None)
    assert verdict.accepted is accepted
    assert advice in verdict.message


def test_a_release_is_held_against_its_whole_line_not_only_its_predecessor() -> None:
    # 1.1.0 broke the compatibility with 1.0.0, which the policy Warn admits. 1.2.0 changes nothing more.
    verdict = judge(known("1.2.0", OTHER), [known("1.0.0"), known("1.1.0", OTHER)], None)
    assert (verdict.accepted, verdict.compatibility.against) == (False, "1.0.0")


def test_a_yanked_version_has_no_clients_unless_it_serves() -> None:
    versions = [known("1.0.0", yanked=True), known("1.1.0", OTHER)]
    assert judge(known("1.2.0", OTHER), versions, "1.1.0").accepted
    assert not judge(known("1.2.0", OTHER), versions, "1.0.0").accepted


def test_a_backport_is_compared_with_its_own_line_and_with_what_follows_it_there() -> None:
    versions = [known("1.4.1"), known("1.5.0"), known("2.0.0", OTHER)]
    assert judge(known("1.4.2"), versions, "2.0.0").accepted
    verdict = judge(known("1.4.2", MORE), versions, "2.0.0")
    assert (verdict.accepted, verdict.compatibility.against, verdict.compatibility.declared) == (
        False,
        "1.5.0",
        Bump.MINOR,
    )
    assert verdict.message.startswith("1.5.0 follows 1.4.2 by a minor step, but a major one is needed: inputs.country")
    assert verdict.message.endswith("Keep 1.4.2 to what 1.5.0 promises too.")


def test_a_backport_in_an_old_line_says_of_production_only_whether_its_clients_can_go_there() -> None:
    verdict = judge(known("1.4.2"), [known("1.4.1"), known("2.0.0", OTHER)], "2.0.0")
    assert (verdict.accepted, verdict.way_back, verdict.compatibility.against) == (True, WayBack.UNSAFE, "1.4.1")


def test_prereleases_are_not_compared_with_and_are_judged_as_their_release() -> None:
    versions = [known("2.3.0"), known("2.4.0-rc.1", OTHER)]
    assert judge(known("2.4.0-rc.2", MORE), versions, "2.3.0").accepted
    assert judge(known("2.4.0", MORE), versions, "2.3.0").accepted
    assert not judge(known("2.4.0-rc.2", OTHER), versions, "2.3.0").accepted
    assert judge(known("3.0.0-rc.1", OTHER), versions, "2.3.0").accepted


def test_a_late_candidate_is_not_held_against_the_release_that_it_led_to() -> None:
    assert judge(known("2.4.0-rc.3", MORE), [known("2.3.0"), known("2.4.0")], "2.3.0").accepted


def test_of_equal_requirements_the_nearest_version_is_named_whatever_the_order() -> None:
    versions = [known("1.0.0"), known("1.1.0"), known("1.2.0")]
    for order in (versions, versions[::-1]):
        assert judge(known("1.3.0", OTHER), order, None).compatibility.against == "1.2.0"
        behind = [*order, known("1.3.0", OTHER)]
        assert judge(known("1.4.0", OTHER), behind, None).compatibility.against == "1.2.0"


def test_an_insufficient_bump_is_reported_before_a_greater_one_that_suffices() -> None:
    verdict = judge(known("2.0.1", MORE), [known("1.0.0", OTHER), known("2.0.0")], "1.0.0")
    assert (verdict.accepted, verdict.compatibility.against) == (False, "2.0.0")
    assert (verdict.compatibility.declared, verdict.compatibility.required) == (Bump.PATCH, Bump.MINOR)


def test_a_prerelease_in_production_has_clients() -> None:
    verdict = judge(known("2.4.0", MORE), [known("2.3.0"), known("2.4.0-rc.1", OTHER)], "2.4.0-rc.1")
    assert (verdict.accepted, verdict.compatibility.against) == (False, "2.4.0-rc.1")


@pytest.mark.parametrize(("before", "after"), [(None, PLAIN), (PLAIN, None), (None, None)])
def test_without_a_signature_compatibility_is_unknown(before: Signature | None, after: Signature | None) -> None:
    verdict = judge(known("1.1.0", after), [known("1.0.0", before)], "1.0.0")
    assert (verdict.accepted, verdict.reason, verdict.way_back) == (True, Reason.SCHEMA_UNKNOWN, WayBack.UNKNOWN)
    assert (verdict.compatibility.against, verdict.compatibility.declared) == ("1.0.0", Bump.MINOR)
    assert not verdict.compatibility.rollback_safe


def test_what_is_known_to_break_is_refused_though_production_states_no_signature() -> None:
    verdict = judge(known("1.2.0", OTHER), [known("1.0.0"), known("1.1.0", None)], "1.1.0")
    assert (verdict.accepted, verdict.reason, verdict.compatibility.against) == (False, Reason.BUMP_TOO_SMALL, "1.0.0")


def test_a_production_version_that_nobody_knows_leaves_the_way_back_unknown() -> None:
    verdict = judge(known("1.2.0"), [known("1.1.0")], "1.0.7")
    assert (verdict.accepted, verdict.reason, verdict.way_back) == (True, Reason.SCHEMA_UNKNOWN, WayBack.UNKNOWN)
    assert "1.0.7 is in production" in verdict.message


def test_the_same_artifact_with_the_same_signature_is_no_new_version() -> None:
    versions = [known("1.0.0", digest="sha256:1")]
    verdict = judge(known("1.0.1", digest="sha256:1"), versions, None)
    assert (verdict.accepted, verdict.reason) == (False, Reason.DUPLICATE_ARTIFACT)
    assert "the same artifact with the same signature as 1.0.0" in verdict.message
    assert judge(known("1.1.0", MORE, digest="sha256:1"), versions, None).accepted
    assert judge(known("1.0.1", digest="sha256:2"), versions, None).accepted
    assert judge(known("1.0.1"), [known("1.0.0")], None).accepted


def test_a_release_may_be_the_very_bytes_of_its_candidate() -> None:
    assert judge(known("1.1.0", digest="sha256:1"), [known("1.1.0-rc.1", digest="sha256:1")], None).accepted


@pytest.mark.parametrize("number", ["1.0.0", "v1.0.0"])
def test_a_version_number_cannot_be_reused_with_another_spec(number: str) -> None:
    candidate = known("1.0.0")
    assert judge(candidate, [candidate], "1.0.0").reason is Reason.FIRST_VERSION
    verdict = judge(candidate, [known(number, spec_hash="another")], None)
    assert (verdict.accepted, verdict.reason) == (False, Reason.VERSION_TAKEN)
    assert judge(known("1.0.0-RC.1"), [known("1.0.0-rc.1")], None).reason is Reason.VERSION_TAKEN


def test_a_status_contains_the_most_severe_changes_only() -> None:
    many = [{"name": f"f{number}", "dtype": "int32"} for number in range(100)]
    verdict = judge(known("2.0.0", a_signature(inputs=[])), [known("1.0.0", a_signature(inputs=many))], None)
    assert len(verdict.compatibility.changes) == MAX_CHANGES
    assert decode(Compatibility, encode(verdict.compatibility), "compatibility") == verdict.compatibility


# ---- laws --------------------------------------------------------------------------------------

numbers = st.sampled_from(
    ["0.1.0", "0.1.1", "0.2.0", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "v2.1.0"]
)
versions = st.builds(
    KnownVersion,
    version=numbers,
    signature=st.one_of(st.none(), st.sampled_from([PLAIN, MORE, OTHER]), signatures),
    digest=st.sampled_from(["", "sha256:1", "sha256:2"]),
    yanked=st.booleans(),
    spec_hash=st.sampled_from(["one", "two"]),
)


@settings(max_examples=examples(300))
@given(versions, st.lists(versions, max_size=6), st.one_of(st.none(), numbers), st.randoms())
def test_every_model_is_judged_whatever_it_holds_and_in_whatever_order(
    candidate: KnownVersion, others: list[KnownVersion], production: str | None, chance: Any
) -> None:
    verdict = judge(candidate, others, production)
    refusals = {Reason.BUMP_TOO_SMALL, Reason.DUPLICATE_ARTIFACT, Reason.VERSION_TAKEN}
    assert verdict.accepted == (verdict.reason not in refusals)
    assert verdict.message.endswith(".")
    assert verdict.compatibility.rollback_safe == (verdict.way_back is WayBack.SAFE)
    unique = list({other.version.removeprefix("v"): other for other in others}.values())
    shuffled = chance.sample(unique, len(unique))
    first, second = judge(candidate, unique, production), judge(candidate, shuffled, production)
    assert first == second


def test_a_table_of_four_thousand_columns_is_judged() -> None:
    def signature(kind: str) -> Signature:
        fields = [a_field(name=f"feature_{number}", dtype=kind, min="0") for number in range(4096)]
        return decode(Signature, encode(structs.replace(PLAIN, inputs=tuple(fields))), "signature")

    before, after = signature("int32"), signature("int64")
    verdict = judge(known("1.1.0", after), [known("1.0.0", before)], "1.0.0")
    assert (verdict.accepted, len(verdict.compatibility.changes)) == (True, MAX_CHANGES)


def test_two_hundred_versions_of_a_hundred_fields_are_judged_in_a_blink() -> None:
    fields = [a_field(name=f"feature_{number}", min="0", unit="EUR") for number in range(100)]

    def signature(number: int) -> Signature:
        own = a_field(name="feature_0", max=str(number))
        # Decoded anew, as from a store: no two versions share a field object.
        whole = structs.replace(PLAIN, inputs=(own, *fields[1:]))
        return decode(Signature, encode(whole), "signature")

    stored = [known(f"1.{number}.0", signature(number)) for number in range(200)]
    candidate = known("1.200.0", signature(200))
    begin = time.process_time()
    verdict = judge(candidate, stored, "1.199.0")
    spent = time.process_time() - begin
    assert verdict.accepted
    assert spent < 0.1, f"{spent * 1000:.0f} ms"

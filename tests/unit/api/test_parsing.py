from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from serinus.api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    condition_of,
    find_condition,
    with_condition,
)
from serinus.api.crd import definitions, render
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import Command, model_version_name
from serinus.api.parsing import commands_of, decode, encode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Pause, Phase, RolloutStatus
from serinus.errors import InvalidObjectError
from support.builders import CANARY, NOW, PRODUCTION, STAGING, a_spec


def test_a_leading_v_is_dropped_from_every_version() -> None:
    spec = a_spec("v2.0.0", rollbackTo="v1.0.0")
    assert (spec.version, spec.rollback_to) == ("2.0.0", "1.0.0")
    assert decode(ModelVersionSpec, {"model": "fraud", "version": "v2.0.0-rc.1"}, "spec").version == "2.0.0-rc.1"
    assert model_version_name("fraud", "v2.0.0-RC.1") == "fraud-v2.0.0-rc.1"


@pytest.mark.parametrize(
    ("stages", "path", "words"),
    [
        ([{**STAGING, "traffic": "5 percent"}, PRODUCTION], "spec.stages[0].traffic", "invalid share of traffic"),
        ([STAGING, {**CANARY, "duration": "2 hours"}, PRODUCTION], "spec.stages[1].duration", "invalid duration"),
        ([STAGING, {**CANARY, "wait": "2h"}, PRODUCTION], "spec.stages[1]", "unknown field `wait`"),
        ([STAGING, {**CANARY, "traffic": 5}, PRODUCTION], "spec.stages[1].traffic", "write 5%"),
        ([STAGING, CANARY], "spec.stages", "100%"),
        ([CANARY, {**CANARY, "name": "other", "traffic": "1%"}, PRODUCTION], "spec.stages", "rise"),
        ([STAGING, {**CANARY, "name": "staging"}, PRODUCTION], "spec.stages[1]", "'staging'"),
        ([{**CANARY, "approval": "Required"}, PRODUCTION], "spec.stages[0].approval", "lets a run into a stage"),
        ([STAGING, {**CANARY, "bake": "1h"}, PRODUCTION], "spec.stages[1].bake", "last stage"),
        ([STAGING, CANARY, {**PRODUCTION, "duration": "1h"}], "spec.stages[2].duration", "bake instead of duration"),
        ([STAGING, {**CANARY, "abortOn": []}, PRODUCTION], "spec.stages[1].abortOn", "canary has 5% and no conditions"),
        ([STAGING, {**CANARY, "maxDuration": "1s"}, PRODUCTION], "spec.stages[1].maxDuration", "shorter"),
        ([{**STAGING, "tests": [{"name": "t"}]}, PRODUCTION], "spec.stages[0].tests[0]", "either http or job"),
        (
            [STAGING, {**CANARY, "abortOn": ["drift > 1", "p95_latency > 1s"]}, PRODUCTION],
            "spec.stages[1].abortOn[1]",
            "did you mean latency_p95?",
        ),
        (
            [STAGING, {**CANARY, "abortOn": ["drift > 1", "error_rate > 1%", "error_rate>0.01"]}, PRODUCTION],
            "spec.stages[1].abortOn[2]",
            "'error_rate>0.01' is 'error_rate > 1%' in another spelling",
        ),
    ],
)
def test_an_error_names_the_field(stages: list[dict[str, object]], path: str, words: str) -> None:
    with pytest.raises(InvalidObjectError) as refusal:
        a_spec("2.0.0", *stages)
    assert refusal.value.path == path
    assert words in str(refusal.value)


def test_a_spec_survives_a_round_trip() -> None:
    spec = a_spec("2.0.0", STAGING, {**CANARY, "traffic": "0.25%", "burst": 4}, PRODUCTION)
    assert decode(RolloutSpec, encode(spec), "spec") == spec


def test_times_are_written_in_utc_with_as_many_digits_as_they_have() -> None:
    paris = timezone(timedelta(hours=1))
    status = RolloutStatus(
        phase=Phase.PAUSED,
        phase_since=datetime(2026, 11, 23, 15, 0, 0, 250_000, tzinfo=paris),
        paused=Pause(reason="INC-4711", at=datetime(2026, 11, 23, 14, 0, tzinfo=UTC)),
    )
    raw = encode(status)
    assert (raw["phaseSince"], raw["paused"]["at"]) == ("2026-11-23T14:00:00.250Z", "2026-11-23T14:00:00Z")
    assert decode(RolloutStatus, raw, "status") == status


def test_only_our_own_verbs_with_a_token_are_commands() -> None:
    annotations = {"serinus.dev/pause": "INC-1", "serinus.dev/abort": "", "serinus.dev/explode": "now", "pause": "x"}
    assert commands_of(annotations) == {Command.PAUSE.value: "INC-1"}


def a_condition(before: Condition | None, status: ConditionStatus, message: str, *, later: int = 0) -> Condition:
    now = NOW + timedelta(seconds=later, milliseconds=300)
    return condition_of(before, ConditionType.READY, status, reason="Because", message=message, generation=1, now=now)


def test_a_condition_keeps_its_last_transition_while_its_status_holds() -> None:
    first = a_condition(None, ConditionStatus.TRUE, "one")
    second = a_condition(first, ConditionStatus.TRUE, "two", later=60)
    third = a_condition(second, ConditionStatus.FALSE, "three", later=120)
    assert [one.last_transition_time for one in (first, second, third)] == [NOW, NOW, NOW + timedelta(seconds=120)]


def test_an_unchanged_condition_is_the_same_object() -> None:
    first = a_condition(None, ConditionStatus.TRUE, "one")
    assert a_condition(first, ConditionStatus.TRUE, "one", later=60) is first


def test_conditions_are_kept_sorted_and_unique_by_type() -> None:
    stalled = condition_of(
        None, ConditionType.STALLED, ConditionStatus.FALSE, reason="No", message="", generation=1, now=NOW
    )
    ready = a_condition(None, ConditionStatus.TRUE, "one")
    held = with_condition(with_condition((stalled,), ready), a_condition(ready, ConditionStatus.FALSE, "two"))
    assert [one.type for one in held] == ["Ready", "Stalled"]
    found = find_condition(held, ConditionType.READY)
    assert found is not None
    assert found.message == "two"


def test_the_schemas_are_structural() -> None:
    for definition in definitions().values():
        text = render(definition)
        assert not [word for word in ("$ref", "&id", "*id") if word in text]
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert not keywords(schema) & {"anyOf", "title", "const"}
        # A default in a spec changes what a team wrote, and so its hash; one in a status only what is shown.
        assert "default" not in keywords(schema["properties"]["spec"])


def keywords(schema: dict[str, Any]) -> set[str]:
    """Every keyword of a schema and of those inside it; names of properties are none."""
    inside = [*schema.get("properties", {}).values()]
    inside += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    return set(schema).union(*(keywords(one) for one in inside))

"""Parsing raw objects into records; a field that does not parse is named in the record."""

from datetime import UTC, datetime
from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.api.names import UNVERIFIED, ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RolloutStatus, TestResult
from serinus.engine.rollout.observation import InvalidSpec, TestOutcome
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry
from serinus.errors import InvalidObjectError
from serinus.kube.jobs.record import job_record
from serinus.kube.records import (
    actors_of,
    endpoints_record,
    model_version_record,
    namespace_record,
    rollout_record,
)
from serinus.kube.routes import http_route_record
from serinus.ports.cluster_state import Meta
from support.kube.objects import backend_ref, condition, endpoint_slice, http_route, metadata, parent_status
from support.manifests.builders import model_version, rollout


def raw_rollout(**parts: Any) -> dict[str, Any]:
    return {**rollout(), "metadata": metadata(), **parts}


def test_a_rollout_record_has_spec_status_commands_and_actors() -> None:
    annotations = {
        "serinus.dev/promote": "42",
        "serinus.dev/override": "INC-1",
        "serinus.dev/requested-by": "alice",
        "other": "x",
    }
    record = rollout_record(
        raw_rollout(metadata=metadata(annotations=annotations), status={"phase": "Healthy", "epoch": 4})
    )
    assert record.meta == Meta(key=ObjectKey("ml", "fraud-detector"), uid="uid-of-fraud-detector", version=41)
    assert isinstance(record.spec, RolloutSpec)
    assert record.status == RolloutStatus(phase=Phase.HEALTHY, epoch=4)
    assert (record.status_problem, record.commands, record.actors.requested_by) == ("", {"promote": "42"}, "alice")
    assert (record.generation, record.deleting, record.override) == (3, False, "INC-1")
    assert record.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_each_command_is_of_who_is_stamped_for_it_and_else_of_who_wrote_last() -> None:
    annotations = {"serinus.dev/requested-by": "bob", "serinus.dev/abort-by": "alice", "serinus.dev/yanked-by": "carol"}
    actors = rollout_record(raw_rollout(metadata=metadata(annotations=annotations))).actors
    issued = ("serinus.dev/abort", "serinus.dev/yanked", "serinus.dev/pause")
    assert [actors.issuer_of(one) for one in issued] == ["alice", "carol", "bob"]


def test_a_rollout_without_status_has_the_empty_one_and_nobody_is_verified() -> None:
    record = rollout_record(raw_rollout())
    assert (record.status, record.status_problem, record.actors.requested_by) == (RolloutStatus(), "", "unverified")


def test_an_invalid_spec_names_the_field() -> None:
    spec = rollout()["spec"]
    spec["stages"][1]["traffic"] = "five percent"
    invalid = rollout_record(raw_rollout(spec=spec)).spec
    assert isinstance(invalid, InvalidSpec)
    assert invalid.path == "spec.stages[1].traffic"
    assert "five percent" in invalid.problem


def test_an_invalid_status_is_a_problem_of_the_record() -> None:
    record = rollout_record(raw_rollout(status={"phase": "Lost"}))
    assert record.status == RolloutStatus()
    assert record.status_problem.startswith("status.phase: ")


def test_who_set_the_version_and_for_whom_is_read_as_it_was_stamped() -> None:
    stamped = {
        "spec-by": "bot",
        "version-by": "argo",
        "author": "carol",
        "version-author": "ada",
        "reason": "faster",
        "reason-by": "argo",
        "override": "INC-1",
        "override-by": "dave",
    }
    found = actors_of({f"serinus.dev/{name}": value for name, value in stamped.items()})
    assert (found.spec_by, found.version_by, found.version_author) == ("bot", "argo", "ada")
    assert (found.reason, found.reason_by, found.override_by) == ("faster", "argo", "dave")


def test_before_the_version_was_stamped_who_changed_the_spec_counts_and_whom_the_pipeline_names_now() -> None:
    found = actors_of({"serinus.dev/spec-by": "argo", "serinus.dev/author": "carol"})
    assert (found.version_by, found.version_author) == ("argo", "carol")
    assert actors_of({}).version_by == UNVERIFIED


def test_a_rollout_with_a_deletion_timestamp_is_being_deleted() -> None:
    assert rollout_record(raw_rollout(metadata=metadata(deletionTimestamp="2026-11-01T10:00:00Z"))).deleting


@pytest.mark.parametrize(
    ("broken", "path"),
    [({}, "metadata"), ({"metadata": metadata(resourceVersion="abc")}, "metadata.resourceVersion")],
)
def test_malformed_metadata_is_an_error_that_names_the_field(broken: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidObjectError) as raised:
        rollout_record(broken)
    assert raised.value.path == path


def test_a_model_version_record_has_its_backend() -> None:
    record = model_version_record({**model_version(), "metadata": metadata("fraud-detector-v2.3.1")})
    assert (record.model, record.version, record.problem) == ("fraud-detector", "2.3.1", "")
    assert record.backend == BackendRef(name="fraud-detector-v2-3-1", port=80)


def test_an_invalid_model_version_keeps_its_name_and_has_a_problem() -> None:
    spec = {"model": "fraud", "version": "v1.2", "serving": {}}
    record = model_version_record({"metadata": metadata(), "spec": spec})
    assert (record.model, record.version, record.backend) == ("fraud", "1.2", None)
    assert record.problem.startswith("spec.")
    assert model_version_record({"metadata": metadata(), "spec": None}).problem.startswith("spec: ")


@pytest.mark.parametrize(("annotations", "freeze"), [({}, None), ({"serinus.dev/freeze": ""}, "")])
def test_a_namespace_is_frozen_by_the_annotation_whatever_its_value(
    annotations: dict[str, str], freeze: str | None
) -> None:
    raw = {"metadata": {**metadata("ml", annotations=annotations), "namespace": ""}}
    record = namespace_record(raw)
    assert (record.meta.key, record.freeze) == (ObjectKey("", "ml"), freeze)


def test_an_endpoint_is_ready_unless_it_says_that_it_is_not() -> None:
    readiness = (True, False, None)
    record = endpoints_record(endpoint_slice(*readiness))
    assert (record.service, record.ready) == ("fraud-v1", 2)
    assert endpoints_record({**endpoint_slice(), "endpoints": None}).ready == 0


def raw_job(*conditions: dict[str, Any]) -> dict[str, Any]:
    labels = {"serinus.dev/rollout": "fraud-detector"}
    return {"metadata": metadata("job", labels=labels), "status": {"conditions": list(conditions)}}


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ([], None),
        ([condition("Complete", "False")], None),
        ([condition("SuccessCriteriaMet")], None),
        (
            [condition("Complete", reason="")],
            TestOutcome(TestResult.PASSED, "Job Complete", job="job", uid="uid-of-job"),
        ),
        (
            [condition("Failed", reason="BackoffLimitExceeded", message="Job has failed")],
            TestOutcome(
                TestResult.FAILED, "Job Failed: BackoffLimitExceeded: Job has failed", job="job", uid="uid-of-job"
            ),
        ),
        (
            [condition("FailureTarget", reason="BackoffLimitExceeded", message="Job has failed")],
            TestOutcome(
                TestResult.FAILED, "Job Failed: BackoffLimitExceeded: Job has failed", job="job", uid="uid-of-job"
            ),
        ),
        (
            [condition("Failed", reason="DeadlineExceeded", message="Too long")],
            TestOutcome(
                TestResult.FAILED, "Job Failed: DeadlineExceeded: Too long", job="job", timed_out=True, uid="uid-of-job"
            ),
        ),
    ],
)
def test_a_job_has_an_outcome_once_it_is_known_how_it_ends(
    conditions: list[dict[str, Any]], outcome: TestOutcome | None
) -> None:
    record = job_record(raw_job(*conditions))
    assert (record.rollout, record.outcome) == ("fraud-detector", outcome)


def test_a_job_record_names_its_run_stage_and_test() -> None:
    labels = {"serinus.dev/rollout": "fraud-detector", "serinus.dev/run": "12"}
    annotations = {"serinus.dev/stage": "staging", "serinus.dev/test": "contract"}
    record = job_record({"metadata": metadata("job", labels=labels, annotations=annotations)})
    assert (record.rollout, record.run, record.stage, record.test) == ("fraud-detector", 12, "staging", "contract")


@pytest.mark.parametrize(
    ("status", "has_run"),
    [({}, False), ({"active": 1, "ready": 0}, False), ({"ready": 1}, True), ({"succeeded": 1}, True)],
)
def test_a_job_has_run_once_a_pod_of_it_was_ready(status: dict[str, int], *, has_run: bool) -> None:
    assert job_record({**raw_job(), "status": status}).has_run is has_run


def test_a_job_record_has_what_tells_the_test_from_what_an_injector_adds() -> None:
    template = {"spec": {"containers": [{"name": "check", "image": "x"}, {"name": "load", "image": "y"}]}}
    spec = {"suspend": True, "activeDeadlineSeconds": 90, "template": template, "parallelism": 1}
    record = job_record({**raw_job(), "spec": spec})
    assert (record.containers, record.suspended, record.deadline) == (("check", "load"), True, 90.0)
    assert record.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_a_job_that_serinus_did_not_create_is_an_error() -> None:
    with pytest.raises(InvalidObjectError, match="did not create this Job"):
        job_record({"metadata": metadata("job")})


def test_an_unset_weight_is_one_and_an_unset_kind_a_core_service() -> None:
    record = http_route_record(http_route({"name": "predict", "backendRefs": [{"name": "a", "port": 80}]}, {}))
    assert [rule.name for rule in record.rules] == ["predict", ""]
    assert record.rules[0].entries == (RouteEntry(BackendKey("", "Service", "a", 80), 1),)


def test_a_backend_of_another_namespace_has_a_name_that_no_object_can_have() -> None:
    refs = [backend_ref("a", 1, namespace="theirs"), backend_ref("a", 1, namespace="ml")]
    entries = http_route_record(http_route({"backendRefs": refs})).rules[0].entries
    assert [entry.key.name for entry in entries] == ["theirs/a", "a"]


def parents(*statuses: dict[str, Any], refs: list[dict[str, Any]] | None = None) -> tuple[ParentFacts, ...]:
    raw = http_route({}, status={"parents": list(statuses)})
    raw["spec"]["parentRefs"] = refs or [{"name": "gateway"}]
    return http_route_record(raw).parents


def test_a_parent_accepts_with_both_conditions_at_the_older_of_their_generations() -> None:
    status = parent_status(condition("Accepted", generation=3), condition("ResolvedRefs", generation=2))
    assert parents(status) == (ParentFacts("gateway", accepted=True, observed_generation=2),)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (
            [condition("Accepted"), condition("ResolvedRefs", "False", reason="BackendNotFound", message="no a")],
            ParentFacts(
                "gateway", accepted=True, observed_generation=3, resolved=False, message="BackendNotFound: no a"
            ),
        ),
        (
            [condition("Accepted"), condition("ResolvedRefs"), condition("PartiallyInvalid", reason="U", message="m")],
            ParentFacts("gateway", accepted=True, observed_generation=3, resolved=False, message="U: m"),
        ),
        (
            [condition("Accepted", "False", reason="NoMatchingParent", message="m")],
            ParentFacts("gateway", accepted=False, observed_generation=3, message="NoMatchingParent: m"),
        ),
        (
            [condition("Accepted"), condition("ResolvedRefs"), condition("PartiallyInvalid", "False")],
            ParentFacts("gateway", accepted=True, observed_generation=3),
        ),
        (
            [condition("Accepted", "Unknown"), condition("ResolvedRefs")],
            ParentFacts(
                "gateway", accepted=False, observed_generation=0, message="its controller has not set Accepted yet"
            ),
        ),
    ],
)
def test_a_parent_that_does_not_accept_has_a_message(conditions: list[dict[str, Any]], expected: ParentFacts) -> None:
    assert parents(parent_status(*conditions)) == (expected,)


def test_every_parent_reference_has_its_own_facts_even_without_status() -> None:
    refs = [{"name": "gateway", "sectionName": "a"}, {"name": "gateway", "sectionName": "b", "namespace": "infra"}]
    status = parent_status(condition("Accepted"), condition("ResolvedRefs"), sectionName="a", namespace="ml")
    facts = parents(status, refs=refs)
    assert [(parent.name, parent.accepted, parent.observed_generation) for parent in facts] == [
        ("gateway/a", True, 3),
        ("infra/gateway/b", False, 0),
    ]


def test_every_controller_that_reports_of_a_parent_counts_and_is_named() -> None:
    late = parent_status(condition("Accepted", generation=1), condition("ResolvedRefs", generation=1))
    current = parent_status(condition("Accepted"), condition("ResolvedRefs"))
    facts = parents(
        {**late, "controllerName": "example.org/old"}, {**current, "controllerName": "projectcontour.io/contour"}
    )
    assert [(parent.name, parent.observed_generation) for parent in facts] == [
        ("gateway of example.org/old", 1),
        ("gateway of projectcontour.io/contour", 3),
    ]


def test_the_filters_of_a_backend_are_read_as_canonical_json() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"value": "é", "name": "x-key"}]}}]
    entry = http_route_record(http_route({"backendRefs": [backend_ref("a", 1, filters=filters)]})).rules[0].entries[0]
    assert entry.filters == (
        '[{"requestHeaderModifier":{"set":[{"name":"x-key","value":"é"}]},"type":"RequestHeaderModifier"}]'
    )


def test_the_last_writer_of_the_rules_is_named() -> None:
    def written(manager: str, minute: int, field: str, **more: str) -> dict[str, Any]:
        time = f"2026-11-01T10:0{minute}:00Z"
        return {"manager": manager, "time": time, "fieldsV1": {"f:spec": {field: {}}}, **more}

    entries = [
        written("argocd", 1, "f:rules"),
        written("kubectl-edit", 5, "f:rules"),
        written("someone", 6, "f:hostnames"),
        written("contour", 7, "f:rules", subresource="status"),
    ]
    assert http_route_record(http_route({}, metadata=metadata(managedFields=entries))).written_by == "kubectl-edit"
    assert http_route_record(http_route({})).written_by == ""


def test_a_controlling_owner_of_the_route_is_named_and_a_plain_owner_is_not() -> None:
    controller = {"apiVersion": "serving.kserve.io/v1", "kind": "InferenceService", "name": "f", "controller": True}
    assert (
        http_route_record(http_route({}, metadata=metadata(ownerReferences=[controller]))).owner == "InferenceService/f"
    )
    assert (
        http_route_record(http_route({}, metadata=metadata(ownerReferences=[controller | {"controller": False}]))).owner
        == ""
    )


def test_a_spec_that_only_newer_checks_refuse_is_merged_or_guarded() -> None:
    spec = rollout()["spec"]
    spec["stages"][1]["abortOn"] = ["error_rate > 1%", "error_rate>1%"]
    record = rollout_record(raw_rollout(spec=spec))
    assert isinstance(record.spec, RolloutSpec)
    assert record.spec.stages[1].abort_on == ("error_rate > 1%",)
    assert "'error_rate>1%' is 'error_rate > 1%' in another spelling" in record.merged_conditions

    spec["stages"][1]["abortOn"][1] = "success_rate < 99%"
    record = rollout_record(raw_rollout(spec=spec))
    assert isinstance(record.spec, InvalidSpec)
    assert (record.spec.path, record.merged_conditions) == ("spec.stages[1].abortOn[1]", "")
    assert record.spec.last is not None
    assert record.spec.last.stages[1].abort_on == ("error_rate > 1%",)

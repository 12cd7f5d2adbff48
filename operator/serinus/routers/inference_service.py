"""Sets the shares of the predictors of a KServe InferenceService, and never writes a route that KServe owns.

Standard mode: ``spec.canary[]`` lists predictors beside ``spec.predictor``, which gets what they leave. Knative mode:
``spec.predictor.canaryTrafficPercent`` divides between the newest revision and the one before. Read from KServe 0.20:
pkg/controller/v1beta1/inferenceservice/components/predictor.go, pkg/apis/serving/v1beta1/inference_service_status.go.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.names import INFERENCE_SERVICE
from serinus.api.route import RouteKind
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import WHOLE_PERCENTS, RouterCapabilities
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry
from serinus.kube.kinds import Source
from serinus.kube.raw import Metadata, Raw, read_whole
from serinus.kube.routes import controller_of, last_writer
from serinus.ports.cluster_state import InferenceServiceRecord, RouteRecord, RouteRule
from serinus.routers.patching import Operation, PatchingRouter, planned_rule, test, version_test, weight_at

_PORT: Final = 80
"""Of each Service that KServe and Knative make for a predictor or a revision."""

_ALL: Final = 100
_KNATIVE: Final = frozenset({"Knative", "Serverless"})
"""The name of the mode, and the one that it had before KServe 0.16."""

STANDARD, KNATIVE = "standard", "knative"
"""The names of the one rule that the record has: they tell the patch which fields to write."""


class Predictor(Raw, frozen=True, kw_only=True):
    """A predictor: what is read of it is its name and, in Knative mode, the share of its newest revision."""

    name: str = ""
    canary_traffic_percent: int | None = None


class Canary(Raw, frozen=True, kw_only=True):
    """A predictor beside the main one."""

    predictor: Predictor
    traffic_percent: int = 0


class Spec(Raw, frozen=True, kw_only=True):
    """The spec of an InferenceService."""

    predictor: Predictor
    canary: tuple[Canary, ...] = ()


class CanaryStatus(Raw, frozen=True, kw_only=True):
    """What the controller says of one canary; one that is not ready is left out of KServe's route."""

    name: str
    ready: bool = False
    traffic_percent: int = 0


class TrafficTarget(Raw, frozen=True, kw_only=True):
    """The share of a revision, as Knative has put it into effect."""

    revision_name: str = ""
    percent: int = 0


class Component(Raw, frozen=True, kw_only=True):
    """The revisions of the predictor, in Knative mode."""

    latest_created_revision: str = ""
    latest_rolledout_revision: str = ""
    previous_rolledout_revision: str = ""
    traffic: tuple[TrafficTarget, ...] = ()

    @property
    def before(self) -> str:
        """The revision that has what the newest one leaves; empty where there is only one.

        Once the newest one has 100 %, KServe calls it the rolled-out one, and goes back to the previous one where its
        share falls (PropagateStatus).
        """
        rolled_out = self.latest_rolledout_revision
        return self.previous_rolledout_revision if rolled_out == self.latest_created_revision else rolled_out


class Status(Raw, frozen=True, kw_only=True):
    """The status of an InferenceService.

    Its ``observedGeneration`` is not read: KServe writes that of the Deployment or the Knative Service there, of the
    transformer where one is reconciled last.
    """

    deployment_mode: str = ""
    canary_statuses: tuple[CanaryStatus, ...] = ()
    components: dict[str, Component] = field(default_factory=dict)


class InferenceService(Raw, frozen=True, kw_only=True):
    """The parts of an InferenceService that are read."""

    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)


def inference_service_record(raw: Mapping[str, Any]) -> InferenceServiceRecord:
    """Return the record of an InferenceService; InvalidObjectError if malformed."""
    service = read_whole(InferenceService, raw)
    metadata, status = service.metadata, service.status
    if status.deployment_mode in _KNATIVE:
        rule, parent = _revisions(service)
    else:
        rule, parent = _predictors(service)
    return InferenceServiceRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        rules=(rule,),
        parents=(parent,),
        owner=controller_of(metadata),
        written_by=last_writer(metadata, "canary", "predictor"),
    )


def _predictors(service: InferenceService) -> tuple[RouteRule, ParentFacts]:
    """Return the main predictor with what the others leave, then these; and whether KServe has seen their shares."""
    name, spec = service.metadata.name, service.spec
    # More than 100 together is refused by a webhook of KServe, which may not be installed.
    rest = max(0, _ALL - sum(canary.traffic_percent for canary in spec.canary))
    entries = [_entry(_service_of(name, spec.predictor), rest)]
    entries += [_entry(_service_of(name, canary.predictor), canary.traffic_percent) for canary in spec.canary]
    seen = {one.name: one.traffic_percent for one in service.status.canary_statuses}
    wanted = {canary.predictor.name: canary.traffic_percent for canary in spec.canary}
    # httproute_reconciler.go, applyCanaryWeights: the main predictor gets the share of a canary that is not ready.
    unready = ", ".join(one.name for one in service.status.canary_statuses if one.traffic_percent and not one.ready)
    problem = f"the main predictor gets the share of {unready}, which is not ready" if unready else ""
    return RouteRule(STANDARD, tuple(entries)), _parent(service, is_current=seen == wanted, problem=problem)


def _revisions(service: InferenceService) -> tuple[RouteRule, ParentFacts]:
    """Return the newest revision and the one before; and whether Knative has put their shares into effect."""
    component = service.status.components.get("predictor", Component())
    percent = service.spec.predictor.canary_traffic_percent
    newest = _ALL if percent is None else percent
    shares = {component.latest_created_revision: newest}
    if component.before:
        shares[component.before] = _ALL - newest
    shares.pop("", None)
    entries = tuple(_entry(revision, share) for revision, share in shares.items())
    held: dict[str, int] = {}
    for target in component.traffic:
        held[target.revision_name] = held.get(target.revision_name, 0) + target.percent
    in_effect = {name: share for name, share in held.items() if share} == {
        name: share for name, share in shares.items() if share
    }
    return RouteRule(KNATIVE, entries), _parent(service, is_current=in_effect)


def _service_of(name: str, predictor: Predictor) -> str:
    """Return the Service of a predictor (KServe's constants.PredictorServiceName)."""
    return f"{name}-{predictor.name}-predictor" if predictor.name else f"{name}-predictor"


def _entry(service: str, percent: int) -> RouteEntry:
    return RouteEntry(BackendKey("", "Service", service, _PORT), percent * WHOLE_PERCENTS)


def _parent(service: InferenceService, *, is_current: bool, problem: str = "") -> ParentFacts:
    generation = service.metadata.generation if is_current else 0
    message = problem if is_current else "its status does not show these shares yet"
    return ParentFacts("KServe", accepted=not message, observed_generation=generation, message=message)


class InferenceServiceRouter(PatchingRouter):
    """Implements the port ``TrafficRouter`` for InferenceServices.

    The author of the InferenceService lists the predictors, as only they can say what a new one runs.
    """

    kind = RouteKind.INFERENCE_SERVICE
    source = Source(kind=INFERENCE_SERVICE, record=InferenceServiceRecord, parse=inference_service_record)
    can = RouterCapabilities(unit=WHOLE_PERCENTS, manages_backends=False, services_only=True, header_match=False)

    @classmethod
    def patch(cls, route: RouteRecord, action: SetWeights) -> list[Operation]:
        """Return the patch of the shares of the canaries, or of the newest revision."""
        _, entries, plan = planned_rule(route, action.route, action, cls.can)
        rule = route.rules[0]
        write = _revision_patch if rule.name == KNATIVE else _canary_patch
        changes = list(write(action.route.name, entries, plan))
        return [version_test(route), *changes] if changes else []


def _canary_patch(name: str, entries: tuple[RouteEntry, ...], plan: tuple[RouteEntry, ...]) -> Iterator[Operation]:
    """Yield the operations on ``spec.canary``: the main predictor, which comes first, gets what these leave."""
    for index, (before, after) in enumerate(zip(entries[1:], plan[1:], strict=True)):
        if before.weight != after.weight:
            predictor = before.key.name.removeprefix(f"{name}-").removesuffix("-predictor")
            yield test(f"/spec/canary/{index}/predictor/name", predictor)
            yield weight_at(f"/spec/canary/{index}/trafficPercent", after.weight // WHOLE_PERCENTS)


def _revision_patch(_name: str, entries: tuple[RouteEntry, ...], plan: tuple[RouteEntry, ...]) -> Iterator[Operation]:
    """Yield the operation on the share of the newest revision, which comes first."""
    if entries != plan:
        yield weight_at("/spec/predictor/canaryTrafficPercent", plan[0].weight // WHOLE_PERCENTS)

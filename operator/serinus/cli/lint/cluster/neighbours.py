"""What else in the namespace concerns a Rollout: other Rollouts of its model or rule, and what its route serves now."""

from collections.abc import Iterator

from serinus.api.names import MODEL_VERSION, ROLLOUT
from serinus.api.rollout import RolloutSpec
from serinus.api.stored_rollout import stored_spec
from serinus.api.stored_status import stored_status
from serinus.cli.check.cluster import text_at
from serinus.cli.lint.cluster.objects import Manifest, NotAsked, NotServed, Objects
from serinus.cli.lint.cluster.plans import Plan, not_asked, version_record
from serinus.cli.lint.cluster.routes import readable_facts
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.engine.rollout.observation import VersionFacts
from serinus.engine.rollout.start_blockers import unadoptable
from serinus.engine.rollout.traffic.facts import RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import with_ports
from serinus.engine.rollout.traffic.targets import serving_now
from serinus.errors import InvalidObjectError


def neighbour_problems(plan: Plan, objects: Objects) -> Iterator[Problem]:
    """Yield what would keep a run of the Rollout from beginning although everything that it names is there."""
    stored = objects.select(ROLLOUT, plan.namespace)
    if isinstance(stored, NotServed):
        return
    if isinstance(stored, NotAsked):
        yield not_asked("spec.model", f"another Rollout has the model {plan.spec.model} or its route", stored)
        return
    own = next((one for one in stored if _name(one) == _name(plan.document.manifest)), None)
    in_files = {_name(document.manifest) for document in objects.in_files(ROLLOUT, plan.namespace)}
    for other in stored:
        # Those of the files are compared with each other without a cluster.
        if _name(other) not in in_files:
            yield from _rival_problems(plan, other, is_new=own is None)
    if not _has_stable(own):
        yield from _adoption_problems(plan, objects)


def _name(rollout: Manifest) -> str:
    return text_at(rollout, "metadata", "name")


def _rival_problems(plan: Plan, other: Manifest, *, is_new: bool) -> Iterator[Problem]:
    spec = _spec_of(other)
    # Who has a run, serves or is older keeps the route: a new Rollout waits, and of two stored ones one does already.
    level = Level.ERROR if is_new else Level.WARNING
    if spec is None:
        return
    if spec.model == plan.spec.model:
        said = f"Rollout {_name(other)} of the cluster is of model {spec.model} too: a model has one Rollout"
        yield Problem(Check.TWO_ROLLOUTS, "spec.model", said, level=level)
    elif spec.route.rule.may_be(plan.spec.route.rule):
        rule = plan.spec.route.rule
        said = f"Rollout {_name(other)} of the cluster has the same rule of {rule.kind.value} {rule.name}"
        yield Problem(Check.SHARED_ROUTE, rule.kind.path, said, "give each a rule of its own", level=level)


def _spec_of(rollout: Manifest) -> RolloutSpec | None:
    try:
        return stored_spec(rollout.get("spec")).spec
    except InvalidObjectError:
        return None


def _has_stable(rollout: Manifest | None) -> bool:
    """Return whether a stored Rollout has a stable version, or a status that cannot be read."""
    if rollout is None:
        return False
    try:
        return stored_status(rollout.get("status")).stable is not None
    except InvalidObjectError:
        return True


def _adoption_problems(plan: Plan, objects: Objects) -> Iterator[Problem]:
    """Yield that the route serves what no ModelVersion names, so that nothing could be the stable version."""
    facts = readable_facts(plan)
    named = {backend_key(version.backend) for version in plan.versions if version.backend is not None}
    if facts is None or {entry.key for entry in facts.entries if entry.weight} & named:
        return
    stored = objects.select(MODEL_VERSION, plan.namespace)
    path = f"{plan.spec.route.rule.kind.path}.name"
    if isinstance(stored, NotAsked):
        yield not_asked(path, f"a ModelVersion of {plan.spec.model} names what the route serves", stored)
        return
    in_files = [document.manifest for document in objects.in_files(MODEL_VERSION, plan.namespace)]
    everything = [*(() if isinstance(stored, NotServed) else stored), *in_files]
    versions = [version for one in everything if (version := _version_of(plan, one)) is not None]
    known = [backend_key(version.backend) for version in versions if version.backend is not None]
    whole = RouteFacts(generation=facts.generation, entries=with_ports(facts.entries, known), parents=facts.parents)
    found = serving_now(whole, versions)
    blocker = unadoptable(plan.spec.model, found) if not found.versions else None
    if blocker is not None:
        said, _, remedy = blocker.message.partition(". ")
        yield Problem(Check.FOREIGN_BACKEND, path, said, remedy.rstrip("."))


def _version_of(plan: Plan, manifest: Manifest) -> VersionFacts | None:
    record = version_record(manifest, plan.namespace)
    if record is None or record.model != plan.spec.model:
        return None
    return VersionFacts(version=record.version, backend=record.backend, ready=None)

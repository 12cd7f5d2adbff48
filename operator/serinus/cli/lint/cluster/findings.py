"""All checks of ``serinus lint --cluster``, in the place of the checks of a folder by itself that they complete."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, assert_never

from serinus.cli.check.cluster import Cluster
from serinus.cli.lint.cluster.endpoints import Endpoints
from serinus.cli.lint.cluster.metrics import metric_problems
from serinus.cli.lint.cluster.neighbours import neighbour_problems
from serinus.cli.lint.cluster.objects import NotAsked, Objects
from serinus.cli.lint.cluster.plans import Located, Plan, not_asked, plans_of
from serinus.cli.lint.cluster.routes import route_problems
from serinus.cli.lint.cluster.sources import NoOperator, Sources
from serinus.cli.lint.cluster.versions import backend_problems, version_problems
from serinus.cli.lint.documents import Document
from serinus.cli.lint.finding import Check, Finding, Level, Problem
from serinus.cli.lint.folder_check import folder_findings
from serinus.ports.services import Clock
from serinus.settings import Settings

_ASKED_HERE: Final = frozenset(
    {
        Check.MISSING_VERSION,
        Check.MISSING_ROUTE,
        Check.MISSING_RULE,
        Check.MISSING_SERVICE,
        Check.NO_BACKEND,
        Check.ONE_BACKEND,
    }
)
"""What the folder alone cannot know: the cluster may have it."""

_SAID_ONCE: Final = frozenset({Check.NOT_ASKED, Check.OPERATOR, Check.SCRAPE_INTERVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCheck:
    """Checks the objects of the files against each other and against a cluster.

    Attributes:
        namespace: of objects that name none; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
        prometheus: the address of a Prometheus to ask in the place of the operator's sources; None for these.
        clock: the time.
    """

    namespace: str | None
    kube_context: str | None
    prometheus: str | None
    clock: Clock

    def __call__(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """Yield the findings.

        Raises:
            SerinusError: the cluster cannot be reached, or the address is none of a Prometheus.
        """
        cluster = Cluster(self.namespace, self.kube_context)
        cluster.raw("/version")
        objects = Objects(documents, cluster, cluster.current_namespace())
        plans = plans_of(documents, objects)
        alone = list(folder_findings(documents))
        yield from _kept(alone, plans)
        located = [
            *_outside_of_plans(alone, documents, plans, objects),
            *(self._plans_problems(plans, objects, cluster) if plans else ()),
        ]
        yield from dict.fromkeys(document.finding(problem) for document, problem in _said_once(located))

    def _plans_problems(self, plans: Sequence[Plan], objects: Objects, cluster: Cluster) -> Iterator[Located]:
        endpoints = Endpoints(plans, objects)
        with closing(Sources.open(cluster, self.prometheus, self.clock)) as sources:
            for plan in plans:
                yield from _plan_problems(plan, objects, endpoints, sources)


def _plan_problems(plan: Plan, objects: Objects, endpoints: Endpoints, sources: Sources) -> Iterator[Located]:
    yield from route_problems(plan, objects)
    yield from version_problems(plan, objects, endpoints)
    yield from ((plan.document, problem) for problem in neighbour_problems(plan, objects))
    yield from _operator_problems(plan, sources)
    yield from metric_problems(plan, sources)


def _operator_problems(plan: Plan, sources: Sources) -> Iterator[Located]:
    match sources.configuration:
        case NotAsked() as answer:
            yield plan.document, not_asked("", "an operator watches the namespace", answer)
        case NoOperator(line):
            yield plan.document, Problem(Check.OPERATOR, "", line.said, line.remedy, level=Level.WARNING)
        case Settings() as settings:
            yield from ((plan.document, problem) for problem in _settings_problems(plan, settings))
        case _:
            assert_never(sources.configuration)


def _settings_problems(plan: Plan, settings: Settings) -> Iterator[Problem]:
    watched, kind = settings.namespaces, plan.spec.route.rule.kind
    if watched and plan.namespace not in watched:
        said = f"the operator watches {', '.join(watched)}, and not namespace {plan.namespace}"
        remedy = "let the administrator add it to the chart's namespaces, or use one of these"
        yield Problem(Check.OPERATOR, "metadata.namespace", said, remedy)
    if kind.field not in settings.routers:
        said = f"the operator has no router {kind.field} switched on; it has {', '.join(settings.routers)}"
        remedy = "let the administrator add it to config.routers of the chart, or name another kind of route"
        yield Problem(Check.OPERATOR, kind.path, said, remedy)


def _kept(alone: Iterable[Finding], plans: Iterable[Plan]) -> Iterator[Finding]:
    """Yield the findings of the folder by itself that the cluster cannot answer."""
    asked = {(plan.document.source.name, plan.document.title) for plan in plans}
    for finding in alone:
        place = (finding.file, finding.object)
        if finding.problem.check not in _ASKED_HERE or (
            finding.problem.check is not Check.MISSING_SERVICE and place not in asked
        ):
            yield finding


def _outside_of_plans(
    alone: Iterable[Finding], documents: Iterable[Document], plans: Iterable[Plan], objects: Objects
) -> Iterator[Located]:
    """Yield what is missing of ModelVersions that no Rollout names, if their own folder lacks it too."""
    named = {id(version.document) for plan in plans for version in plan.versions}
    missed = {(one.file, one.object) for one in alone if one.problem.check is Check.MISSING_SERVICE}
    for document in documents:
        if id(document) not in named and (document.source.name, document.title) in missed:
            yield from ((document, problem) for problem in backend_problems(document, objects))


def _said_once(located: Sequence[Located]) -> Iterator[Located]:
    """Yield the problems; what is true of many objects in the same words is said at the first of them."""
    numbers: dict[Problem, int] = {}
    for _, problem in located:
        numbers[_statement(problem)] = numbers.get(_statement(problem), 0) + 1
    for document, problem in located:
        number = numbers.pop(_statement(problem), 0) if _is_said_once(problem) else 1
        if number:
            more = f" (the same for {number - 1} more)" if number > 1 else ""
            yield document, replace(problem, said=f"{problem.said}{more}")


def _statement(problem: Problem) -> Problem:
    return replace(problem, path="")


def _is_said_once(problem: Problem) -> bool:
    return problem.check in _SAID_ONCE and problem.level is not Level.ERROR

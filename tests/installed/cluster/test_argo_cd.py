"""Argo CD applies a model from Git, and Serinus moves its traffic: nothing of it is simulated."""

import copy
import shlex
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from demo.observe import wait_for
from localcluster.api import Api, Manifest
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, StageState
from support.argo_cd.installation import ArgoCd, argo_cd
from support.argo_cd.programs import programs
from support.argo_cd.repository import Repository
from support.argo_cd.team import NAME, ROLLOUT, ROUTE, Team, another, application, quickstart
from support.argo_cd.transcript import Transcript
from support.e2e.fixtures import place_in, program_environment
from support.e2e.manifests import backend_of, weights_in
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import SOON, shares_seen
from support.fenced.pages import lines_that_need
from support.fenced.runs import Where

PAGE = CHECKOUT / "docs" / "how-to" / "argo-cd-by-example.md"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def argo(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArgoCd]:
    folder = tmp_path_factory.mktemp("argo-cd")
    async with argo_cd(cluster, program_environment(cluster), programs(), folder / "installation") as installed:
        yield installed


@pytest.fixture
async def team(cluster: Cluster, argo: ArgoCd, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    """The quickstart in a repository; its application does not exist yet."""
    environment = program_environment(cluster)
    repository = Repository.create(tmp_path / "fraud-detector.git")
    # The page of the story names its namespace; those of the other tests are gone only some time after them.
    namespace = "fraud" if "story" in request.node.name else f"fraud-{uuid.uuid4().hex[:6]}"
    async with Api(cluster.kubeconfig) as api, place_in(cluster, api, namespace, {}, tmp_path) as place:
        operator = OperatorControl(environment, setup_in(cluster), tmp_path)
        try:
            await operator.start()
            team = Team(place, argo, repository, application(place, repository))
            yield team
            await team.delete()
        finally:
            await operator.stop()


async def _serving(team: Team, version: str) -> str:
    """Commit the quickstart at a version, create the application, and wait until that version serves."""
    files = quickstart(team.place)
    (rollout,) = files[ROLLOUT]
    rollout["spec"]["version"] = version
    revision = team.repository.commit("the quickstart", files)
    await team.start()
    await team.until("Synced", "Healthy", revision=revision)
    return revision


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a terminal, whose commands the page of the story shows."""

    team: Team
    transcript: Transcript

    async def kubectl(self, command: str) -> None:
        """Type a command of kubectl."""
        self.transcript.add(f"kubectl {command}", await self.team.place.kubectl.run(shlex.split(command)))

    async def tree(self, kind: str) -> str:
        """Show the rows of a kind in Argo CD's tree of resources, whose other rows come in any order."""
        command = f"app get {self.team.name} --output tree=detailed"
        output = await self.team.argo.cli(*command.split())
        rows = "\n".join(line for line in output.splitlines() if line.startswith(f"{kind}/"))
        self.transcript.add(f"argocd {command} | grep ^{kind}/", rows)
        return rows

    async def looks(self) -> None:
        """Look at the application, the Rollout and the weights."""
        await self.kubectl("get applications -n argocd")
        await self.kubectl("get rollouts -n fraud -o custom-columns=VERSION:.spec.version,PHASE:.status.phase")
        weights = "{range .spec.rules[0].backendRefs[*]}{.name} {.weight}{'\\n'}{end}".replace("'", '"')
        await self.kubectl(f"get httproute fraud-detector -n fraud -o jsonpath='{weights}'")


async def test_the_story_of_the_page(team: Team) -> None:
    person = Person(team, Transcript(CHECKOUT / ".installed" / "argo-cd.txt"))
    place = team.place
    revision = team.repository.commit("the quickstart", quickstart(place))
    await team.start()
    async with place.traffic():
        await place.until_stage("canary", StageState.ANALYZING)
        await team.until("Synced", "Progressing", revision=revision)
        await person.looks()
        await team.until("Synced", "Healthy", revision=revision)
        await person.looks()

        bad = another("2.4.0", failing=1.0) | team.with_version("2.4.0")
        revision = await team.commit("2.4.0", bad)
        await team.until("Synced", "Degraded", revision=revision)
        await person.looks()
        await person.kubectl("get rollout fraud-detector -n fraud -o jsonpath={.status.summary}")
        assert "2.4.0 was rolled back" in await person.tree("Rollout")

        revision = await team.commit("2.4.1", another("2.4.1") | team.with_version("2.4.1"))
        await team.until("Synced", "Healthy", revision=revision)
        await person.looks()

        # 2.4.0 never served well, so nothing needs it.
        revision = await team.commit("2.4.0 is gone", {"deploy/2.4.0.yaml": None})
        await team.until("Synced", "Healthy", revision=revision)
        await person.kubectl("get modelversions,services -n fraud -o name")
    assert person.transcript.missing_in(PAGE.read_text(encoding="utf-8")) == []


async def test_self_heal_puts_a_spec_back_and_leaves_weights_and_commands(team: Team) -> None:
    revision = await _serving(team, "2.2.4")
    place = team.place
    # A person changes what Git has.
    await place.api.merge(f"{place.path('Rollout')}/{NAME}", {"spec": {"metrics": {"preset": "istio"}}})

    async def preset() -> str:
        return str((await place.get("Rollout"))["spec"]["metrics"]["preset"])

    await wait_for(preset, lambda name: name == "contour", within=SOON, what="the preset of Git")
    # What Git does not have is left: a command, and the weights of a run.
    revision = await team.commit("2.3.1", team.with_version("2.3.1"))
    async with place.traffic(), place.watching("HTTPRoute") as routes:
        await place.until_stage("canary", StageState.ANALYZING)
        await place.annotate(Command.PAUSE, "lunch")
        await place.until(lambda seen: seen.status.phase is Phase.PAUSED, what="a pause")
        await team.until("Synced", "Suspended", revision=revision)
        await team.refresh()
        await place.annotate(Command.RESUME, "back")
        await team.until("Synced", "Healthy", revision=revision)
        assert shares_seen(routes, backend_of("2.3.1")) == [0, 5, 100]
    assert (await place.get("Rollout"))["metadata"]["annotations"][Command.PAUSE.annotation] == "lunch"


def _with_header(route: Manifest) -> Manifest:
    changed = copy.deepcopy(route)
    changed["spec"]["rules"][0]["matches"][0]["headers"] = [{"type": "Exact", "name": "x-tenant", "value": "bank"}]
    return changed


async def _has_header(team: Team) -> bool:
    (match,) = (await team.place.get("HTTPRoute"))["spec"]["rules"][0]["matches"]
    return "headers" in match


async def test_a_change_of_a_rule_never_arrives_and_the_application_says_out_of_sync(team: Team) -> None:
    await _serving(team, "2.2.4")
    (route,) = team.manifests(ROUTE)
    revision = await team.commit("only the bank's tenant", {ROUTE: [_with_header(route)]})
    await team.until("OutOfSync", "Healthy", revision=revision)
    assert not await _has_header(team)


async def test_a_rule_changes_by_one_sync_without_the_option_and_no_weight_moves_where_git_has_the_live_backends(
    team: Team,
) -> None:
    await _serving(team, "2.2.4")
    async with team.place.traffic(), team.place.watching("HTTPRoute") as routes:
        await team.commit("2.3.1", team.with_version("2.3.1"))
        await team.place.until_ended("2.3.1")
        live = (await team.place.get("HTTPRoute"))["spec"]["rules"][0]["backendRefs"]
        (route,) = team.manifests(ROUTE)
        changed = _with_header(route)
        changed["spec"]["rules"][0]["backendRefs"] = live
        before = len(routes.states)
        revision = await team.commit("only the bank's tenant", {ROUTE: [changed]})
        await team.until("OutOfSync", "Healthy", revision=revision)
        await team.place.kubectl.run(_typed("kubectl patch application", NAME, team.name))
        await team.until("Synced", "Healthy", revision=revision)
    assert await _has_header(team)
    assert {tuple(weights_in(raw).items()) for _, raw in routes.states[before:]} == {tuple(weights_in(changed).items())}


async def test_a_rule_of_its_own_route_arrives_at_once(team: Team) -> None:
    await _serving(team, "2.2.4")
    (route,) = team.manifests(ROUTE)
    another_route = copy.deepcopy(route)
    another_route["metadata"]["name"] = "fraud-detector-health"
    (rule,) = another_route["spec"]["rules"]
    rule |= {"name": "health", "matches": [{"path": {"type": "Exact", "value": "/healthz"}}]}
    revision = await team.commit("health has a rule", {"deploy/25-health.yaml": [another_route]})
    await team.until("Synced", "Healthy", revision=revision)
    assert (await team.place.get("HTTPRoute", "fraud-detector-health"))["spec"]["rules"][0]["name"] == "health"


async def test_a_later_wave_waits_until_the_canary_has_ended(team: Team) -> None:
    await _serving(team, "2.2.4")
    files = team.with_version("2.3.1")
    _in_wave(files[ROLLOUT][0], 1)
    later = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"model": "2.3.1"}}
    _in_wave(later, 2)
    async with team.place.traffic():
        revision = await team.commit("2.3.1, then what follows it", files | {"deploy/50-later.yaml": [later]})
        await team.place.until_stage("canary", StageState.ANALYZING)
        assert (await team.seen())["status"]["operationState"]["phase"] == "Running"
        assert "later" not in await _config_maps(team)
        await team.until("Synced", "Healthy", revision=revision)
    assert "later" in await _config_maps(team)


def _typed(begins: str, stands_for: str, name: str) -> list[str]:
    """Return the arguments of a command of the page about Argo CD, with another name for its application."""
    (line,) = (line for line in lines_that_need(Where.ARGO_CD) if line.text.startswith(begins))
    _, *words = shlex.split(line.text)
    words[words.index(stands_for)] = name
    return words


def _in_wave(manifest: Manifest, wave: int) -> None:
    annotations = manifest["metadata"].setdefault("annotations", {})
    annotations["argocd.argoproj.io/sync-wave"] = str(wave)


async def _config_maps(team: Team) -> str:
    return await team.place.kubectl.run(["get", "configmaps", "-n", team.place.namespace, "-o", "name"])


async def test_argo_cds_server_runs_an_action_and_the_operator_obeys(team: Team) -> None:
    await _serving(team, "2.2.4")

    async def act(action: str) -> None:
        options = ("--kind", "Rollout", "--resource-name", NAME)
        await team.argo.cli("app", "actions", "run", team.name, action, *options)

    # At rest a pause holds the next run, and the phase stays.
    await team.argo.cli(*_typed("argocd app actions run", "fraud", team.name))
    paused = await team.place.until(lambda seen: seen.status.paused is not None, what="a pause")
    assert paused.paused is not None
    assert paused.paused.reason.startswith("Argo CD ")
    await act("resume")
    await team.place.until(lambda seen: seen.status.paused is None, what="no pause")

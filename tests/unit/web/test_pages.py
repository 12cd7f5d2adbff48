"""The pages: what they show of a cluster, and that nothing in it becomes markup, whatever it contains."""

import re
from html.parser import HTMLParser

import pytest
from starlette.types import ASGIApp

from serinus.errors import RefusedError, TransientError
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.stream import Streams
from support.kube.clock import VirtualTime
from support.kube.listing import ListingApi
from support.web.asgi import HOST, get
from support.web.objects import API, a_cluster, rollout

FRAUD = "/rollouts/ml/fraud"
DIFF = f"{FRAUD}/diff?old=2.2.4&new=2.3.1"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></script></textarea><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\x1b[31m\x1b]8;;http://evil\x07\x00\x7f",
    "\u202egnp.exe\u2066",
    "&lt;b&gt; &amp; \N{NULL}",
)


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, its links, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        values = dict(attrs)
        self.links += [value for name in ("href", "src", "action", "data-stream") if (value := values.get(name))]
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r" ([;,.])", r"\1", " ".join(" ".join(self.words).split()))


def app_of(api: ListingApi, namespace: str = "", clock: VirtualTime | None = None) -> ASGIApp:
    clock = clock or VirtualTime()
    return build_app(ClusterReader(api, clock, namespace), clock, (HOST,), Streams(clock))


async def page_of(api: ListingApi, target: str, status: int = 200) -> Structure:
    answer = await get(app_of(api), target)
    assert answer.status == status, answer.body
    return Structure(answer.body)


@pytest.mark.parametrize("target", ["/", FRAUD, DIFF])
@pytest.mark.parametrize("said", HOSTILE)
async def test_no_value_changes_the_elements_of_a_page(target: str, said: str) -> None:
    harmless, hostile = await page_of(a_cluster("x"), target), await page_of(a_cluster(said), target)
    assert hostile.elements == harmless.elements
    assert hostile.links == harmless.links
    assert not set(hostile.text) & {"\x1b", "\x00", "\x07", "\x7f", "\u202e", "\u2066"}


@pytest.mark.parametrize("target", ["/", FRAUD, DIFF, f"{FRAUD}?before=20", "/?text=fraud", "/nothing"])
async def test_a_page_links_and_loads_only_its_own_paths_and_has_unique_ids(target: str) -> None:
    page = Structure((await get(app_of(a_cluster(others=120)), target)).body)
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert not {name for _, names in page.elements for name in names if name.startswith("on") or name == "style"}


async def test_the_page_of_a_rollout_answers_what_happened_and_why() -> None:
    text = (await page_of(a_cluster(), FRAUD)).text
    for said in (
        "2.3.1 was rolled back at 14:07:31Z",
        "Next: Nothing: 2.3.1 is not retried by itself.",
        "wanted by ada@example.org for lin: retrained",
        "latency_p95 > 250ms, measured 37% over 250ms on 1,843 requests",
        "Decided 2026-11-23 14:07:30",
        "eg: has accepted generation 31",
        "generation 31: 2.2.4 100%, 2.3.1 0%",
        "Paused 2026-11-23 13:57:00 by ada: INC-4711",
        "Records 26 to 45 of 45, newest first",
        "2.3.1 with 2.2.4",
    ):
        assert said in text, said


async def test_a_version_on_trial_that_nobody_watches_is_said_to_be_so() -> None:
    api = a_cluster()
    raw = rollout(phase="Progressing", reason="Analyzing")
    for name in ("rollback", "paused"):
        raw["status"].pop(name, None)
    raw["status"]["stage"]["state"] = "Analyzing"
    api.put(f"{API}/namespaces/ml/rollouts/fraud", raw)

    clock = VirtualTime()
    await clock.pass_time(30 * 86_400)
    shown = [Structure((await get(app_of(one, clock=clock), FRAUD)).body).text for one in (api, a_cluster())]

    assert ["Nothing has been judged since" in text for text in shown] == [True, False]


async def test_weights_are_shown_as_planned_as_written_and_as_confirmed() -> None:
    text = (await page_of(a_cluster(), FRAUD)).text
    assert "stable 2.2.4 100% 95% 100%" in text
    assert "candidate 2.3.1 0% 5% 0%" in text


async def test_stages_say_how_far_they_are_in_words() -> None:
    text = (await page_of(a_cluster(), FRAUD)).text
    assert "1 staging 0% 0s passed" in text
    assert "2 canary 5% 30m stopped here: Analyzing" in text
    assert "3 production 100% 1h not reached" in text


async def test_a_chart_has_a_title_a_description_its_limit_and_the_decision() -> None:
    page = await page_of(a_cluster(), FRAUD)
    assert [name for name, _ in page.elements].count("svg") == 3
    assert "Evidence E against the version, logarithmic of latency_p95 > 250ms: 1 at 2026-11-23 13:40:00" in page.text
    assert "dashed: a breach from 700; upright line: rollback decided 2026-11-23 14:07:30" in page.text
    assert "Observed value; dashed: limit 1%" in page.text


async def test_the_share_over_the_run_is_drawn_as_desired_as_accepted_and_as_observed() -> None:
    text = (await page_of(a_cluster(), FRAUD)).text
    assert "Share of the candidate in run 12 (UTC): 2026-11-23 13:38:00 desired 0%, accepted 0%;" in text
    assert "dashed: desired, line: accepted by the gateway, dots: observed in the requests; the highest is 5.4%" in text
    assert "2026-11-23 13:52:00 5% 5% 5.2% 812" in text
    assert "Last observed: 5.4% of 812 requests." in text


async def test_older_records_are_on_the_next_page_down_to_the_first() -> None:
    page = await page_of(a_cluster(), f"{FRAUD}?before=26")
    assert "Records 6 to 25 of 45" in page.text
    assert f"{FRAUD}?before=6#trail" in page.links
    last = await page_of(a_cluster(), f"{FRAUD}?before=6")
    assert "Records 1 to 5 of 45" in last.text
    assert not [link for link in last.links if "before=" in link and "/live" not in link]


async def test_two_versions_are_compared_as_by_serinus_diff() -> None:
    text = (await page_of(a_cluster(), DIFF)).text
    assert "✖ not accepted BumpTooSmall" in text
    assert "inputs. country Was added and is required" in text


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("/rollouts/ml/nobody", 404, "There is no such object"),
        ("/rollouts/ml/..%2f..%2fsecrets", 404, "There is no such page"),
        ("/rollouts/ML/fraud", 404, "There is no such Rollout on this page"),
        ("/rollouts/ml/fraud%3fwatch=1", 404, "There is no such Rollout on this page"),
        (f"{FRAUD}?before=x", 400, "before: not the number of a record"),
        (f"{FRAUD}/diff?old=2.2.4", 400, "new: give a version"),
        (f"{FRAUD}/diff?old=9.9.9&new=2.3.1", 404, "there is no version '9.9.9'"),
        ("/?page=0", 400, "page: '0' is not a number from 1"),
        ("/?phase=Great", 400, "phase: 'Great' is not one of Pending"),
        ("/?colour=red", 400, "there is no filter 'colour'"),
        (f"/?text={'x' * 254}", 400, "text: at most 253 characters"),
        ("/nothing", 404, "There is no such page"),
        ("/live/rollouts/ml/nobody", 404, "There is no such object"),
    ],
)
async def test_what_cannot_be_shown_is_a_page_that_says_why(target: str, status: int, said: str) -> None:
    page = await page_of(a_cluster(), target, status)
    assert said in page.text


async def test_the_api_server_is_only_read_and_only_below_the_paths_of_a_rollout() -> None:
    api = a_cluster()
    for target in ("/", FRAUD, DIFF, "/rollouts/ml/..%2fsecrets"):
        await get(app_of(api), target)
    assert api.writes() == []
    kinds = ("rollouts", "httproutes", "events", "auditrecords", "models", "modelversions")
    assert all(any(f"/{kind}" in call for kind in kinds) for call in api.calls)


async def test_a_part_that_may_not_be_read_hides_no_other_part() -> None:
    api = a_cluster()
    api.before.extend([None, RefusedError("events are <forbidden>")] * 3)
    text = (await page_of(api, FRAUD)).text
    assert "events are <forbidden>" in text
    assert "2.3.1 was rolled back" in text


@pytest.mark.parametrize(("problem", "status"), [(RefusedError("no <list>"), 403), (TransientError("down"), 502)])
async def test_a_cluster_that_cannot_be_read_is_said(problem: RefusedError | TransientError, status: int) -> None:
    api = a_cluster()
    api.before.append(problem)
    assert str(problem) in (await page_of(api, "/", status)).text


async def test_a_namespace_that_the_page_is_not_for_is_not_shown() -> None:
    api = a_cluster(others=50)
    app = app_of(api, "ml")
    assert "Rollouts 1 to 1 of 1" in Structure((await get(app, "/")).body).text
    assert (await get(app, "/rollouts/team-1/model-00001")).status == 404


@pytest.mark.parametrize("part", [{"status": "broken"}, {"spec": []}, {"status": {"phase": 7}}])
async def test_an_object_that_cannot_be_read_is_shown_as_such(part: dict[str, object]) -> None:
    api = a_cluster()
    api.put(f"{API}/namespaces/ml/rollouts/fraud", {**rollout(), **part})
    text = (await page_of(api, "/")).text
    assert "waits for a person: 1" in text
    assert "cannot be read" in text
    assert "cannot be read" in (await page_of(api, FRAUD)).text


async def test_without_javascript_the_page_is_complete_and_has_a_link_to_reload() -> None:
    page = await page_of(a_cluster(), FRAUD)
    assert FRAUD in page.links
    assert ("button", ("type", "id", "hidden")) in page.elements

"""The audit report and the short answers: their contents, that they are inert, and what scripts rely on."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import pytest

from serinus.api.model import ModelSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.cli.report.page import render_html, render_markdown
from serinus.errors import ConfigurationError, NotFoundError
from support.audit.history_builder import History
from support.audit.report_cli import Auditor
from support.audit.sample_histories import HOSTILE, a_first_version, a_hostile_history, a_year, many_versions
from support.audit.specs import BEGIN, MODEL, digest_of_bytes

VOID = {"meta", "wbr", "br", "link", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data.strip())

    def having(self, attribute: str) -> list[str]:
        return [value or "" for _, found in self.elements for name, value in found.items() if name == attribute]

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


# ---- the page ---------------------------------------------------------------------------------


def test_the_page_is_a_file_in_the_current_folder_named_after_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Auditor((a_year(),)).ask("fraud-detector") == 0
    page = Page((tmp_path / "fraud-detector-report.html").read_text(encoding="utf-8"))
    assert page.text.startswith("fraud-detector: audit report")
    assert "fraud-detector-report.html: payments/fraud-detector as of 2026-09-25T07:09:24Z, 110 records" in (
        capsys.readouterr().out
    )


def test_the_suffix_decides_the_format_unless_one_is_given(tmp_path: Path) -> None:
    auditor = Auditor((a_first_version(),))
    auditor.ask("fraud-detector", "-o", str(tmp_path / "page.md"))
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Audit report: fraud-detector\n")
    auditor.ask("fraud-detector", "-o", str(tmp_path / "odd.md"), "--format", "html")
    assert (tmp_path / "odd.md").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_minus_writes_the_page_and_nothing_else_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert Auditor((a_first_version(),)).ask("fraud-detector", "-o", "-") == 0
    told = capsys.readouterr()
    assert told.out.startswith("<!doctype html>")
    assert told.out.endswith("</html>\n")
    assert not told.err


@pytest.mark.parametrize("history", [a_first_version, a_year, a_hostile_history], ids=lambda one: one.__name__)
def test_every_element_is_closed_every_id_is_there_once_and_every_link_within_leads_somewhere(history: Any) -> None:
    page = Page(render_html(history().report()))
    assert not page.open
    ids = page.having("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.having("href") if link.startswith("#")} <= set(ids)
    labels = {one for value in page.having("aria-labelledby") for one in value.split()}
    assert labels <= set(ids)


@pytest.mark.parametrize("history", [a_year, a_hostile_history], ids=lambda one: one.__name__)
def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(history: Any) -> None:
    text = render_html(history().report())
    page = Page(text)
    assert (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        in text
    )
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "use", "image", "audio"}
    attributes = {name for _, found in page.elements for name in found}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "srcset", "data", "action", "background", "xlink:href"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert all(link.startswith(("#", "https://")) for link in page.having("href"))


def test_hostile_text_stays_text_in_html() -> None:
    text = render_html(a_hostile_history().report())
    page = Page(text)
    assert "<script>alert(1)</script> | `x` [a](http://evil.example) ⟨U+202E⟩⟨U+0007⟩" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not any("evil" in link or "javascript" in link for link in page.having("href"))
    assert "\u202e" not in text
    assert "\x07" not in text


def test_hostile_text_stays_in_its_cell_in_markdown() -> None:
    text = render_markdown(a_hostile_history().report())
    assert "<script" not in text
    assert "\u202e" not in text
    assert "(http://evil.example)" not in text
    assert "\n# heading" not in text
    rows = [line for line in text.splitlines() if "alert(1)" in line and line.startswith("|")]
    assert rows
    headings = {line.count("|") for line in text.splitlines() if line.startswith(("|---", "|--:"))}
    assert all(len(re.findall(r"(?<!\\)\|", row)) in headings for row in rows)


def test_every_table_of_a_markdown_page_has_as_many_cells_in_each_row() -> None:
    text = render_markdown(a_year().report())
    for block in text.split("\n\n"):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block


def test_the_same_history_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.html", tmp_path / "other.html"
    Auditor((a_year(),)).ask("fraud-detector", "-o", str(one))
    Auditor((a_year(),)).ask("fraud-detector", "-o", str(other))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_both_formats_contain_the_facts_that_an_auditor_needs(render: Any) -> None:
    text = render(a_year().report())
    for fact in (
        "payments-ml",
        "Not for account opening. Not validated for payments above EUR 50,000.",
        digest_of_bytes("2.6.1"),
        "2026-08-31 06:06:24",
        "country=NL",
        "The only client sends float32 already; agreed in change 1187.",
        "latency_p95 412ms, limit" if render is render_html else "latency\\_p95 412ms, limit",
        "1,843",
        "1.3s",
        "Complaints from the call centre.",
        "not vouched for" if render is render_markdown else 'class="unvouched"',
        "The route&#39;s weights were changed" if render is render_html else "The route's weights were changed",
        "It names no artifact digest",
    ):
        assert fact in text


def test_charts_say_the_same_as_the_tables_beside_them() -> None:
    page = Page(render_html(a_year().report()))
    charts = [found for tag, found in page.elements if tag == "svg" and found.get("role") == "img"]
    assert len(charts) > 12
    assert all(chart.get("aria-labelledby") or chart.get("aria-label") for chart in charts)
    assert "2.6.0: 2026-08-11 01:46:24 to 2026-08-17 01:46:24 UTC" in page.text


def test_a_long_history_shows_all_of_it_in_one_line_and_the_latest_versions_below() -> None:
    page = Page(render_html(many_versions(40).report()))
    assert "The whole history, 35 periods in production" in page.text
    assert "The last 14 versions in production" in page.text


# ---- what must be said first ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("render", "first"),
    [
        (render_html, r"The audit chain does not verify: 2 findings\. Do not rely on this page"),
        (render_markdown, r"> \*\*THE AUDIT CHAIN DOES NOT VERIFY: 2 findings\.\*\*"),
    ],
)
def test_a_chain_that_does_not_verify_is_reported_in_the_first_line(render: Any, first: str) -> None:
    history = a_first_version()
    stored = history.stored
    stored[1].content["message"] = "another story"  # type: ignore[index]  # as a database would let one do
    text = render(history.report(records=stored))
    words = Page(text).text.split(" UTC ", 1)[1] if render is render_html else text
    assert re.match(first, words)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_removed_and_lost_records_are_reported_before_anything_else(render: Any) -> None:
    history = a_year().prune(20)
    stored = [one for one in history.stored if one.sequence != 40]
    text = render(history.report(records=stored))
    heading = text.index("<h1>") if render is render_html else text.index("\n# ")
    assert "1 record is missing or unreadable" in text[:heading]
    assert "Records 1 to 20 were removed by retention" in text[:heading]


def test_a_page_of_a_broken_chain_is_written_and_the_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = a_first_version()
    del history.records[1]
    assert Auditor((history,)).ask("fraud-detector", "-o", str(tmp_path / "p.html")) == 1
    assert (tmp_path / "p.html").exists()
    assert "the audit chain of payments/fraud-detector does not verify" in capsys.readouterr().err


# ---- bounds and refusals ----------------------------------------------------------------------


def test_as_of_shows_the_model_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    Auditor((a_year(),)).ask("fraud-detector", "--as-of", "2026-04-10", "--format", "markdown", "-o", "-")
    text = capsys.readouterr().out
    assert "As of 2026-04-10 00:00:00 UTC." in text
    assert "later records are left out" in text
    assert "| In production | 2.2.0, since 2026-04-01 17:47:00 |" in text
    assert "2.3.0" not in text


def test_a_future_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2030-01-01T00:00:00Z is in the future"):
        Auditor((a_year(),)).ask("fraud-detector", "--as-of", "2030-01-01")


def test_an_unknown_model_is_an_error_without_a_page(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no record of payments/frod-detector"):
        Auditor((a_year(),)).ask("frod-detector", "-o", str(tmp_path / "p.html"))
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere/p\.html cannot be written: No such file"):
        Auditor((a_year(),)).ask("fraud-detector", "-o", str(tmp_path / "nowhere" / "p.html"))


def test_without_a_model_or_a_question_the_registry_is_not_opened() -> None:
    auditor = Auditor((a_year(),))
    with pytest.raises(click.UsageError, match="name a MODEL, or give --live-at, --data or --artifact"):
        auditor.ask()
    with pytest.raises(click.UsageError, match="--checkpoints and --public-key go together"):
        auditor.ask("fraud-detector", "--checkpoints", "s3://audit/serinus")
    assert not auditor.asked


def test_in_a_cluster_the_teams_policy_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    policy = decode(
        ModelSpec, {"require": {"digest": True}, "approvals": {"fourEyes": True}, "retentionDays": 2555}, "spec"
    )
    auditor = Auditor((a_first_version(),), policy=policy)
    auditor.ask("payments/fraud-detector", "-n", "payments", "-o", "-", registry="kubernetes:")
    assert auditor.asked == [("kubernetes:", ("payments",))]
    told = "version numbers: Enforce; required: digest; approval by another person than asked; records kept 2,555 days"
    assert told in capsys.readouterr().out


# ---- short answers ----------------------------------------------------------------------------


def test_which_version_was_live_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert Auditor((a_year(),)).ask("fraud-detector", "--live-at", "2026-08-12T12:00Z") == 0
    assert capsys.readouterr().out == (
        "payments/fraud-detector 2.6.0 was in production at 2026-08-12 12:00:00 UTC "
        "(2026-08-11 01:46:24 to 2026-08-17 01:46:24, record #95)\n"
    )


def test_the_candidate_of_that_time_is_on_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    Auditor((a_year(),)).ask("fraud-detector", "--live-at", "10m")
    assert capsys.readouterr().out.endswith("; on trial: 2.7.0 with 5% of the traffic in stage canary\n")


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-03-01", "has no record before or at 2026-03-01 00:00:00 UTC"),
        ("2026-03-02T09:01Z", "had no version in production at 2026-03-02 09:01:00 UTC"),
    ],
)
def test_where_nothing_was_live_the_line_says_so(at: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Auditor((a_year(),)).ask("fraud-detector", "--live-at", at) == 0
    assert told in capsys.readouterr().out


def test_where_records_are_lost_the_line_does_not_guess(capsys: pytest.CaptureFixture[str]) -> None:
    history = a_year()
    history.records = [record for record in history.records if not 30 <= record.sequence < 50]
    assert Auditor((history,)).ask("fraud-detector", "--live-at", "2026-05-01") == 1
    told = capsys.readouterr().out
    assert told.startswith("DO NOT RELY ON THIS, the audit chain does not verify: payments/fraud-detector")
    assert "unknown, because records are missing" in told


def test_without_a_model_every_model_answers(capsys: pytest.CaptureFixture[str]) -> None:
    other = History(ObjectKey("risk", "churn")).register("3.0.0").adopt("3.0.0")
    auditor = Auditor((a_year(), other))
    assert auditor.ask("--live-at", "2026-03-05") == 0
    assert [line.split(" was")[0] for line in capsys.readouterr().out.splitlines()] == [
        "payments/fraud-detector 2.0.0",
        "risk/churn 3.0.0",
    ]
    auditor.ask("--live-at", "2026-03-05", "-n", "risk")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_all_versions_that_saw_a_data_set_are_listed_with_when_they_served(capsys: pytest.CaptureFixture[str]) -> None:
    other = History(ObjectKey("risk", "churn")).register("3.0.0", trainingData=[{"uri": "s3://x"}])
    assert Auditor((a_year(), other)).ask("--data", digest_of_bytes("february")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"MODEL +VERSION +STAGE +REGISTERED +IN PRODUCTION \(UTC\)$", lines[0])
    assert len(lines) == 12
    assert not any("churn" in line or " 2.6.0 " in line for line in lines)
    twice = next(line for line in lines if " 2.5.1 " in line)
    assert twice.endswith("2026-07-11 21:30:24 to 2026-08-11 01:46:24; 2026-08-17 01:46:24 to 2026-08-31 06:06:24")
    assert next(line for line in lines if " 2.4.1 " in line).endswith("never")


def test_an_artifact_is_found_wherever_it_was_registered(capsys: pytest.CaptureFixture[str]) -> None:
    other = History(ObjectKey("risk", "fraud-copy")).register("2.4.0")
    auditor = Auditor((a_year(), other))
    auditor.ask("--artifact", digest_of_bytes("2.4.0"))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "payments/fraud-detector",
        "risk/fraud-copy",
    ]
    auditor.ask("risk/fraud-copy", "--artifact", digest_of_bytes("2.4.0"))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_unused_digest_is_an_answer_and_an_invalid_one_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    auditor = Auditor((a_year(),))
    assert auditor.ask("--data", digest_of_bytes("unknown")) == 0
    assert "No registered version has data sha256:" in capsys.readouterr().out
    with pytest.raises(click.BadParameter, match="invalid digest 'md5:1'"):
        auditor.ask("--artifact", "md5:1")


def test_an_answer_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    history = History().register("1.0.0").adopt("1.0.0")
    history.start("1.1.0", plan=[]).shift("1.1.0", "\x1b[2Jcanary", "5%").wait(minutes=5)
    Auditor((history,)).ask("fraud-detector", "--live-at", "1m")
    assert "stage ⟨U+001B⟩[2Jcanary" in capsys.readouterr().out


def test_the_hostile_text_has_every_character_that_needs_escaping() -> None:
    assert all(sign in HOSTILE for sign in ("<", "|", "`", "\u202e", "\x07", '"', "&", "{{", "\n#"))
    assert MODEL.name == "fraud-detector"
    assert a_first_version().now - BEGIN > timedelta(days=29)

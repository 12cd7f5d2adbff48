"""Renders a report as one self-contained HTML file or as Markdown; the same report gives the same bytes."""

from functools import lru_cache
from typing import Final

from jinja2 import Environment

from serinus import __version__
from serinus.api.audit_record import Authentication
from serinus.cli.report import charts
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.measures import gauge
from serinus.engine.report.people import vouched_for
from serinus.pages.environment import page_environment
from serinus.pages.text import (
    FILTERS,
    anchor,
    breakable,
    html_link,
    html_text,
    markdown_link,
    markdown_text,
    policy_text,
    run_anchor,
)

_FINDINGS_SHOWN: Final = 200
"""A chain that was emptied has a finding for every record: the first ones are enough."""

_VOUCHERS: Final = {
    Authentication.ADMISSION: "the API server",
    Authentication.CLOUD: "the cloud's identity service",
    Authentication.OPERATOR: "the operator's own rules",
    Authentication.NONE: "nobody",
}


def render_html(report: AuditReport) -> str:
    """Return the report as an HTML page that loads nothing from elsewhere."""
    return _rendered("report.html.j2", report)


def render_markdown(report: AuditReport) -> str:
    """Return the report as Markdown, without charts."""
    return _rendered("report.md.j2", report)


def _rendered(template: str, report: AuditReport) -> str:
    html = template.endswith(".html.j2")
    page = _environment(html=html).get_template(template)
    faulty = frozenset(finding.sequence for finding in report.proof.findings)
    text = page.render(report=report, written_by=__version__, faulty=faulty, findings_shown=_FINDINGS_SHOWN)
    return text.strip() + "\n"


@lru_cache(maxsize=2)
def _environment(*, html: bool) -> Environment:
    """Return an environment that escapes every value on output, so that no template can forget to."""
    environment = page_environment("serinus.cli.report", html_text if html else markdown_text)
    environment.filters.update(FILTERS, breakable=breakable, link=html_link if html else markdown_link)
    environment.globals.update(
        anchor=anchor,
        policy_text=policy_text,
        run_anchor=run_anchor,
        vouchers=_VOUCHERS,
        charts=charts,
        gauge=gauge,
        vouched_for=vouched_for,
    )
    return environment

"""Renders the pages, and states which inline style and script a browser may run."""

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlencode

from jinja2 import Environment
from markupsafe import Markup

from serinus import __version__
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase
from serinus.pages.environment import page_environment
from serinus.pages.text import breakable, html_text, length, px, when
from serinus.web.listing import PAGE_SIZE

HOME: Final = "/"
LIVE: Final = "/live"
_SYMBOLS: Final = {
    "FAILING": "✖",
    "UNWATCHED": "⚠",
    "WAITS": "!",
    "ROLLING_BACK": "↩",
    "ROLLED_BACK": "↩",
    "MOVING": "→",
    "HEALTHY": "✔",
}


def rollout_path(key: ObjectKey) -> str:
    """Return the path of a Rollout's page."""
    return f"/rollouts/{quote(key.namespace, safe='')}/{quote(key.name, safe='')}"


def comparison_path(key: ObjectKey, old: str, new: str) -> str:
    """Return the path of the comparison of two versions of a Rollout's model."""
    return f"{rollout_path(key)}/diff?{urlencode({'old': old, 'new': new})}"


def trail_path(key: ObjectKey, before: int) -> str:
    """Return the path of a Rollout's page with the audit trail below a record."""
    return f"{rollout_path(key)}?before={before}#trail"


def render(template: str, **values: object) -> Markup:
    """Return a page or a fragment; each value is escaped where it is put out."""
    return Markup(_environment().get_template(template).render(**values))  # noqa: S704 - the environment escapes


@dataclass(frozen=True, slots=True)
class Inline:
    """The style and the script of every page, with the hashes by which the Content-Security-Policy admits them."""

    style: Markup
    script: Markup

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: nothing is loaded from anywhere but this server, nothing else is run."""
        return "; ".join(
            (
                "default-src 'none'",
                f"style-src '{_hash(self.style)}'",
                f"script-src '{_hash(self.script)}'",
                "connect-src 'self'",
                "img-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )


@lru_cache(maxsize=1)
def inline() -> Inline:
    """Return the style and the script."""
    environment = _environment()
    # Own files without any value in them: nothing in them comes from outside.
    style, script = (Markup(environment.get_template(name).render()) for name in ("style.css.j2", "live.js.j2"))  # noqa: S704
    return Inline(style, script)


def _hash(text: Markup) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment("serinus.web", html_text)
    environment.filters.update(breakable=breakable, lasting=length, px=px, when=when)
    environment.globals.update(
        comparison_path=comparison_path,
        home=HOME,
        inline=inline,
        page_size=PAGE_SIZE,
        phases=tuple(Phase),
        rollout_path=rollout_path,
        symbols=_SYMBOLS,
        trail_path=trail_path,
        written_by=__version__,
    )
    return environment

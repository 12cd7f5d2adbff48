"""The template environment of HTML and Markdown pages: every value is escaped on output."""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup


def page_environment(package: str, escape: Callable[[object], Markup]) -> Environment:
    """Return an environment for a package's folder ``templates`` that escapes every value, which none can forget.

    Args:
        package: such as ``serinus.web``.
        escape: returns any value escaped for the language of the page.
    """
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escaping(escape),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _escaping(escape: Callable[[object], Markup]) -> Callable[[object], object]:
    def finalize(value: object) -> object:
        # An inline if without an else yields a plain Undefined; an unknown name a strict one, which is an error.
        if type(value) is Undefined:
            return Markup()
        return value if isinstance(value, Undefined) else escape(value)

    return finalize

"""YAML from outside: the values that JSON has, and one error for everything else.

PyYAML raises more than its own errors (``!!int x`` is a ValueError, ``!!bool x`` a KeyError), and a few aliases in it
may stand for a thousand million values.
"""

from typing import Any, Final

import yaml

MOST_VALUES: Final = 1_000_000
"""The most values of a text, each alias counted as what it stands for; a signature of 4,096 columns has 30,000."""

FastLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads the types of YAML 1.1, dates included, as fast as this machine can."""


class YamlTextError(Exception):
    """The text is not YAML, or has a value that JSON does not have; the message says which and, if known, where."""


def read_yaml(content: bytes | str, loader: Any = FastLoader) -> list[Any]:  # noqa: ANN401 - PyYAML's loader classes
    """Return the documents of a YAML text.

    Raises:
        YamlTextError: it cannot be read.
    """
    try:
        documents = list(yaml.load_all(content, loader))
        known: dict[int, int] = {}
        for document in documents:
            _count(document, known)
    except yaml.YAMLError as problem:
        raise YamlTextError(" ".join(str(problem).split())) from problem
    except RecursionError as problem:
        raise YamlTextError("it is nested too deeply") from problem
    except UnicodeDecodeError as problem:
        raise YamlTextError("it is not UTF-8") from problem
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as problem:
        raise YamlTextError(f"a value does not have the type of its tag: {problem}") from problem
    return documents


def _count(value: object, known: dict[int, int]) -> int:
    """Return how many values a value stands for; ``known`` has those of mappings and lists, 0 for one in progress."""
    if isinstance(value, str):
        _check_text(value)
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 0
        members = (*value.keys(), *value.values()) if isinstance(value, dict) else tuple(value)
        known[id(value)] = 1 + sum(_count(member, known) for member in members)
    if known[id(value)] == 0:
        raise YamlTextError("a value contains itself")
    if known[id(value)] > MOST_VALUES:
        raise YamlTextError(f"it has more than {MOST_VALUES:,} values")
    return known[id(value)]


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise YamlTextError(f"text with half a character, {text[problem.start]!a}, has no form in UTF-8") from problem

"""The interpreter of CEL rules: the part of the language in which the CRDs are written, and no more."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from serinus.api.crd import definitions
from serinus.cli.lint.cel import CelError, evaluate, in_re2
from serinus.cli.lint.cel_syntax import Call, CelSyntaxError, Listing, Literal, Select, parse

SELF: Mapping[str, Any] = {
    "name": "canary",
    "namespace": "ml",
    "stages": [{"traffic": "5%"}, {"traffic": "100%"}],
    "count": 3,
}

VALUES = {
    "1 + 2 * 3": 7,
    "(1 + 2) * 3": 9,
    "7 % 4 - 1": 2,
    "!has(self.other) && has(self.name)": True,
    "self.count >= 3 && self.count < 4": True,
    "self.count == 3 ? 'three' : 'other'": "three",
    "false ? 1 : false ? 2 : 3": 3,
    "self.stages.all(s, s.traffic.matches('%$'))": True,
    "self.stages.filter(s, s.traffic == '5%').size() == 1": True,
    "self.stages.map(s, double(s.traffic.replace('%', ''))).isSorted()": True,
    "self.stages[size(self.stages) - 1].traffic": "100%",
    "'a-v2.3.1'.find('-v[0-9].*').substring(2)": "2.3.1",
    "'2.3.1+build'.split('+')[0]": "2.3.1",
    "'it\\'s \\\\s'": "it's \\s",
    '"double"': "double",
    "[1, 2, 1].indexOf(1) == [1, 2, 1].lastIndexOf(1)": False,
    "int('012') % 5": 2,
    "duration('1h') >= duration('60m')": True,
    "'ÄB'.lowerAscii()": "Äb",
    "' a '.trim() + 'b'": "ab",
    "'ab'.startsWith('a') && 'ab'.contains('b') && 'abcd'.substring(1, 3) == 'bc'": True,
    "'none'.find('[0-9]')": "",
    "has(self.__namespace__) && self.__namespace__ == 'ml'": True,
    "'b' in ['a', 'b'] && !(5 in [6]) && ['a'] in [['b'], ['a']]": True,
    "type(self.count) in [int] && type(self.name) in [string] && !(type(self.name) in [int])": True,
    "'abc'.charAt(1) + string(self.count)": "b3",
}


@pytest.mark.parametrize(("expression", "value"), VALUES.items(), ids=VALUES.keys())
def test_an_expression_has_the_value_that_cel_gives_it(expression: str, value: object) -> None:
    assert evaluate(expression, SELF) == value


@pytest.mark.parametrize("expression", ["true || self.missing", "self.missing || true", "!(self.missing && false)"])
def test_an_error_is_ignored_where_the_other_side_decides(expression: str) -> None:
    assert evaluate(expression, SELF) is True


@pytest.mark.parametrize(
    "expression",
    ["self.missing", "self.missing || false", "self.missing && true", "self.stages[2]", "duration('5x')", "int('x')"],
)
def test_what_has_no_value_is_an_error(expression: str) -> None:
    with pytest.raises(CelError):
        evaluate(expression, SELF)


@pytest.mark.parametrize("expression", ["1 +", "(1", "self.", "1 2", "'open", "self.map(s)", "exists(1)", "a ? b", "@"])
def test_what_is_not_in_this_part_of_cel_is_refused(expression: str) -> None:
    with pytest.raises(CelError):
        evaluate(expression, SELF)


def test_the_syntax_error_names_the_place() -> None:
    with pytest.raises(CelSyntaxError, match=r"expected '\)', found the end|expected '\)', found ''"):
        parse("(1")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"x\s*stable\s*$|[+]", "1.2x stable\n", "x stable\n"),
        (r"(a$|b$)", "a\n", None),
        (r"^[$]$", "$", "$"),
        (r"\$x", "$x", "$x"),
        (r"^\s$", "\v", None),
        (r"^\d$", "\u0663", None),
    ],
)
def test_a_pattern_matches_what_re2_matches(pattern: str, text: str, found: str | None) -> None:
    match = in_re2(pattern).search(text)
    assert (match and match[0]) == found


def _rules(node: Any) -> Iterator[Mapping[str, str]]:
    match node:
        case dict():
            yield from node.get("x-kubernetes-validations", ())
            for member in node.values():
                yield from _rules(member)
        case list():
            for member in node:
                yield from _rules(member)
        case _:
            pass


def test_every_rule_of_the_crds_can_be_read() -> None:
    rules = list(_rules(definitions()))
    assert len(rules) > 40
    for rule in rules:
        for expression in (rule["rule"], rule.get("messageExpression", "''")):
            assert isinstance(parse(expression), Call | Literal | Listing | Select)

"""The syntax of the part of CEL (https://cel.dev) in which the rules of the CRDs are written."""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>&&|\|\||==|!=|<=|>=|[-+*%/<>!?:.,()\[\]]))"
)
_BINARY: Final = (("||",), ("&&",), ("==", "!=", "<=", ">=", "<", ">", "in"), ("+", "-"), ("*", "/", "%"))
"""The binary operators, those that bind the least first."""

_END: Final = ("end", "")


class CelSyntaxError(ValueError):
    """The expression is not in the part of CEL that is read here."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a whole number or a truth value."""

    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``of.field``."""

    of: "Node"
    field: str


@dataclass(frozen=True, slots=True)
class Listing:
    """``[a, b]``."""

    members: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function, a method (its target is the first argument) or an operator, by its name or sign."""

    name: str
    arguments: tuple["Node", ...]


Node: TypeAlias = Literal | Name | Select | Listing | Call


@lru_cache(maxsize=512)
def parse(expression: str) -> Node:
    """Return the syntax tree of an expression.

    Raises:
        CelSyntaxError: it is not in the part of CEL that is read here.
    """
    parser = _Parser(expression)
    node = parser.ternary()
    parser.take("")
    return node


class _Parser:
    """Reads one expression by recursive descent."""

    def __init__(self, expression: str) -> None:
        self._tokens = _tokens(expression)
        self._at = 0

    def ternary(self) -> Node:
        condition = self._binary(0)
        if not self._found("?"):
            return condition
        first = self.ternary()
        self.take(":")
        return Call("?:", (condition, first, self.ternary()))

    def take(self, mark: str) -> None:
        """Read one mark; the empty one is the end."""
        if self._tokens[self._at][1] != mark:
            raise CelSyntaxError(f"expected {mark or 'the end'!r}, found {self._tokens[self._at][1]!r}")
        self._at += 1

    def _found(self, *marks: str) -> str:
        kind, text = self._tokens[self._at]
        if (kind != "mark" and text != "in") or text not in marks:
            return ""
        self._at += 1
        return text

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while sign := self._found(*_BINARY[level]):
            left = Call(sign, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Node:
        if self._found("!"):
            return Call("!", (self._unary(),))
        return self._member(self._primary())

    def _member(self, node: Node) -> Node:
        while mark := self._found(".", "["):
            if mark == "[":
                node = Call("[]", (node, self.ternary()))
                self.take("]")
                continue
            name = self._name()
            node = Call(name, (node, *self._arguments(")"))) if self._found("(") else Select(node, _unescaped(name))
        return node

    def _primary(self) -> Node:
        if self._found("("):
            inner = self.ternary()
            self.take(")")
            return inner
        if self._found("["):
            return Listing(self._arguments("]"))
        kind, text = self._tokens[self._at]
        if kind in {"text", "number"}:
            self._at += 1
            return Literal(ast.literal_eval(text))
        name = self._name()
        if name in {"true", "false"}:
            return Literal(name == "true")
        return Call(name, self._arguments(")")) if self._found("(") else Name(name)

    def _name(self) -> str:
        kind, text = self._tokens[self._at]
        if kind != "name":
            raise CelSyntaxError(f"expected a name, found {text or 'the end'!r}")
        self._at += 1
        return text

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._found(end):
            if found:
                self.take(",")
            found.append(self.ternary())
        return tuple(found)


def _unescaped(field: str) -> str:
    """Return the field that is meant: one whose name is a word of CEL stands between underscores."""
    return field[2:-2] if field.startswith("__") and field.endswith("__") else field


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while position < len(expression.rstrip()):
        token = _TOKEN.match(expression, position)
        if token is None or token.lastgroup is None:
            raise CelSyntaxError(f"cannot read {expression[position : position + 20]!r}")
        found.append((token.lastgroup, token[token.lastgroup]))
        position = token.end()
    return [*found, _END]

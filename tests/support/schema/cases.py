"""One minimal pair of signatures for each row of the table in docs/reference/compatibility.md."""

from dataclasses import dataclass
from typing import Any, Final

from serinus.api.signature import Profile, Signature
from support.schema.signatures import AMOUNT, SCORE, a_signature


@dataclass(frozen=True, slots=True)
class Case:
    """A row: its rule, its change in the page's words, and two signatures that differ in just that."""

    rule: str
    change: str
    before: dict[str, Any]
    after: dict[str, Any]

    def signatures(self, profile: Profile) -> tuple[Signature, Signature]:
        own = {"profile": profile.value}
        return a_signature(**{**own, **self.before}), a_signature(**{**own, **self.after})


def _input(rule: str, change: str, before: dict[str, Any], after: dict[str, Any]) -> Case:
    return Case(rule, change, {"inputs": [{**AMOUNT, **before}]}, {"inputs": [{**AMOUNT, **after}]})


def _output(rule: str, change: str, before: dict[str, Any], after: dict[str, Any]) -> Case:
    return Case(rule, change, {"outputs": [{**SCORE, **before}]}, {"outputs": [{**SCORE, **after}]})


_IGNORE: Final = {"unknownInputs": "Ignore"}
_MORE: Final = {"name": "country", "dtype": "string"}
_SPARE: Final = {**_MORE, "optional": True}
_TOP_K: Final = {"name": "topK", "dtype": "int32", "default": "5"}
_ONE, _TWO = {"inputs": [AMOUNT]}, {"inputs": [AMOUNT, _MORE]}
_ONE_OR_TWO: Final = {"inputs": [AMOUNT, _SPARE]}
_LABEL: Final = {"dtype": "string"}

INPUTS: Final = (
    Case("I1", "an input is added that may be left out", _ONE, _ONE_OR_TWO),
    Case("I1", "the same, and the old version ignores unknown inputs", _ONE | _IGNORE, _ONE_OR_TWO | _IGNORE),
    Case("I2", "a required input is added", _ONE, _TWO),
    Case("I2", "the same, and the old version ignores unknown inputs", _ONE | _IGNORE, _TWO | _IGNORE),
    Case("I3", "a required input is removed", _TWO, _ONE),
    Case("I3", "an input that may be left out is removed", _ONE_OR_TWO, _ONE),
    Case("I3", "the same, and the new version ignores unknown inputs", _ONE_OR_TWO | _IGNORE, _ONE | _IGNORE),
    Case("I3", "`unknownInputs`: Refuse becomes Ignore", _ONE, _ONE | _IGNORE),
    Case("I3", "`unknownInputs`: Ignore becomes Refuse", _ONE | _IGNORE, _ONE),
    _input("I4", "a required input becomes optional", {}, {"optional": True}),
    _input("I4", "a required input gets a default", {}, {"default": "0"}),
    _input("I5", "an optional input becomes required", {"optional": True}, {}),
    _input("I6", "int32 becomes int64, float32 becomes float64", {"dtype": "int32"}, {"dtype": "int64"}),
    _input("I6", "int32 becomes float64", {"dtype": "int32"}, {"dtype": "float64"}),
    _input("I6", "uint32 becomes int64", {"dtype": "uint32"}, {"dtype": "int64"}),
    _input("I7", "int64 becomes int32, float64 becomes float32", {"dtype": "int64"}, {"dtype": "int32"}),
    _input("I8", "int64 becomes float64", {"dtype": "int64"}, {"dtype": "float64"}),
    _input(
        "I8", "another kind: a number becomes a text, or an int64 a uint64", {"dtype": "int64"}, {"dtype": "uint64"}
    ),
    _input("I9", "renamed, the old name is in `aliases`", {}, {"name": "total", "aliases": ["amount"]}),
    _input("I9", "a name leaves `aliases`", {"aliases": ["total"]}, {}),
    _input("I10", "a fixed dimension becomes -1", {"shape": [3]}, {"shape": [-1]}),
    _input("I11", "a dimension of -1 becomes fixed", {"shape": [-1]}, {"shape": [3]}),
    _input("I11", "a dimension gets another length", {"shape": [3]}, {"shape": [4]}),
    _input("I11", "there are more or fewer dimensions", {"shape": [3]}, {"shape": [3, 1]}),
    _input("I12", "a category is added", {"categories": ["1"]}, {"categories": ["1", "2"]}),
    _input("I12", "a category is removed", {"categories": ["1", "2"]}, {"categories": ["1"]}),
    _input("I12", "categories are listed for the first time", {}, {"categories": ["1"]}),
    _input("I12", "the list of categories is dropped", {"categories": ["1"]}, {}),
    _input("I13", "a limit is loosened: `min`, `max`, `maxLength`", {"max": "10"}, {"max": "20"}),
    _input("I13", "a limit is tightened or set", {}, {"max": "20"}),
    _input("I13", "null is taken now", {}, {"nullable": True}),
    _input("I13", "null is no longer taken", {"nullable": True}, {}),
    _input("I14", "the default changes", {"default": "0"}, {"default": "1"}),
    Case(
        "I15",
        "inputs without a name change places",
        {"inputs": [{"name": "0", "dtype": "int32"}, {"name": "1", "dtype": "string"}]},
        {"inputs": [{"name": "0", "dtype": "string"}, {"name": "1", "dtype": "int32"}]},
    ),
    _input("I16", "another `unit`", {"unit": "EUR"}, {"unit": "USD"}),
    _input("I16", "another major version in `featureRef`", {"featureRef": "risk@3.1"}, {"featureRef": "risk@4"}),
    _input("I16", "a unit or definition is stated for the first time", {}, {"unit": "EUR"}),
)

OUTPUTS: Final = (
    Case("O1", "an output is added", {"outputs": [SCORE]}, {"outputs": [SCORE, _MORE]}),
    Case("O1", "an optional output is added", {"outputs": [SCORE]}, {"outputs": [SCORE, _SPARE]}),
    _output("O1", "served under a further name", {}, {"aliases": ["probability"]}),
    _output("O1", "one value without a name becomes outputs by name", {"name": "0"}, {"name": "score"}),
    Case("O2", "an output is removed", {"outputs": [SCORE, _MORE]}, {"outputs": [SCORE]}),
    Case("O2", "an optional output is removed", {"outputs": [SCORE, _SPARE]}, {"outputs": [SCORE]}),
    _output("O2", "a name leaves `aliases`", {"aliases": ["probability"]}, {}),
    _output("O3", "becomes optional or nullable", {}, {"nullable": True}),
    _output("O3", "becomes required or never null", {"optional": True}, {}),
    _output("O4", "float32 becomes float64", {}, {"dtype": "float64"}),
    _output("O4", "float64 becomes float32", {"dtype": "float64"}, {}),
    _output("O4", "a type of another kind", {}, {"dtype": "string"}),
    _output("O5", "a fixed dimension becomes -1", {"shape": [3]}, {"shape": [-1]}),
    Case(
        "O5",
        "the first dimension becomes -1 or fixed together with that of the inputs",
        {"inputs": [{**AMOUNT, "shape": [1, 4]}], "outputs": [{**SCORE, "shape": [1, 4]}]},
        {"inputs": [{**AMOUNT, "shape": [-1, 4]}], "outputs": [{**SCORE, "shape": [-1, 4]}]},
    ),
    _output("O5", "a dimension of -1 becomes fixed", {"shape": [-1]}, {"shape": [3]}),
    _output("O5", "another length or number of dimensions", {"shape": [3]}, {"shape": [4]}),
    _output("O6", "a class is added at the end", {"categories": ["a"]}, {"categories": ["a", "b"]}),
    _output(
        "O6",
        "the same, and the old version says `open`",
        {"categories": ["a"], "open": True},
        {"categories": ["a", "b"], "open": True},
    ),
    _output("O6", "`open` becomes true", {"categories": ["a"]}, {"categories": ["a"], "open": True}),
    _output("O6", "the list of classes is dropped", {"categories": ["a"]}, {}),
    _output("O7", "the last class is removed", {"categories": ["a", "b"]}, {"categories": ["a"]}),
    _output(
        "O7",
        "the same, and the new version says `open`",
        {"categories": ["a", "b"], "open": True},
        {"categories": ["a"], "open": True},
    ),
    _output("O7", "`open` becomes false", {"categories": ["a"], "open": True}, {"categories": ["a"]}),
    _output("O7", "classes are listed for the first time", {}, {"categories": ["a"]}),
    _output("O8", "the classes change their order", {"categories": ["a", "b"]}, {"categories": ["b", "a"]}),
    _output(
        "O8",
        "a class goes and the index of another moves (numbers and vectors)",
        {"categories": ["a", "b", "c"]},
        {"categories": ["a", "c"]},
    ),
    _output(
        "O7",
        "a class between others is removed (texts: they have no index)",
        {**_LABEL, "categories": ["a", "b", "c"]},
        {**_LABEL, "categories": ["a", "c"]},
    ),
    _output("O9", "the range or length grows: probability to logit", {"max": "1"}, {}),
    _output("O9", "the range or length shrinks", {}, {"max": "1"}),
    _output("O10", "another `unit` or `featureRef`", {"unit": "probability"}, {"unit": "logit"}),
)

REST: Final = (
    Case("P1", "a parameter is added that may be left out", {}, {"parameters": [_TOP_K]}),
    Case("P1", "a required parameter is added", {}, {"parameters": [_MORE]}),
    Case("P1", "a parameter is removed", {"parameters": [_TOP_K]}, {}),
    Case(
        "P1",
        "its type is widened",
        {"parameters": [_TOP_K]},
        {"parameters": [{**_TOP_K, "dtype": "int64"}]},
    ),
    Case(
        "P1",
        "its type is narrowed",
        {"parameters": [{**_TOP_K, "dtype": "int64"}]},
        {"parameters": [_TOP_K]},
    ),
    Case("X1", "another `protocol` or `path`", {"protocol": "mlflow"}, {"protocol": "oip-v2"}),
    Case("X1", "a protocol or path is stated for the first time", {}, {"protocol": "oip-v2"}),
    Case("X1", "another `profile`", {"profile": "columnar"}, {"profile": "tensor"}),
)

CASES: Final = (*INPUTS, *OUTPUTS, *REST)

"""What must hold whatever the input: of routes, of texts, of queries, of the objects of others."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from support.hostile.values import FORGED_LINE, MARK

Raw = Mapping[str, Any]

_STABLE: Final = "-v1-0-0"
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', re.DOTALL)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RAW_HTML: Final = re.compile(rf"<script>{MARK}|onerror={MARK}>|\" onload=\"{MARK}|=\"javascript:")
_WRITER: Final = "serinus"
_OWN_KINDS: Final = frozenset({"Rollout", "ModelVersion", "Model", "AuditRecord", "HTTPRoute", "Job"})


def share_of_candidate(route: Raw) -> float:
    """Return the percentage of all backends but that of 1.0.0."""
    refs = [ref for rule in route["spec"]["rules"] for ref in rule.get("backendRefs", ())]
    total = sum(ref.get("weight", 1) for ref in refs)
    other = sum(ref.get("weight", 1) for ref in refs if not ref["name"].endswith(_STABLE))
    return 100 * other / total if total else 0.0


def first_share(spec: Raw) -> float:
    """Return the percentage of a plan's first stage with traffic: no evidence is needed to get there."""
    shares = [float(str(stage["traffic"]).rstrip("%")) for stage in spec["stages"]]
    return next((share for share in shares if share > 0), 0.0)


def problems_of_text(where: str, text: str) -> list[str]:
    """Return what is wrong with a text that the operator wrote for a person."""
    found = _CONTROLS.search(text)
    return [f"{where} has the control character {found[0]!r}: {text[:300]!r}"] if found else []


def texts_of(raw: Raw) -> Iterable[tuple[str, str]]:
    """Yield the texts for people in an object's status."""
    status = raw.get("status", {})
    where = f"{raw['kind']} {raw['metadata']['name']}"
    yield from ((f"{where} status.{name}", str(status[name])) for name in ("summary", "nextAction") if name in status)
    for condition in status.get("conditions", ()):
        yield f"{where} condition {condition['type']}", condition.get("message", "")


def problems_of_log(log: str) -> list[str]:
    """Return what is wrong with the operator's log."""
    problems = [f"the log has a traceback: {log[at : at + 3000]}" for at in _found(log, "Traceback")[:1]]
    forged = [line for line in log.splitlines() if line.startswith(FORGED_LINE)]
    problems += [f"a line of the log is forged: {forged[0]}"] if forged else []
    for line in log.splitlines():
        if _CONTROLS.search(line):
            return [*problems, *problems_of_text("the log", line)]
    return problems


def _found(text: str, what: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(what), text)]


def problems_of_query(query: str) -> list[str]:
    """Return what is wrong with a PromQL expression: input may stand within its strings only."""
    bare = _QUOTED.sub("", query)
    return [f"input is part of a query: {query[:500]}"] if MARK in bare or "'" in bare or '"' in bare else []


def problems_of_page(where: str, page: str) -> list[str]:
    """Return what is wrong with an HTML page."""
    found = _RAW_HTML.search(page)
    return [f"{where} has input as HTML: {page[max(0, found.start() - 80) : found.end() + 80]!r}"] if found else []


def problems_of_output(where: str, output: str) -> list[str]:
    """Return what is wrong with what a command printed."""
    forged = [line for line in output.splitlines() if line.startswith(FORGED_LINE)]
    return problems_of_text(where, output) + [f"{where} has a forged line: {line}" for line in forged]


def foreign_writes(objects: Sequence[Raw], models: Mapping[str, frozenset[str]], since: str = "") -> list[str]:
    """Return which objects the operator has written that belong to no case and not to the sentinel.

    Rollouts and the like that others left are not meant: it follows them as any other.

    Args:
        objects: everything in the cluster that somebody may have written to.
        models: by namespace, the models whose objects are the operator's to write.
        since: when the run began (RFC 3339): what was written before is another operator's.
    """
    return [
        f"the operator has written {raw['kind']} {raw['metadata'].get('namespace')}/{raw['metadata']['name']}"
        for raw in objects
        if any(
            entry.get("manager") == _WRITER and entry.get("time", since) >= since
            for entry in raw["metadata"].get("managedFields", ())
        )
        and not _owned(raw, models)
        and not (raw["kind"] in _OWN_KINDS and raw["metadata"].get("creationTimestamp", since) < since)
    ]


def _owned(raw: Raw, models: Mapping[str, frozenset[str]]) -> bool:
    namespace, name = raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
    if raw["kind"] not in _OWN_KINDS:
        return False
    return any(name == model or name.startswith(f"{model}-") for model in models.get(namespace, frozenset()))

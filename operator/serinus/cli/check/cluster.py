"""The cluster as the user may see it: every question goes through the user's own kubectl."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from serinus.cli.kubectl import KubectlError, KubectlMissingError, current_namespace, run_kubectl
from serinus.errors import NotFoundError, RefusedError, SerinusError, TransientError

OPERATORS: Final = "--selector=app.kubernetes.io/part-of=serinus"
"""Chooses the Deployments of the chart."""

_SECONDS: Final = 30.0
_ASKED_SECONDS: Final = 10
_MOST_CHARACTERS: Final = 64 * 1024 * 1024
_ABSENT: Final = ("notfound", "not found", "could not find", "doesn't have a resource type")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Asks the API server.

    Attributes:
        namespace: where the Rollouts are to be; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
    """

    namespace: str | None
    kube_context: str | None

    def get(self, *words: str, everywhere: bool = False) -> list[Mapping[str, Any]]:
        """Return the objects that ``kubectl get`` finds; empty where there are none.

        Raises:
            NotFoundError: the API server has no such kind.
            RefusedError: the user may not see them.
            TransientError: nobody answered.
        """
        answer = self._json("get", *words, "--ignore-not-found", "--output=json", everywhere=everywhere)
        members = answer.get("items") if isinstance(answer.get("items"), list) else [answer] if answer else []
        return [member for member in members or [] if isinstance(member, dict)]

    def raw(self, path: str) -> Mapping[str, Any]:
        """Return the JSON object under a path of the API server; raises as :meth:`get`."""
        return _object(self._run(["get", f"--raw={path}"]))

    def create(self, manifests: Sequence[Mapping[str, Any]], *, dry_run: bool) -> list[Mapping[str, Any]]:
        """Return what the API server makes of new objects; raises as :meth:`get`.

        Args:
            manifests: the objects: reviews, which are never stored, or others.
            dry_run: store nothing; the server refuses it for a review.
        """
        words = ["create", "-f", "-", "--output=json", *(["--dry-run=server"] if dry_run else [])]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        return _objects(self._run([*words, *self._namespace()], text))

    def current_namespace(self) -> str:
        """Return the namespace that is meant."""
        return self.namespace or current_namespace(self.kube_context) or "default"

    def prometheus(self, service: str, query: str) -> list[Mapping[str, Any]]:
        """Return the result of an instant query, asked through the API server's proxy; raises as :meth:`get`."""
        path = f"{service}/api/v1/query?query={quote(query, safe='')}&timeout={_ASKED_SECONDS}s"
        data = self.raw(path).get("data")
        result = data.get("result") if isinstance(data, dict) else None
        return [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []

    def _json(self, *words: str, everywhere: bool) -> Mapping[str, Any]:
        place = ["--all-namespaces"] if everywhere else self._namespace()
        text = self._run([*words, *place])
        return _object(text) if text.strip() else {}

    def _namespace(self) -> list[str]:
        return [f"--namespace={self.namespace}"] if self.namespace else []

    def _run(self, words: list[str], text: str | None = None) -> str:
        context = [f"--context={self.kube_context}"] if self.kube_context else []
        limited = [*words, f"--request-timeout={_SECONDS:g}s", *context]
        try:
            return run_kubectl(limited, given=text, seconds=_SECONDS * 2, longest=_MOST_CHARACTERS)
        except KubectlMissingError as problem:
            raise KubectlMissingError("kubectl is not on PATH: install it") from problem
        except KubectlError as problem:
            raise _error(str(problem)) from problem


def _error(said: str) -> SerinusError:
    sentence = said.splitlines()[-1].removeprefix("Error from server ")
    if "forbidden" in sentence.lower():
        return RefusedError(sentence)
    if any(words in sentence.lower() for words in _ABSENT):
        return NotFoundError(sentence)
    return TransientError(sentence)


def _objects(text: str) -> list[Mapping[str, Any]]:
    """Return JSON objects that follow each other: kubectl prints one for each that it creates."""
    found: list[Mapping[str, Any]] = []
    decoder, position = json.JSONDecoder(), 0
    text = text.strip()
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as problem:
            raise TransientError(f"the answer is not JSON: {problem}") from problem
        if not isinstance(value, dict):
            raise TransientError("the answer is not a JSON object")
        found.append(value)
        position += len(text[position:]) - len(text[position:].lstrip())
    return found


def _object(text: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise TransientError(f"the answer is not JSON: {problem}") from problem
    if not isinstance(answer, dict):
        raise TransientError("the answer is not a JSON object")
    return answer


def value_at(one: object, *path: str) -> Any:  # noqa: ANN401 - JSON
    """Return the value at a path of a JSON object; None where there is none."""
    for name in path:
        one = one.get(name) if isinstance(one, dict) else None
    return one


def text_at(one: object, *path: str) -> str:
    """Return the text at a path of a JSON object; empty where there is none."""
    found = value_at(one, *path)
    return found if isinstance(found, str) else ""


def members(holder: object, *path: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list at a path of a JSON object."""
    found = value_at(holder, *path)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

"""The objects that Rollouts name: those of the files first, then those of the cluster, as the user may see them.

Nothing that could not be asked counts as missing: each answer says which of the two it is.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from serinus.api.names import Kind
from serinus.api.schema import SUBDOMAIN, in_python
from serinus.cli.check.cluster import Cluster, text_at
from serinus.cli.lint.documents import Document
from serinus.errors import NotFoundError, RefusedError, SerinusError

Manifest: TypeAlias = Mapping[str, Any]

_MOST_NAMES: Final = 100
"""So many names go into one call of kubectl: a command line has an end."""

_NAME: Final = re.compile(in_python(SUBDOMAIN))
_KIND: Final = re.compile("[A-Za-z][A-Za-z0-9]*")
_CRD: Final = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Found:
    """The object is there.

    Attributes:
        manifest: the object.
        document: where the files have it; None where only the cluster has it.
    """

    manifest: Manifest
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """Neither the files nor the cluster have the object."""


@dataclass(frozen=True, slots=True)
class NotServed:
    """The API server has no such kind; ``kind`` is what was asked for."""

    kind: str


@dataclass(frozen=True, slots=True)
class NotAsked:
    """It is not known: ``why``, and what to do about it in ``remedy``."""

    why: str
    remedy: str


Answer: TypeAlias = Found | Absent | NotServed | NotAsked


def resource_of(kind: Kind) -> str:
    """Return how kubectl is asked for a kind, in exactly the version that the operator reads if one is given."""
    return ".".join(filter(None, (kind.plural or kind.kind, kind.version if kind.group else "", kind.group)))


class Objects:
    """Finds objects; each is asked for once."""

    def __init__(self, documents: Iterable[Document], cluster: Cluster, namespace: str) -> None:
        """Take the objects of the files.

        Args:
            documents: the objects.
            cluster: what to ask for the others.
            namespace: of objects that name none.
        """
        self._cluster, self._default = cluster, namespace
        self._files: dict[tuple[str, str, str, str], list[Document]] = {}
        self._brought: set[tuple[str, str]] = set()
        for document in documents:
            self._take(document)
        self._seen: dict[tuple[Kind, str, str], Manifest | None] = {}
        self._lists: dict[tuple[Kind, str, str], Sequence[Manifest] | NotServed | NotAsked] = {}
        self._failures: dict[tuple[Kind, str], NotServed | NotAsked] = {}

    def _take(self, document: Document) -> None:
        manifest = document.manifest
        group = text_at(manifest, "apiVersion").rpartition("/")[0]
        kind, name = text_at(manifest, "kind"), text_at(manifest, "metadata", "name")
        self._files.setdefault((group, kind, self.namespace_of(document), name), []).append(document)
        if kind == _CRD:
            self._brought.add((text_at(manifest, "spec", "group"), text_at(manifest, "spec", "names", "kind")))

    def namespace_of(self, document: Document) -> str:
        """Return the namespace that an object of the files is meant for."""
        return text_at(document.manifest, "metadata", "namespace") or self._default

    def load(self, kind: Kind, namespace: str, names: Collection[str]) -> None:
        """Ask the cluster for several objects at once."""
        wanted = sorted({name for name in names if _NAME.fullmatch(name)})
        wanted = [name for name in wanted if (kind, namespace, name) not in self._seen]
        if not _KIND.fullmatch(kind.kind) or (kind.group and not _NAME.fullmatch(kind.group)):
            self._failures[kind, namespace] = NotServed(resource_of(kind))
        for start in range(0, len(wanted), _MOST_NAMES):
            if (kind, namespace) in self._failures:
                return
            some = wanted[start : start + _MOST_NAMES]
            self._seen |= dict.fromkeys(((kind, namespace, name) for name in some), None)
            found = self._asked(kind, namespace, *some)
            if isinstance(found, NotServed | NotAsked):
                self._failures[kind, namespace] = found
                return
            self._seen |= {(kind, namespace, text_at(one, "metadata", "name")): one for one in found}

    def get(self, kind: Kind, namespace: str, name: str, beside: Document) -> Answer:
        """Return an object; the files of the folder of ``beside`` come first, then the other files."""
        self.load(kind, namespace, [name])
        failure = self._failures.get((kind, namespace))
        brought = (kind.group, kind.kind) in self._brought
        if isinstance(failure, NotServed) and not brought:
            return failure
        document = self._in_files(kind, namespace, name, beside)
        if document is not None:
            return Found(document.manifest, document)
        if failure is not None and not isinstance(failure, NotServed):
            return failure
        found = self._seen.get((kind, namespace, name))
        return Found(found) if found is not None else Absent()

    def _in_files(self, kind: Kind, namespace: str, name: str, beside: Document) -> Document | None:
        found = self._files.get((kind.group, kind.kind, namespace, name), [])
        own = (document for document in found if document.source.folder == beside.source.folder)
        return next(own, found[0] if found else None)

    def in_files(self, kind: Kind, namespace: str) -> list[Document]:
        """Return the objects of a kind that the files have for a namespace."""
        key = (kind.group, kind.kind, namespace)
        return [document for place, found in self._files.items() if place[:3] == key for document in found]

    def select(self, kind: Kind, namespace: str, selector: str = "") -> Sequence[Manifest] | NotServed | NotAsked:
        """Return the objects of the cluster that a selector of labels chooses, or all of a namespace."""
        key = (kind, namespace, selector)
        if key not in self._lists:
            self._lists[key] = self._asked(kind, namespace, *([f"--selector={selector}"] if selector else []))
        return self._lists[key]

    def _asked(self, kind: Kind, namespace: str, *words: str) -> Sequence[Manifest] | NotServed | NotAsked:
        cluster = Cluster(namespace, self._cluster.kube_context)
        try:
            return cluster.get(resource_of(kind), *words)
        except NotFoundError:
            return NotServed(resource_of(kind))
        except RefusedError:
            verb = "list" if any(word.startswith("--") for word in words) or not words else "get"
            return NotAsked(
                f"you may not {verb} {resource_of(kind)} in namespace {namespace}",
                "ask an administrator for this right, or let somebody check who has it",
            )
        except SerinusError as problem:
            return NotAsked(f"the API server did not answer: {problem}", "try again")

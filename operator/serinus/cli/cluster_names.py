"""What a shell may complete from the cluster: names of objects, as the user's own kubectl lists them."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import click

from serinus.api.names import MODEL, MODEL_LABEL, MODEL_VERSION, ROLLOUT, Kind
from serinus.cli.kubectl import KubectlError, Place, run_kubectl

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]

_SECONDS: Final = 3.0
"""Nobody waits longer for a completion."""

_MOST: Final = 1000


def rollouts(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the Rollouts in the namespace that is given before."""
    return _beginning(incomplete, _objects(ROLLOUT, ctx))


def models(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the Models; none for a registry without a cluster."""
    return _beginning(incomplete, _objects(MODEL, ctx) if _in_cluster(ctx) else ())


def versions(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the versions of the model that is given before."""
    model = str(ctx.params.get("model") or "")
    if not _in_cluster(ctx):
        return []
    namespace, _slash, name = model.rpartition("/")
    where = ["--namespace", namespace] if namespace else _place(ctx).words
    chosen = [f"--selector={MODEL_LABEL}={name}"] if name else []
    form = "--output=jsonpath={range .items[*]}{.spec.version}{'\\n'}{end}"
    return _beginning(incomplete, _asked(["get", _resource(MODEL_VERSION), *chosen, *where, form]))


def namespaces(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the namespaces of the cluster."""
    context = Place(kube_context=ctx.params.get("context")).words
    found = _asked(["get", "namespaces", *context, "--output=name"])
    return _beginning(incomplete, [name.rpartition("/")[2] for name in found])


def contexts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the contexts of the kubeconfig."""
    return _beginning(incomplete, _asked(["config", "get-contexts", "--output=name"]))


def _objects(kind: Kind, ctx: click.Context) -> list[str]:
    found = _asked(["get", _resource(kind), *_place(ctx).words, "--output=name"])
    return [name.rpartition("/")[2] for name in found]


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}"


def _place(ctx: click.Context) -> Place:
    params: dict[str, Any] = ctx.params
    return Place(namespace=params.get("namespace") or None, kube_context=params.get("context") or None)


def _in_cluster(ctx: click.Context) -> bool:
    return str(ctx.params.get("registry") or "kubernetes:").startswith("kubernetes:")


def _asked(words: list[str]) -> list[str]:
    """Return the lines that kubectl prints; none where it fails: a shell wants no errors."""
    request = [] if words[0] == "config" else ["--request-timeout=2s"]
    try:
        return run_kubectl([*words, *request], seconds=_SECONDS).splitlines()[:_MOST]
    except KubectlError:
        return []


def _beginning(begun: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(begun)]

# ruff: noqa: INP001, E501 - a script, in no package; the page has lines of its own length
"""Writes docs/reference/routers.md: what each router says that it can do, and what it was tested against."""

from collections.abc import Iterator
from typing import Final

from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.routers import load_router
from support.routers.planes import PLANES, Plane

_HEAD: Final = """# Routers

*Generated from the routers and their contract suite by `tools/generate_routers.py`; `make crds` writes it.*

A router sets the weights of one kind of object. `spec.route` of a Rollout names exactly one object, and the
administrator switches on the kinds that may be named: `config.routers` in the values of the chart. The operator watches
only these kinds, and has rights only on them. A Rollout that names another kind waits with the reason `RouterNotEnabled`.

Every router passes one contract suite (`tests/integration/routers/test_contract.py`) on a real API server:

- A write is one JSON Patch that is refused where the object has changed since it was read, and is then tried again: five
  times, twenty times where it takes traffic from a bad version. It changes our shares and nothing else.
- The first version is adopted from what the route serves. Backends that are not the model's keep their share.
- A share that somebody else writes is put right. After three corrections in a row the operator waits a minute between
  two (`RouteContested`), but takes traffic from a bad version at once.
- After an abort the new version has no traffic. "Safe" and "confirmed" are read from the object, never assumed.

A plan that asks for more than its router can do does not start: the reason is `BeyondRouter`, and the sentence names the
field.

## What each can do

"""

_TAIL: Final = """
- **Smallest share**: the smallest step of `traffic` in a stage.
- **Adds backends**: the operator adds the new version to the rule and removes those that are not needed. Otherwise the
  author of the object lists them, and the operator only sets shares.
- **Subsets**: several versions may share one Service as subsets of a DestinationRule.
- **Acceptance**: the controller of the data plane reports that it carries the object as it stands, and a stage waits for
  that. Where it does not report, the object and the observed share of the requests are what is known.
- **Mirror**: a stage may have [`mirror`](../how-to/shadow-traffic.md), which needs a managed route.
- **Header match**: whether the kind of route can match headers. No field of a Rollout asks for it yet.
- **Drift**: a share that somebody else changes is seen and put right.

## Guides

| Router | Guide |
|---|---|
| `httpRoute` | [Route with an HTTPRoute](../how-to/route-with-httproute.md), also to InferencePools |
| `grpcRoute` | [Route with a GRPCRoute](../how-to/route-with-grpcroute.md) |
| `virtualService` | [Route with an Istio VirtualService](../how-to/route-with-virtualservice.md) |
| `inferenceService` | [Route with a KServe InferenceService](../how-to/route-with-inferenceservice.md) |

## Add a router

A Python package adds a router by an entry point of the group `serinus.routers`, whose name is the field of `spec.route`.
It can replace the router of a kind above; new kinds need a release of Serinus, because the CRD lists them.
`serinus.routers.RouterFactory` is the type of the entry point.
"""


def _rows() -> Iterator[str]:
    yield (
        "| Router | Smallest share | Adds backends | Subsets | Acceptance | Mirror | Header match | Drift "
        "| Tested against |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for title, plane in PLANES.items():
        yield _row(title, plane, load_router(plane.kind.field).can)


def _row(title: str, plane: Plane, can: RouterCapabilities) -> str:
    router, _, variant = title.partition(", ")
    facts = (can.manages_backends, can.subsets, can.acceptance, can.mirror, can.header_match, can.drift)
    cells = (
        f"`{router}`{f', {variant}' if variant else ''}",
        f"{can.unit / 100:g}%",
        *("yes" if fact else "no" for fact in facts),
        plane.tested_on,
    )
    return f"| {' | '.join(cells)} |"


print(_HEAD + "\n".join(_rows()) + "\n" + _TAIL, end="")  # noqa: T201 - the page goes to standard output

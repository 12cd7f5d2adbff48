"""What a story has ended in: everything that people see, without times, numbers of revisions and the like."""

import asyncio
from typing import Any

from localcluster.api import Api, ApiError
from serinus.engine.audit.chain import Anchor, StoredRecord, verify_chain
from support.faultpoints.histories import weights_of
from support.faultpoints.stories import MODEL

Raw = dict[str, Any]


async def end_of(api: Api, namespace: str) -> tuple[Raw, list[str]]:
    """Return the end of a namespace's story, and what is wrong with its audit chain."""
    ours = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}"
    gateway = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}"
    rollout, route, versions, models, records = await asyncio.gather(
        _get(api, f"{ours}/rollouts/{MODEL}"),
        _get(api, f"{gateway}/httproutes/{MODEL}"),
        api.request("GET", f"{ours}/modelversions"),
        api.request("GET", f"{ours}/models"),
        api.request("GET", f"{ours}/auditrecords"),
    )
    assert route is not None, "nobody deletes the route"
    end = {
        "rollout": _rollout(rollout) if rollout is not None else None,
        "weights": {name: round(share, 4) for name, share in weights_of(route).items()},
        "versions": {one["spec"]["version"]: _version(one) for one in versions["items"]},
        "models": [_model(one) for one in models["items"]],
        "trail": sorted(_record(one["spec"]) for one in records["items"]),
    }
    return end, _chain_problems(records["items"], models["items"])


async def _get(api: Api, path: str) -> Raw | None:
    try:
        return await api.request("GET", path)
    except ApiError as problem:
        if problem.status == 404:
            return None
        raise


def _rollout(raw: Raw) -> Raw:
    status = raw.get("status", {})
    serving = {
        role: {name: status[role].get(name) for name in ("version", "weight", "backend")}
        for role in ("stable", "candidate")
        if status.get(role)
    }
    plain = ("phase", "run", "quarantined", "lastHandled", "lastKnownGood", "observedGeneration", "reason")
    rollback = status.get("rollback") or {}
    return {
        **serving,
        **{name: status.get(name) for name in plain},
        "stage": (status.get("stage") or {}).get("name"),
        "rollback": {name: rollback.get(name) for name in ("version", "to", "reason", "atWeight")},
        "safe": bool(rollback.get("trafficSafeAt")),
        "history": [(past["run"], past["version"], past["result"]) for past in status.get("history", [])],
        "waiting": len(status.get("records", [])),
        "finalizers": raw["metadata"].get("finalizers", []),
        "conditions": {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])},
    }


def _version(raw: Raw) -> Raw:
    status = raw.get("status", {})
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}
    return {name: status.get(name) for name in ("stage", "traffic", "yanked")} | {"conditions": conditions}


def _model(raw: Raw) -> Raw:
    status = raw.get("status", {})
    good = [one["version"] if isinstance(one, dict) else one for one in status.get("good", [])]
    plain = {"good": good, "quarantined": status.get("quarantined"), "generation": status.get("generation")}
    production = (status.get("production") or {}).get("version")
    return plain | {"production": production, "previous": (status.get("previous") or {}).get("version")}


def _record(spec: Raw) -> str:
    kept = {name: value for name, value in spec.items() if name in {"event", "version", "to", "traffic"}}
    return " ".join(f"{name}={kept[name]}" for name in sorted(kept))


def _chain_problems(records: list[Raw], models: list[Raw]) -> list[str]:
    stored = [StoredRecord(number_in(one["metadata"]["name"]), one["spec"]) for one in records]
    stored.sort(key=lambda one: one.sequence)
    head = models[0].get("status", {}).get("audit") if models else None
    end = Anchor(head["sequence"], head["hash"], "the head") if head else None
    return [f"{one.fault.value} {one.sequence}: {one.message}" for one in verify_chain(stored, end=end)]


def number_in(name: str) -> int:
    """Return the number that is in the name of a record."""
    return int(name.rpartition("-")[2])

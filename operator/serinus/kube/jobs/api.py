"""Runs integration tests as Kubernetes Jobs, and reads why their pods do not run."""

import math
from collections.abc import Mapping
from typing import Any, Final

from serinus.api.names import (
    API_VERSION,
    CONTENT_ANNOTATION,
    FIELD_MANAGER,
    JOB,
    POD,
    ROLLOUT_LABEL,
    RUN_LABEL,
    STAGE_ANNOTATION,
    TEST_ANNOTATION,
    ObjectKey,
)
from serinus.engine.rollout.actions import RunJobTest, TestRun
from serinus.errors import InvalidObjectError, RefusedError
from serinus.kube.answers import AlreadyExistsError
from serinus.kube.client import Requests
from serinus.kube.jobs.names import job_name
from serinus.kube.jobs.own import own_job_record
from serinus.kube.jobs.pods import pod_facts
from serinus.kube.kinds import collection_path, object_path
from serinus.ports.cluster_state import JobRecord, Meta, PodFacts

_TTL_SECONDS: Final = 3600
_DEFAULT_PORT: Final = 80
_MOST_PODS: Final = 10
_CONTROLLER_UID_LABEL: Final = "batch.kubernetes.io/controller-uid"


class ApiJobs:
    """Implements the port ``Jobs`` over the Kubernetes API."""

    def __init__(self, client: Requests) -> None:
        """Create Jobs with this client."""
        self._client = client

    async def ensure(self, owner: Meta, action: RunJobTest, noted: str = "") -> JobRecord:
        """Create the Job of this test unless it exists, and return it as it is now.

        ``noted`` is the uid of the Job that was created before; none is known after a restart.

        Raises:
            RefusedError: the template is not a JobTemplateSpec, the API server rejects the Job, or its name is taken by
                a Job that is not ours.
            AmbiguousError, NotFoundError, TransientError: see serinus.errors.
        """
        manifest, query = job_manifest(owner, action), {"fieldManager": FIELD_MANAGER}
        key = ObjectKey(owner.key.namespace, manifest["metadata"]["name"])
        exists = False
        try:
            raw = await self._client.request("POST", collection_path(JOB, key.namespace), body=manifest, query=query)
        except AlreadyExistsError:
            exists = True
            raw = await self._client.request("GET", object_path(JOB, key))
        try:
            job = own_job_record(raw)
        except InvalidObjectError as problem:
            raise RefusedError(f"Job {key} is in the way: {problem}; delete it") from problem
        if exists and noted not in {"", job.meta.uid}:
            raise RefusedError(f"Job {key} is in the way: it is not the one that Serinus created; delete it")
        return job

    async def pods(self, job: JobRecord) -> PodFacts:
        """Return what the pods of a Job show, ten of them at most.

        Raises:
            RefusedError: the service account may not list pods.
            NotFoundError, TransientError: see serinus.errors.
        """
        # By the Job's uid: the pods of a deleted Job of the same name may be there still.
        query = {"labelSelector": f"{_CONTROLLER_UID_LABEL}={job.meta.uid}", "limit": str(_MOST_PODS)}
        answer = await self._client.request("GET", collection_path(POD, job.meta.key.namespace), query=query)
        return pod_facts(job, answer.get("items") or ())


def job_manifest(owner: Meta, action: RunJobTest) -> dict[str, Any]:
    """Return the Job of a test.

    Raises:
        RefusedError: part of the template is malformed; the message names it.
    """
    identity, template = action.identity, action.test.template
    metadata = _mapping(template, "metadata", "template", missing={})
    spec = _mapping(template, "spec", "template")
    pod_template = _pod_template(spec, _environment(owner, identity))
    timeout = math.ceil(action.test.timeout.seconds)
    deadline = spec.get("activeDeadlineSeconds")
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": job_name(owner, identity),
            "namespace": owner.key.namespace,
            "labels": _mapping(metadata, "labels", "template.metadata", missing={})
            | {ROLLOUT_LABEL: owner.key.name, RUN_LABEL: str(identity.run)},
            "annotations": _mapping(metadata, "annotations", "template.metadata", missing={})
            | {STAGE_ANNOTATION: identity.stage, TEST_ANNOTATION: identity.test, CONTENT_ANNOTATION: identity.content},
            "ownerReferences": [_owner_reference(owner)],
        },
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": _TTL_SECONDS}
        | _replacing_disrupted_pods(pod_template)
        | spec
        | {
            "activeDeadlineSeconds": min(deadline, timeout) if isinstance(deadline, int) else timeout,
            "template": pod_template,
        },
    }


def _replacing_disrupted_pods(pod_template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has a pod replaced that was evicted, preempted or lost with its node: that says nothing of the test.

    The API server accepts it only where a pod never restarts its containers.
    """
    if pod_template["spec"]["restartPolicy"] != "Never":
        return {}
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"podFailurePolicy": {"rules": [rule]}}


def _owner_reference(owner: Meta) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Rollout",
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _environment(owner: Meta, identity: TestRun) -> dict[str, str]:
    host = f"{identity.backend.name}.{owner.key.namespace}.svc"
    port = identity.backend.port or _DEFAULT_PORT
    return {
        "SERINUS_CANDIDATE_URL": f"http://{host}:{port}",
        "SERINUS_CANDIDATE_HOST": host,
        "SERINUS_CANDIDATE_PORT": str(port),
        "SERINUS_MODEL": identity.model,
        "SERINUS_VERSION": identity.version,
        "SERINUS_ROLLOUT": owner.key.name,
        "SERINUS_STAGE": identity.stage,
        "SERINUS_RUN": str(identity.run),
    }


def _pod_template(spec: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    template = _mapping(spec, "template", "template.spec")
    pod = _mapping(template, "spec", "template.spec.template")
    containers = {
        part: [
            _with_environment(container, environment, f"template.spec.template.spec.{part}")
            for container in _members(pod, part)
        ]
        for part in ("initContainers", "containers")
        if part in pod
    }
    # The pod default, Always, is not allowed in a Job.
    return template | {"spec": {"restartPolicy": "Never"} | pod | containers}


def _with_environment(container: object, environment: Mapping[str, str], path: str) -> dict[str, Any]:
    if not isinstance(container, dict):
        raise RefusedError(f"{path} must hold objects, not {type(container).__name__}: write a JobTemplateSpec")
    own = _members(container, "env")
    names = {entry.get("name") for entry in own if isinstance(entry, dict)}
    added = [{"name": name, "value": value} for name, value in environment.items() if name not in names]
    return container | {"env": own + added}


def _members(parent: Mapping[str, Any], name: str) -> list[Any]:
    members = parent.get(name)
    if members is not None and not isinstance(members, list):
        raise RefusedError(f"{name} must be a list, not {type(members).__name__}: write a JobTemplateSpec")
    return list(members or ())


def _mapping(
    parent: Mapping[str, Any], name: str, path: str, *, missing: dict[str, Any] | None = None
) -> dict[str, Any]:
    mapping = parent.get(name, missing)
    if not isinstance(mapping, dict):
        raise RefusedError(f"{path}.{name} must be an object: write a JobTemplateSpec")
    return mapping

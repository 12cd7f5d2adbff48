"""Which Jobs are the operator's own: whoever may create Jobs may write its labels, and so an outcome of a test."""

from collections.abc import Mapping
from typing import Any

from serinus.errors import InvalidObjectError
from serinus.kube.jobs.names import name_of_job
from serinus.kube.jobs.record import job_record
from serinus.ports.cluster_state import JobRecord


def own_job_record(raw: Mapping[str, Any]) -> JobRecord:
    """Return the record of a Job that has exactly the name of the test that it says it is of.

    Raises:
        InvalidObjectError: it is malformed, or Serinus did not create it.
    """
    record = job_record(raw)
    expected = name_of_job(record.rollout, record.owner, record.run, record.stage, record.test, record.content)
    if record.meta.key.name != expected:
        raise InvalidObjectError(
            "metadata.name", f"the test's Job is named {expected}: Serinus did not create this Job"
        )
    return record

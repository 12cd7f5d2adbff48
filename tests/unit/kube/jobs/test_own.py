"""Only a Job with exactly the name of its test is the operator's own."""

from typing import Any

import pytest

from serinus.errors import InvalidObjectError
from serinus.kube.jobs.names import name_of_job
from serinus.kube.jobs.own import own_job_record
from serinus.kube.kinds import SOURCES
from serinus.ports.cluster_state import JobRecord
from support.kube.objects import metadata

CONTENT = "0123456789abcdef"
NAME = name_of_job("fraud-detector", "u-1", 12, "staging", "contract", CONTENT)
FORMER_NAME = name_of_job("fraud-detector", "u-1", 12, "staging", "contract")


def raw_job(  # one argument for each mark
    name: str = NAME, *, run: str = "12", stage: str = "staging", test: str = "contract", content: str = CONTENT
) -> dict[str, Any]:
    labels = {"serinus.dev/rollout": "fraud-detector", "serinus.dev/run": run}
    annotations = {"serinus.dev/stage": stage, "serinus.dev/test": test}
    if content:
        annotations["serinus.dev/test-content"] = content
    owner = {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "name": "fraud-detector",
        "uid": "u-1",
        "controller": True,
    }
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-01T10:00:00Z"}
    return {
        "metadata": metadata(name, labels=labels, annotations=annotations) | {"ownerReferences": [owner]},
        "status": {"conditions": [complete]},
    }


def test_the_job_of_a_test_is_recognised_by_its_name() -> None:
    record = own_job_record(raw_job())
    assert (record.owner, record.run, record.stage, record.test) == ("u-1", 12, "staging", "contract")
    assert record.content == CONTENT


def test_the_job_that_an_earlier_release_has_made_is_recognised_too() -> None:
    assert own_job_record(raw_job(FORMER_NAME, content="")).content == ""


@pytest.mark.parametrize(
    "forged",
    [
        raw_job("i-made-this-myself"),
        raw_job(f"{NAME}-2"),
        # A Job of ours whose marks were changed to those of another test, stage or run.
        raw_job(test="load"),
        raw_job(stage="canary"),
        raw_job(run="13"),
        raw_job(run="012x"),
        raw_job(content="another"),
        raw_job(content=""),
    ],
)
def test_a_job_with_the_marks_of_a_test_and_another_name_never_comes_in(forged: dict[str, Any]) -> None:
    with pytest.raises(InvalidObjectError, match="Serinus did not create this Job"):
        own_job_record(forged)


def test_the_watch_and_the_lists_go_by_the_name() -> None:
    assert [source.parse for source in SOURCES if source.record is JobRecord] == [own_job_record]

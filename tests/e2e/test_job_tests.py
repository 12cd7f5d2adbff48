"""A test that is a Job on a real node: one that cannot run holds the run, and a person who mends it lets it go on."""

from typing import Any

from serinus.api.rollout_status import StageState, TestResult
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import Place, condition

NO_IMAGE = "example.org/check:1"


def job_test(image: str, timeout: str = "30s") -> dict[str, Any]:
    container = {"name": "check", "image": image, "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"name": "contract", "job": {"timeout": timeout, "template": {"spec": {"template": {"spec": pod}}}}}


async def delete_job(place: Place) -> str:
    """Delete the one Job of the namespace and return its uid."""
    (job,) = await place.all("Job")
    path = f"{place.path('Job')}/{job['metadata']['name']}"
    await place.api.request("DELETE", path, {"propagationPolicy": "Background"})
    return str(job["metadata"]["uid"])


async def test_an_image_that_cannot_be_pulled_holds_the_run_with_the_pods_reason_until_it_is_mended(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(job_test(NO_IMAGE)), canary(), production()), STABLE, GOOD)
    async with place.traffic():
        await place.want(GOOD)
        await place.until(lambda seen: "ErrImagePull" in seen.status.next_action, what="the pod's reason")
        # The reason is in the status: the pod is gone when the deadline comes, and this process is another one.
        await operator.kill()
        await operator.start()
        held = await place.until(lambda seen: seen.status.reason == "TestNotRun", what="the deadline")

        assert (held.rollback, held.quarantined) == (None, ())
        assert "says nothing of 2.0.0" in held.next_action
        assert NO_IMAGE in held.next_action
        assert condition(held, "Stalled") == ("True", "TestNotRun")
        assert NO_IMAGE in await place.until_event("TestNotRun")

        stages = [staging(job_test("localhost/process")), canary(), production()]
        await place.api.merge(f"{place.path('Rollout')}/{MODEL}", {"spec": {"stages": stages}})
        await delete_job(place)
        status = await place.until_ended(GOOD)
    assert (status.stable.version if status.stable else None, status.run) == (GOOD, 1)
    told = await place.events()
    assert [reason for reason, _ in told if reason.startswith("Test")] == ["TestNotRun"]
    # That it has passed is told with the stage's end, of the same moment.
    assert any(reason == "AnalysisPassed" and "Stage staging passed. Test " in note for reason, note in told)


async def test_a_job_that_somebody_deletes_is_reported_and_created_once_more(
    operator: OperatorControl, place: Place
) -> None:
    slow = job_test("localhost/process", timeout="5m")
    slow["job"]["template"]["spec"]["template"]["spec"]["containers"][0]["command"] = ["sleep", "1000"]
    await place.stand((staging(slow), canary(), production()), STABLE, GOOD)
    await place.want(GOOD)
    await place.until_stage("staging", StageState.TESTING)

    first = await delete_job(place)
    await place.until_event("TestJobGone")
    (again,) = await place.all("Job")
    assert again["metadata"]["uid"] != first
    await delete_job(place)

    status = await place.until(lambda seen: seen.status.reason == "TestNotRun", what="the second loss")
    assert (status.tests[0].result, status.tests[0].lost, status.quarantined) == (TestResult.NOT_RUN, 2, ())
    assert await place.all("Job") == []

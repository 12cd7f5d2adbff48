"""What ``kubectl get`` and kstatus read of a status is there, also before anybody has written it."""

from typing import Any, Final

import pytest
from msgspec import Struct
from msgspec.structs import fields

from serinus.api import crd
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.parsing import decode, encode
from serinus.api.rollout_status import RolloutStatus

_STATUS: Final[dict[str, type[Struct]]] = {
    "rollouts.yaml": RolloutStatus,
    "modelversions.yaml": ModelVersionStatus,
}


def _version(file: str) -> dict[str, Any]:
    found: dict[str, Any] = crd.definitions()[file]["spec"]["versions"][0]
    return found


def _status(file: str) -> dict[str, Any]:
    schema: dict[str, Any] = _version(file)["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


@pytest.mark.parametrize("file", _STATUS)
def test_a_column_is_not_empty_where_the_status_leaves_out_a_default(file: str) -> None:
    left_out = {
        field.encode_name: str(field.default)
        for field in fields(_STATUS[file])
        if isinstance(field.default, str) and field.default
    }
    version = _version(file)
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    paths += [field["jsonPath"] for field in version["selectableFields"]]
    members = _status(file)["properties"]
    shown = {name: members[name].get("default") for name in left_out if f".status.{name}" in paths}

    assert shown == {name: left_out[name] for name in shown}


def test_a_rollout_without_a_status_is_pending() -> None:
    assert _status("rollouts.yaml")["properties"]["phase"]["default"] == RolloutStatus().phase.value == "Pending"


@pytest.mark.parametrize("file", _STATUS)
def test_a_status_that_nobody_has_written_is_of_no_generation_and_is_read(file: str) -> None:
    default = _status(file)["default"]

    assert default == {"observedGeneration": -1}
    assert encode(decode(_STATUS[file], default, "status")) == default

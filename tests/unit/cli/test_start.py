"""What the operator and the commands of people on call load at their start."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.screens import a_status, an_object, rolled_back
from support.scripted_kubectl import scripted_kubectl


def test_the_operator_loads_boto3_only_where_something_is_in_s3_or_dynamodb() -> None:
    code = "import sys, serinus.cli.run; print(sorted({'boto3', 'botocore', 'mlflow', 'jinja2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


_HEAVY = ("numpy", "jinja2", "kubernetes", "kopf", "boto3", "starlette", "prometheus_client")
"""Together they take a second to load."""
_RUN = """
import sys
from serinus.cli.main import main
main({words!r})
print(*sorted({heavy!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["status", "fraud"], ["list"], ["history", "fraud"], ["explain", "fraud"]])
def test_what_an_engineer_on_call_asks_loads_nothing_heavy(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = scripted_kubectl(tmp_path, monkeypatch)
    for status in (a_status(), rolled_back()):
        found = an_object(status)
        kubectl.returns({"items": [found]} if words == ["list"] else found)
        code = _RUN.format(words=words, heavy=set(_HEAVY))
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert ran.stdout
        assert ran.stderr.strip() == ""

"""What the operator loads at its start."""

import subprocess
import sys


def test_the_operator_loads_boto3_only_where_something_is_in_s3_or_dynamodb() -> None:
    code = "import sys, serinus.cli.run; print(sorted({'boto3', 'botocore', 'mlflow', 'jinja2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"

"""A kubectl for the demo that says what a test has prepared, and notes what it was asked."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from demo.cluster import Kubectl

_KUBECTL: Final = """#!{python}
import json, sys
words = " ".join(sys.argv[1:])
with open("{folder}/asked", "a") as asked:
    print(words, file=asked)
for beginning, answer in json.load(open("{folder}/answers")).items():
    if words.startswith(beginning):
        print(answer)
        break
"""


def kubectl_that_says(folder: Path, answers: Mapping[str, object]) -> Kubectl:
    """Return a program that prints the answer to the first beginning of a command line that fits."""
    texts = {words: answer if isinstance(answer, str) else json.dumps(answer) for words, answer in answers.items()}
    (folder / "answers").write_text(json.dumps(texts), encoding="utf-8")
    (folder / "asked").touch()
    program = folder / "kubectl"
    program.write_text(_KUBECTL.format(python=sys.executable, folder=folder), encoding="utf-8")
    program.chmod(0o755)
    return Kubectl(program, {"KUBECONFIG": str(folder / "kubeconfig")})


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text(encoding="utf-8").splitlines()

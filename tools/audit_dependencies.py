# ruff: noqa: INP001 - a script outside any package
"""``make audit``: what can be told of the dependencies: pinned by hash, under a known licence, none withdrawn.

Whether a version has a known vulnerability is asked of an advisory database by ``pip-audit``, which is run where it is
installed. Without it, or where no database answers, the last line says that this was not checked.
"""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

RUN_LOCK: Final = Path("requirements-run.lock")
LOCKS: Final = (Path("requirements.lock"), RUN_LOCK, Path("requirements-build.lock"))

LICENCES: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0"),
        *("MPL-2.0", "PSF-2.0", "Zlib"),
    }
)
"""SPDX identifiers of the licences that the operator's dependencies may have: all let it be used and passed on."""

_SPELLINGS: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_PIN: Final = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_WITHDRAWN: Final = re.compile(r"yanked version: .*")


class Pin(NamedTuple):
    """One entry of a lock: exactly one version, with the hashes of its files."""

    name: str
    version: str
    hashes: int


class LockError(Exception):
    """A lock has an entry that is not one version with hashes."""


def pins(lock: Path) -> list[Pin]:
    """Return the entries of a lock.

    Raises:
        LockError: an entry is not pinned to one version, or has no SHA-256.
    """
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    found = []
    for line in filter(str.strip, text.splitlines()):
        match = _PIN.match(line)
        hashes = len(_HASH.findall(line))
        if match is None or not hashes:
            raise LockError(f"{lock}: {line[:80].strip()!r} needs one version and its SHA-256")
        found.append(Pin(match[1].lower(), match[2], hashes))
    return found


def licences(name: str) -> frozenset[str]:
    """Return the SPDX identifiers of an installed distribution; what is not known stays as it is written.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    facts = metadata.metadata(name)
    expression = facts.json.get("license_expression")
    if isinstance(expression, str):
        return frozenset(
            word for word in re.split(r"[\s()]+", expression) if word and word not in {"AND", "OR", "WITH"}
        )
    classifiers = [one.rpartition(" :: ")[2] for one in facts.get_all("Classifier") or () if one.startswith("License")]
    written = str(facts.json.get("license", ""))
    # A text such as "Dual License" says less than the classifiers.
    told = [written] if _SPELLINGS.get(written, written) in LICENCES else classifiers or [written]
    return frozenset(_SPELLINGS.get(one, one) for one in told)


def problems_of_licences() -> list[str]:
    """Return which of the operator's dependencies that are installed here have a licence that is not in the list."""
    problems = []
    for name in sorted({pin.name for pin in pins(RUN_LOCK)}):
        try:
            others = licences(name) - LICENCES
        except metadata.PackageNotFoundError:
            continue  # of another platform
        if others:
            problems.append(f"{name} is under {', '.join(sorted(others)) or 'no known licence'}")
    return problems


def withdrawn() -> list[str]:
    """Have pip find every locked file in the registry; return what it says of withdrawn (yanked) versions.

    Raises:
        LockError: a file with a locked hash is not in the registry any more.
    """
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", "--no-cache-dir", "--quiet"]
    done = subprocess.run(  # noqa: S603 - this environment's own pip
        [sys.executable, "-m", "pip", "install", *options, "--requirement", str(RUN_LOCK)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LockError(done.stderr.strip()[-2000:])
    return _WITHDRAWN.findall(done.stderr)


def vulnerabilities() -> tuple[list[str], str]:
    """Return the known vulnerabilities, and why they are not known; the one or the other is empty or both are."""
    program = shutil.which("pip-audit")
    if program is None:
        return [], "pip-audit is not installed"
    done = subprocess.run(  # noqa: S603 - found above
        [program, "--disable-pip", "--require-hashes", "--format", "json", "--requirement", str(RUN_LOCK)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], "no advisory database answers"
    found = [f"{one['name']} {one['version']}: {bug['id']}" for one in answers for bug in one.get("vulns", ())]
    unknown = [one["name"] for one in answers if "skip_reason" in one]
    return found, f"the advisory database does not know {', '.join(unknown)}" if unknown else ""


def main() -> int:
    """Print what was found and return the exit status: 1 where something is wrong."""
    try:
        number = sum(len(pins(lock)) for lock in LOCKS)
        problems = [*problems_of_licences(), *withdrawn()]
    except LockError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    bugs, unknown = vulnerabilities()
    sys.stderr.writelines(f"{problem}\n" for problem in (*problems, *bugs))
    told = "" if problems else ", each under a licence of the list and none withdrawn"
    sys.stdout.write(f"{number} entries of {len(LOCKS)} locks are one version with its SHA-256 each.\n")
    sys.stdout.write(f"{len(pins(RUN_LOCK))} of them are the operator's{told}.\n")
    checked = (
        f"Known vulnerabilities: {len(bugs)}." if not unknown else f"Known vulnerabilities NOT checked: {unknown}."
    )
    sys.stdout.write(f"{checked}\n")
    return 1 if problems or bugs else 0


if __name__ == "__main__":
    sys.exit(main())

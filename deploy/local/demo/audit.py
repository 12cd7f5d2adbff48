"""The last act: an auditor's questions, answered with the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.acts import Scene
from demo.cluster import Kubectl
from demo.errors import DemoError
from demo.manifests import FAILING, GOOD, SLOW
from demo.observe import wait_for
from demo.oncall import SERINUS
from demo.result import Claim
from serinus.api.names import ObjectKey

_RECORDED_SECONDS: Final = 20.0
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The audit trail of the demo.

    Attributes:
        verified: output of ``serinus audit verify``.
        records: every record of this demo as ``(event, version)``, in order.
        actors: who the records say acted.
        expected: who should have acted: who asked for every version, and the operator, which did the rest.
        report: path of the audit report.
    """

    verified: str
    records: tuple[tuple[str, str], ...]
    actors: frozenset[str]
    expected: frozenset[str]
    report: Path

    def claims(self) -> list[Claim]:
        """Return the claims about the audit trail."""
        ends = [record for record in self.records if record[0] in {"Promoted", "RolledBack"}]
        expected = [("Promoted", GOOD.number), ("RolledBack", SLOW.number), ("RolledBack", FAILING.number)]
        return [
            Claim("serinus audit verify finds the chain whole", self.verified.startswith("ok: "), self.verified),
            Claim("the audit trail has one promotion and two rollbacks", ends == expected, str(ends)),
            Claim("every record says who acted", self.actors == self.expected, self._acted()),
            Claim("the audit report is written", self.report.is_file(), str(self.report)),
        ]

    def _acted(self) -> str:
        acted = ", ".join(sorted(self.actors))
        return acted if self.actors == self.expected else f"{acted}; expected {', '.join(sorted(self.expected))}"


async def newest_record(kubectl: Kubectl, key: ObjectKey) -> int:
    """Return the number of the newest record of a model: an earlier demo in the same cluster has left its trail.

    Raises:
        DemoError: kubectl failed.
    """
    found = json.loads(await kubectl.run(["get", "auditrecords", "-n", key.namespace, "-o", "json"]))
    specs = [one["spec"] for one in found["items"] if one["spec"]["model"] == key.name]
    return max((spec["sequence"] for spec in specs), default=0)


def since(raws: Sequence[Mapping[str, Any]], newest: int) -> list[Mapping[str, Any]]:
    """Return the records that came after the one of this number."""
    return [raw for raw in raws if raw["sequence"] > newest]


async def audit(scene: Scene, folder: Path, newest: int) -> AuditFacts:
    """Read and verify the audit trail and write the audit report.

    Args:
        scene: of the demo.
        folder: for the report.
        newest: the number of the last record from before this demo.

    Raises:
        DemoError: a command failed, or the last rollback was not recorded in time.
    """
    serinus = Kubectl(SERINUS, scene.kubectl.environment)
    settings = scene.settings
    model = (settings.key.name, "-n", settings.namespace)
    shown_model = " ".join(model)

    async def read() -> list[Mapping[str, Any]]:
        lines = (await serinus.run(["audit", "log", *model, "-o", "json"])).splitlines()
        return since([json.loads(line) for line in lines], newest)

    last = ("RolledBack", FAILING.number)
    what = "a record of the last rollback"
    raws = await wait_for(read, lambda raws: last in map(_subject, raws), within=_RECORDED_SECONDS, what=what)
    await scene.show("get", "mdl,mv", "-n", settings.namespace)
    output = await serinus.run(["audit", "log", *model])
    shown = "\n".join(output.splitlines()[-_SHOWN:])
    scene.terminal.command(f"serinus audit log {shown_model} | tail -n {_SHOWN}", shown)
    verified = await _verify(serinus, model)
    scene.terminal.command(f"serinus audit verify {shown_model}", verified)
    page = folder / "report.html"
    await serinus.run(["report", *model, "-o", str(page)])
    scene.terminal.command(f"serinus report {shown_model} -o {page}", f"{page.stat().st_size:,} bytes")
    actors = frozenset(raw["actor"]["name"] for raw in raws)
    return AuditFacts(verified.strip(), tuple(map(_subject, raws)), actors, settings.actors, page)


def _subject(raw: Mapping[str, Any]) -> tuple[str, str]:
    return raw["event"], raw.get("version", "")


async def _verify(serinus: Kubectl, model: tuple[str, ...]) -> str:
    try:
        return await serinus.run(["audit", "verify", *model])
    except DemoError as problem:
        return str(problem)

"""The last act: what an auditor would ask a year later, asked at once through the command line."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.acts import Scene
from demo.cluster import Kubectl
from demo.errors import DemoError
from demo.fraud import MODEL
from demo.manifests import FAILING, GOOD, NAMESPACE, SLOW
from demo.observe import wait_for
from demo.result import Claim

_RECORDED_SECONDS: Final = 20.0
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """What the audit trail says of the demo.

    Attributes:
        verified: what ``serinus audit verify`` printed.
        records: every record as ``(event, version)``, in order.
        report: the auditor's page.
    """

    verified: str
    records: tuple[tuple[str, str], ...]
    report: Path

    def claims(self) -> list[Claim]:
        """Return what must hold of it."""
        told = [record for record in self.records if record[0] in {"Promoted", "RolledBack"}]
        wanted = [("Promoted", GOOD.number), ("RolledBack", SLOW.number), ("RolledBack", FAILING.number)]
        return [
            Claim("serinus audit verify finds the chain whole", self.verified.startswith("ok: "), self.verified),
            Claim("the audit trail tells of one promotion and two rollbacks", told == wanted, str(told)),
            Claim("the auditor's page is written", self.report.is_file(), str(self.report)),
        ]


async def audit(scene: Scene, folder: Path) -> AuditFacts:
    """Read and verify the audit trail and write the auditor's page.

    Raises:
        DemoError: a command failed, or the last rollback was not recorded in time.
    """
    program = Path(sys.executable).with_name("serinus")
    serinus = Kubectl(program, scene.kubectl.environment)
    where = (MODEL, "-n", NAMESPACE)

    async def look() -> tuple[tuple[str, str], ...]:
        lines = (await serinus.run(["audit", "log", *where, "-o", "json"])).splitlines()
        raws = [json.loads(line) for line in lines]
        return tuple((raw["event"], raw.get("version", "")) for raw in raws)

    last = ("RolledBack", FAILING.number)
    what = "a record of the last rollback"
    records = await wait_for(look, lambda found: last in found, within=_RECORDED_SECONDS, what=what)
    await scene.show("get", "mdl,mv", "-n", NAMESPACE)
    output = await serinus.run(["audit", "log", *where])
    shown = "\n".join(output.splitlines()[-_SHOWN:])
    scene.terminal.command(f"serinus audit log {MODEL} -n {NAMESPACE} | tail -n {_SHOWN}", shown)
    verified = await _verify(serinus, where)
    scene.terminal.command(f"serinus audit verify {MODEL} -n {NAMESPACE}", verified)
    page = folder / "report.html"
    await serinus.run(["report", *where, "-o", str(page)])
    scene.terminal.command(f"serinus report {MODEL} -n {NAMESPACE} -o {page}", f"{page.stat().st_size:,} bytes")
    return AuditFacts(verified.strip(), records, page)


async def _verify(serinus: Kubectl, where: tuple[str, ...]) -> str:
    try:
        return await serinus.run(["audit", "verify", *where])
    except DemoError as problem:
        return str(problem)

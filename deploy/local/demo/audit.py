"""The last act: an auditor's questions, answered with the command line."""

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
    """The audit trail of the demo.

    Attributes:
        verified: output of ``serinus audit verify``.
        records: every record as ``(event, version)``, in order.
        report: path of the audit report.
    """

    verified: str
    records: tuple[tuple[str, str], ...]
    report: Path

    def claims(self) -> list[Claim]:
        """Return the claims about the audit trail."""
        ends = [record for record in self.records if record[0] in {"Promoted", "RolledBack"}]
        expected = [("Promoted", GOOD.number), ("RolledBack", SLOW.number), ("RolledBack", FAILING.number)]
        return [
            Claim("serinus audit verify finds the chain whole", self.verified.startswith("ok: "), self.verified),
            Claim("the audit trail has one promotion and two rollbacks", ends == expected, str(ends)),
            Claim("the audit report is written", self.report.is_file(), str(self.report)),
        ]


async def audit(scene: Scene, folder: Path) -> AuditFacts:
    """Read and verify the audit trail and write the audit report.

    Raises:
        DemoError: a command failed, or the last rollback was not recorded in time.
    """
    program = Path(sys.executable).with_name("serinus")
    serinus = Kubectl(program, scene.kubectl.environment)
    model = (MODEL, "-n", NAMESPACE)

    async def read() -> tuple[tuple[str, str], ...]:
        lines = (await serinus.run(["audit", "log", *model, "-o", "json"])).splitlines()
        raws = [json.loads(line) for line in lines]
        return tuple((raw["event"], raw.get("version", "")) for raw in raws)

    last = ("RolledBack", FAILING.number)
    what = "a record of the last rollback"
    records = await wait_for(read, lambda records: last in records, within=_RECORDED_SECONDS, what=what)
    await scene.show("get", "mdl,mv", "-n", NAMESPACE)
    output = await serinus.run(["audit", "log", *model])
    shown = "\n".join(output.splitlines()[-_SHOWN:])
    scene.terminal.command(f"serinus audit log {MODEL} -n {NAMESPACE} | tail -n {_SHOWN}", shown)
    verified = await _verify(serinus, model)
    scene.terminal.command(f"serinus audit verify {MODEL} -n {NAMESPACE}", verified)
    page = folder / "report.html"
    await serinus.run(["report", *model, "-o", str(page)])
    scene.terminal.command(f"serinus report {MODEL} -n {NAMESPACE} -o {page}", f"{page.stat().st_size:,} bytes")
    return AuditFacts(verified.strip(), records, page)


async def _verify(serinus: Kubectl, model: tuple[str, ...]) -> str:
    try:
        return await serinus.run(["audit", "verify", *model])
    except DemoError as problem:
        return str(problem)

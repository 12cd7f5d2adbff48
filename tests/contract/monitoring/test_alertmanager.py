"""A rolled-back Rollout reaches the engineer on call: through a real Prometheus, its rules and a real Alertmanager."""

from pathlib import Path
from typing import Final

from serinus.api.rollout_status import Phase, RolloutStatus, Serving
from serinus.telemetry.rollout_series import RolloutExposition, RolloutFigures
from support.prometheus.server import Exporter, Prometheus
from support.records import rollout
from support.servers.alertmanager import Alertmanager, Webhook
from support.virtual_loop import START

RULES: Final = Path(__file__).resolve().parents[3] / "deploy/monitoring/alerts.yaml"
PATIENCE: Final = 60.0


def metrics(phase: Phase) -> str:
    """What the operator shows of one Rollout, and of itself."""
    exposition = RolloutExposition(START)
    stable = Serving(version="1.0.0", weight=100, since=START)
    exposition.add(RolloutFigures(rollout(status=RolloutStatus(phase=phase, stable=stable))))
    process = 'serinus_build_info{version="test"} 1\nserinus_leader 1\n'
    return b"".join(exposition.parts()).decode() + process


def test_a_rollback_is_told_with_its_runbook_and_told_again_when_it_is_over(tmp_path: Path) -> None:
    with Webhook() as hook, Alertmanager(tmp_path / "alertmanager", hook.url) as alertmanager, Exporter() as exporter:
        exporter.text = metrics(Phase.ROLLED_BACK)
        alerting = f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager.target}']}}]}}]}}\n"
        with Prometheus(
            tmp_path / "prometheus",
            targets=[exporter.target],
            # Alertmanager is discovered after the first evaluation: what was sent to nobody must come again soon.
            options=["--rules.alert.resend-delay=1s"],
            more_config=f"rule_files: ['{RULES}']\n{alerting}",
        ):
            firing = hook.next(within=PATIENCE)
            exporter.text = metrics(Phase.HEALTHY)
            over = hook.next(within=PATIENCE)

    (alert,) = firing["alerts"]
    assert firing["status"] == "firing"
    assert (
        alert["labels"].items()
        >= {
            "alertname": "SerinusRolledBack",
            "severity": "warning",
            "namespace": "ml",
            "name": "fraud",
        }.items()
    )
    assert alert["annotations"]["summary"] == "ml/fraud was rolled back"
    assert "kubectl describe mro fraud -n ml" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith("/SerinusRolledBack")
    assert over["status"] == "resolved"
    assert over["alerts"][0]["labels"] == alert["labels"]

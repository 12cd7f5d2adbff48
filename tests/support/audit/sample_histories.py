"""Complete histories: minimal, a year with every kind of event, a decade, and one with hostile texts."""

from msgspec import structs

from serinus.api.audit_record import AuditEvent
from support.audit.history_builder import History
from support.audit.specs import ALICE, BOB, ERRORS, NOBODY

SCHEMA_MINOR = {"inputs.merchant_risk": "I1 minor a client that does not send it is served with its default"}
SCHEMA_MAJOR = {
    "inputs.amount.dtype": "I7 major a client that sends float64 is refused by float32",
    "outputs.score.range": "O9 minor no client sees a value that it did not expect",
}


def a_first_version() -> History:
    """One adopted version: the minimal history."""
    return History().register("1.0.0").verify_artifact("1.0.0").adopt("1.0.0").wait(days=30)


def a_year() -> History:
    """Twelve versions with two rollbacks, a waiver, a drift, a rollback by hand and a run under way."""
    history = History().register("2.0.0").verify_artifact("2.0.0").adopt("2.0.0").wait(days=12)
    for minor in range(1, 5):
        version = f"2.{minor}.0"
        history.register(version, details=SCHEMA_MINOR).verify_artifact(version).promote(version).wait(days=17 + minor)
    history.register("2.4.1").verify_artifact("2.4.1").breach("2.4.1", "2.4.0").wait(days=2)
    history.register("2.4.2").verify_artifact("2.4.2").promote("2.4.2", actor=ALICE).wait(days=9)
    history.record(
        AuditEvent.TRAFFIC_DRIFT_CORRECTED,
        "2.4.2",
        stage="production",
        message="The route's weights were changed by kubectl-edit: put right.",
    )
    history.wait(days=8).register("2.5.0", details=SCHEMA_MAJOR)
    history.record(
        AuditEvent.SCHEMA_WAIVED,
        "2.5.0",
        actor=ALICE,
        reason="The only client sends float32 already; agreed in change 1187.",
        details=SCHEMA_MAJOR,
    )
    history.verify_artifact("2.5.0").promote("2.5.0", approver=NOBODY).wait(days=21)
    history.register("2.5.1").verify_artifact("2.5.1").breach("2.5.1", "2.5.0", value="3.4%", condition=ERRORS)
    history.wait(hours=5)
    history.record(
        AuditEvent.QUARANTINE_LIFTED, "2.5.1", actor=ALICE, reason="The errors came from the feature store, now mended."
    )
    history.promote("2.5.1").wait(days=30)
    history.register("2.6.0", artifact={"uri": "s3://models/fraud/2.6.0.onnx"}, trainingData=[]).promote("2.6.0")
    history.wait(days=6)
    history.record(AuditEvent.ROLLED_BACK, "2.6.0", to="2.5.1", actor=NOBODY, reason="Complaints from the call centre.")
    history.wait(days=14).register("2.6.1", details=SCHEMA_MINOR).verify_artifact("2.6.1").promote("2.6.1").wait(
        days=25
    )
    history.register("2.7.0", details=SCHEMA_MINOR).verify_artifact("2.7.0").start("2.7.0")
    history.shift("2.7.0", "canary", "5%").wait(minutes=52)
    return history


def many_versions(number: int = 150) -> History:
    """A history as long as a busy team's decade: every eighth version is rolled back."""
    history = History().register("1.0.0").verify_artifact("1.0.0").adopt("1.0.0").wait(days=3)
    good = "1.0.0"
    for count in range(1, number):
        version = f"{1 + count // 40}.{count // 4 % 10}.{count % 4}"
        details = SCHEMA_MINOR if count % 4 == 0 else {}
        history.register(version, details=details).verify_artifact(version)
        if count % 8 == 5:
            history.breach(version, good)
        else:
            history.promote(version, approver=NOBODY if count % 30 == 7 else BOB)
            good = version
        history.wait(days=3 + count % 5, hours=count % 11)
    return history


HOSTILE = "<script>alert(1)</script> | `x` [a](http://evil.example) \u202e\x07 \"q\" 's' & {{ 7 * 7 }}\n# heading"


def a_hostile_history() -> History:
    """Every text that comes from outside is hostile."""
    history = History()
    governance = {
        "owner": HOSTILE,
        "purpose": HOSTILE,
        "modelCard": "javascript:alert(1)",
        "validationReport": "http://evil.example/x",
    }
    history.register("1.0.0", governance=governance, changes=HOSTILE, details={"inputs.a": f"I1 minor {HOSTILE}"})
    history.adopt("1.0.0")
    mallory = structs.replace(NOBODY, name=HOSTILE)
    history.register("1.1.0").start(
        "1.1.0", actor=mallory, plan=[{"name": HOSTILE, "traffic": HOSTILE, HOSTILE: HOSTILE}]
    )
    history.record(
        AuditEvent.TRAFFIC_DRIFT_CORRECTED, "1.1.0", stage=HOSTILE[:40], actor=mallory, reason=HOSTILE, message=HOSTILE
    )
    return history

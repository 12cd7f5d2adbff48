"""Random plans, and random versions that are good or bad in truth."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from support.soak.facts import Quality
from support.soak.traffic import GOOD

ERRORS: Final = "error_rate > 1%"
SLOW: Final = "latency_p95 > 200ms"
COMPARED: Final = "error_rate > stable + 2%"

QUALITIES: Final[tuple[tuple[float, Quality], ...]] = (
    (0.50, GOOD),
    (0.08, Quality("fails outright", errors=1.0, slow=0.005)),
    (0.10, Quality("fails often", errors=0.2, slow=0.005)),
    (0.08, Quality("slow", errors=0.001, slow=0.6)),
    (0.10, Quality("gets worse", errors=0.2, slow=0.005, good_for=1.0)),
    (0.08, Quality("at the border", errors=0.013, slow=0.03)),
    (0.06, replace(GOOD, name="fails its tests", passes_tests=False)),
)
"""With the chance of each."""


def draw_quality(rng: np.random.Generator, watch: float) -> Quality:
    """Return what a new version is in truth; ``watch`` is how long a run lasts, in seconds."""
    chances = np.array([chance for chance, _ in QUALITIES])
    quality = QUALITIES[int(rng.choice(len(QUALITIES), p=chances / chances.sum()))][1]
    if quality.good_for:
        quality = replace(quality, good_for=float(rng.uniform(0.05, 0.8)) * watch)
    return quality


def draw_stages(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a plan of two to four stages."""
    tested = {"tests": [{"name": "contract", "http": {"path": "/ready"}}]} if rng.random() < 0.5 else {}
    conditions = [ERRORS, *([SLOW] if rng.random() < 0.8 else [])]
    compared = [*conditions, *([COMPARED] if rng.random() < 0.3 else [])]
    few = {"minRequests": int(rng.integers(50, 400))} if rng.random() < 0.4 else {}
    stages: list[dict[str, Any]] = [{"name": "staging", "traffic": "0%", **tested}]
    stages.append(
        {
            "name": "canary",
            "traffic": str(rng.choice(["1%", "5%", "10%", "20%"])),
            "duration": f"{int(rng.integers(15, 46))}m",
            "abortOn": compared,
            **few,
        }
    )
    if rng.random() < 0.4:
        ramp = {"name": "ramp", "traffic": "50%", "duration": f"{int(rng.integers(10, 31))}m", "abortOn": compared}
        stages.append(ramp)
    approval = {"approval": "Required"} if rng.random() < 0.2 else {}
    bake = f"{int(rng.integers(10, 31))}m"
    stages.append({"name": "production", "traffic": "100%", "bake": bake, "abortOn": conditions, **approval})
    return stages


def draw_rate(rng: np.random.Generator) -> float:
    """Return a model's requests a second: from 2 to 200, most of them around 20."""
    return float(np.clip(rng.lognormal(3.0, 1.0), 2.0, 200.0))

"""The bounds that the documentation gives, as the oracle uses them. Seconds, requests, and shares from 0 to 1."""

from typing import Final

from support.soak.traffic import SCRAPE

TICK: Final = SCRAPE / 3
"""Design, section 5: the tick is a third of the scrape interval."""

SAFE_BY_COMMAND: Final = 15.0
"""An abort is taken at once; a call that times out takes 10 s, and no pause between two tries is longer than 2 s."""

SAFE_BY_EVIDENCE: Final = 2 * TICK + 30.0
"""A query that fails is asked again with the next tick; then as above, with two calls that time out."""

NO_ENDPOINTS: Final = 30.0
"""Law 4: a candidate without ready endpoints loses its traffic after 30 s."""

ANSWERED: Final = 60.0
"""Law 7: until a command is acknowledged."""

SHOWN: Final = 120.0
"""Until the status shows what the route carries, or somebody else's weights are put right."""

WRITTEN_DOWN: Final = 180.0
"""Until the registry has a record of what the status says."""

SETTLED: Final = 1800.0
"""Until a run begins of which nothing is missing."""

FALSE_ABORTS: Final = 0.01
"""Statistics, the promise: at most 1 % of the runs of a tolerable version end in an abort."""

FAR: Final = 5.0
"""A version whose rate is this many times the limit is far above it."""

_REQUESTS: Final = ((40.0, 240, 1_200), (10.0, 1_000, 5_000), (FAR, 4_000, 12_000))
"""Statistics, regressions: by the ratio to the limit, four times the median requests until the breach, below one
request a second and above it, where several ticks are one block."""


def requests_for_a_breach(ratio: float, requests_a_scrape: float) -> float:
    """Return after how many requests a version that far above its limit must have been found."""
    for least, slow, fast in _REQUESTS:
        if ratio >= least:
            # One scrape is one block: the evidence is only read with the whole of it.
            return (slow if requests_a_scrape / SCRAPE < 1 else fast) + 2 * requests_a_scrape
    return float("inf")

"""The verdict on one condition, and the causes of an unknown verdict."""

from enum import StrEnum


class Verdict(StrEnum):
    """What the evidence says of one condition."""

    PASS = "Pass"  # noqa: S105 - no password
    BREACH = "Breach"
    UNKNOWN = "Unknown"


class Cause(StrEnum):
    """Why a verdict is Unknown."""

    NO_TRAFFIC = "NoTraffic"
    TOO_FEW_REQUESTS = "TooFewRequests"
    UNDECIDED = "Undecided"
    NO_SERIES = "NoSeries"
    STALE = "Stale"
    SCRAPE_INTERVAL_WRONG = "ScrapeIntervalWrong"
    NAN = "NaN"
    AMBIGUOUS = "Ambiguous"
    PROVIDER_DOWN = "ProviderDown"
    QUERY_INVALID = "QueryInvalid"

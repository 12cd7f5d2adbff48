"""The result of verifying an artifact."""

from dataclasses import dataclass
from enum import StrEnum


class ArtifactResult(StrEnum):
    """The outcome of one verification."""

    VERIFIED = "Verified"
    MISSING = "Missing"
    SIZE_DIFFERS = "SizeDiffers"
    DIGEST_DIFFERS = "DigestDiffers"
    NO_DIGEST = "NoDigest"
    """The ModelVersion names no digest: only existence and size could be checked."""
    UNSUPPORTED = "Unsupported"
    """No store is configured for this scheme, or the location is not allowed."""
    COULD_NOT_ASK = "CouldNotAsk"
    """The store was unavailable, or the artifact changed while it was read."""


@dataclass(frozen=True, slots=True)
class ArtifactFinding:
    """The outcome of one verification, with a full sentence for people."""

    result: ArtifactResult
    message: str

    @property
    def final(self) -> bool:
        """Whether a retry would give the same result."""
        return self.result is not ArtifactResult.COULD_NOT_ASK

"""What came of looking at an artifact's bytes."""

from dataclasses import dataclass
from enum import StrEnum


class ArtifactResult(StrEnum):
    """What came of looking at an artifact."""

    VERIFIED = "Verified"
    MISSING = "Missing"
    SIZE_DIFFERS = "SizeDiffers"
    DIGEST_DIFFERS = "DigestDiffers"
    NO_DIGEST = "NoDigest"
    """The ModelVersion names no digest, so only that it is there, and its size, could be checked."""
    UNSUPPORTED = "Unsupported"
    """No store is configured for this scheme, or it is not allowed."""
    COULD_NOT_ASK = "CouldNotAsk"


@dataclass(frozen=True, slots=True)
class ArtifactFinding:
    """What is known of an artifact, in a full sentence; ``final`` means that asking again tells nothing new."""

    result: ArtifactResult
    message: str

    @property
    def final(self) -> bool:
        """Whether asking again is of no use."""
        return self.result is not ArtifactResult.COULD_NOT_ASK

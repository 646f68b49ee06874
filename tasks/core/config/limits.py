"""What changes the speed of a run, and nothing else: no part of a sample's key."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ServiceTier(StrEnum):
    """How urgent a request is, and what it costs: https://ai.google.dev/gemini-api/docs/flex-inference."""

    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"


class Patience(BaseModel):
    """Of a run that does not say otherwise. `busy_seconds`: of 429s for one row, while others are answered."""

    model_config = ConfigDict(frozen=True)

    timeout_seconds: float = 180
    give_up_seconds: float = 900
    max_attempts: int = 5
    busy_seconds: float = 3600


# Answers of flex take 1 to 15 minutes, and 503 and 429 are how it says that it is busy.
FLEX_PATIENCE = Patience(timeout_seconds=900, give_up_seconds=3600, max_attempts=10, busy_seconds=14_400)


def patience_of(tier: ServiceTier | None) -> Patience:
    return FLEX_PATIENCE if tier is ServiceTier.FLEX else Patience()


class LimitsConfig(Patience):
    """What changes the speed of a run, and nothing else."""

    max_concurrent: int
    rpm: int | None = None
    tpm: int | None = None
    grace_seconds: float = 10
    allow_missing_images: bool = False

"""What changes the speed of a run, and nothing else: no part of a sample's key."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ServiceTier(StrEnum):
    """How urgent a request is, and what it costs: https://ai.google.dev/gemini-api/docs/flex-inference."""

    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"


class Patience(BaseModel):
    """Of a run that does not say otherwise."""

    model_config = ConfigDict(frozen=True)

    timeout_seconds: float = 180
    give_up_seconds: float = 900
    max_attempts: int = 5


# Answers of flex take 1 to 15 minutes, and 503 and 429 are how it says that it is busy.
FLEX_PATIENCE = Patience(timeout_seconds=900, give_up_seconds=3600, max_attempts=10)


def patience_of(tier: ServiceTier | None) -> Patience:
    return FLEX_PATIENCE if tier is ServiceTier.FLEX else Patience()


class LimitsConfig(BaseModel):
    """What changes the speed of a run, and nothing else."""

    model_config = ConfigDict(frozen=True)

    max_concurrent: int
    timeout_seconds: float
    rpm: int | None = None
    tpm: int | None = None
    give_up_seconds: float = 900
    max_attempts: int = 5
    grace_seconds: float = 10
    allow_missing_images: bool = False

"""What changes the speed of a run, and nothing else: no part of a sample's key."""

from pydantic import BaseModel, ConfigDict


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

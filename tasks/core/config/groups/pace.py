"""How fast a run goes, and how long it waits."""

from pydantic import Field

from tasks.core.config.groups.base import Parameters


class PaceParameters(Parameters):
    """pace"""

    max_concurrent: int = Field(10, ge=1, le=10_000, description="Requests in flight at most.")
    rpm: int | None = Field(None, ge=1, description="Requests a minute at most.")
    tpm: int | None = Field(None, ge=1, description="Prompt tokens a minute at most, as Gemini counts them.")
    save_every: int = Field(10, ge=1, le=10_000, description="Samples per persisted chunk.")
    timeout_seconds: float = Field(180, gt=0, le=3600, description="Longest wait for one answer, in seconds.")
    max_attempts: int = Field(5, ge=1, le=20, description="Attempts per row, as far as other rows are answered.")
    give_up_seconds: float = Field(
        900, gt=0, description="Stop the run after this long without a single answer, in seconds."
    )
    grace_seconds: float = Field(
        10, ge=0, le=3600, description="After Ctrl+C, how long to wait for answers on their way, in seconds."
    )

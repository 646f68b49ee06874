"""How fast a run goes, and how long it waits."""

from pydantic import Field

from tasks.core.config.groups.base import Parameters
from tasks.core.config.limits import FLEX_PATIENCE, Patience


def _unless_set(name: str) -> str:
    return f"Default: {getattr(Patience(), name):g}; with service tier flex {getattr(FLEX_PATIENCE, name):g}."


class PaceParameters(Parameters):
    """speed and limits"""

    max_concurrent: int = Field(10, ge=1, le=10_000, description="Requests in flight at most.")
    rpm: int | None = Field(None, ge=1, description="Requests a minute at most.")
    tpm: int | None = Field(None, ge=1, description="Prompt tokens a minute at most, as Gemini counts them.")
    save_every: int = Field(10, ge=1, le=10_000, description="Samples per persisted chunk.")
    timeout_seconds: float | None = Field(
        None, gt=0, le=3600, description=f"Longest wait for one answer, in seconds. {_unless_set('timeout_seconds')}"
    )
    max_attempts: int | None = Field(
        None,
        ge=1,
        le=20,
        description=f"Attempts per row, as far as other rows are answered. {_unless_set('max_attempts')}",
    )
    give_up_seconds: float | None = Field(
        None,
        gt=0,
        description="Stop the run after this long without a single answer, in seconds. "
        + _unless_set("give_up_seconds"),
    )
    grace_seconds: float = Field(
        10, ge=0, le=3600, description="After Ctrl+C, how long to wait for answers on their way, in seconds."
    )

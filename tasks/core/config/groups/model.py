"""Which model answers, and how. All of it is part of a sample's key; see generation.py."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tasks.core.config.generation import MediaResolution
from tasks.core.config.groups.base import Parameters


def _one_candidate(generation_config: dict[str, Any]) -> dict[str, Any]:
    for name in ("candidateCount", "candidate_count"):
        if (count := generation_config.get(name, 1)) not in (1, None):
            raise ValueError(f"{name} {count!r} would be paid for and thrown away: a row has one answer")
    return generation_config


class ModelParameters(Parameters):
    """model"""

    model: str = Field("gemini-3.5-flash-lite", pattern=r"^[\w./@:-]+$", description="Any Gemini model name.")
    generation_config: Annotated[dict[str, Any], AfterValidator(_one_candidate)] = Field(
        {}, description='Gemini\'s generationConfig as JSON, such as {"temperature": 0}.'
    )
    media_resolution: MediaResolution | None = Field(
        None, description="How finely Gemini looks at media: low, medium, high or ultra_high."
    )

"""What a run may do to cost less. No part of a sample's key: the answers are the same."""

from pydantic import Field

from tasks.core.config.groups.base import Parameters
from tasks.core.config.limits import ServiceTier


class CostParameters(Parameters):
    """cost"""

    service_tier: ServiceTier | None = Field(
        None, description="flex: half price, answers within 15 minutes, often busy; also standard and priority."
    )
    cache_prefix: bool = Field(
        False, description="Let Gemini keep a long system instruction or beginning of the template for all rows."
    )

"""What shapes an answer beside the sample itself: part of its key. Nothing here changes only speed or price."""

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict


class MediaResolution(StrEnum):
    """How finely Gemini looks at media; the finer, the more tokens."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    ULTRA_HIGH = "ultra_high"


class GenerateConfig(BaseModel):
    """What shapes an answer beside the sample itself."""

    model_config = ConfigDict(frozen=True)

    model: str
    system_instruction: str | None = None
    generation_config: dict[str, Any] = {}
    demo: bool = False  # answers that are made up are no answers of the model
    media_resolution: MediaResolution | None = None

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits; equal for settings that ask for the same answers."""
        unset = {name for name in ("demo", "media_resolution") if not getattr(self, name)}  # as before there were any
        text = json.dumps(self.model_dump(exclude=unset), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def with_system_instruction(self, text: str) -> "GenerateConfig":
        """The same but for that. Made anew: `model_copy` would take the fingerprint along."""
        return type(self)(**self.model_dump() | {"system_instruction": text})

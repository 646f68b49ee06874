"""What shapes an answer beside the sample itself: part of its key. Nothing here changes only speed or price."""

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.core.config.limits import ServiceTier

SHAPES_NO_ANSWER = ("labels", "store")  # of a request's body


_OF_CHOICES = {"type", "enum", "title", "description"}


class MediaResolution(StrEnum):
    """How finely Gemini looks at media; the finer, the more tokens."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    ULTRA_HIGH = "ultra_high"


class ResponseSchema(BaseModel):
    """`document`: JSON Schema, as it is sent. `type_name`: `module:Name`, where it was drawn from a Python type."""

    model_config = ConfigDict(frozen=True)

    document: dict[str, Any]
    type_name: str = ""

    @property
    def choices(self) -> list[str]:
        """The words of which an answer is one; none where it is JSON."""
        found = self.document.get("enum") or []
        is_plain = self.document.get("type") == "string" and self.document.keys() <= _OF_CHOICES
        return found if is_plain and all(isinstance(word, str) for word in found) else []


class GenerateConfig(BaseModel):
    """What shapes an answer beside the sample itself."""

    model_config = ConfigDict(frozen=True)

    model: str
    system_instruction: str | None = None
    generation_config: dict[str, Any] = {}
    demo: bool = False  # answers that are made up are no answers of the model
    media_resolution: MediaResolution | None = None
    request_body: dict[str, Any] = {}  # what is sent beside contents, system instruction and generationConfig
    service_tier: ServiceTier | None = None  # of the price alone
    response_schema: ResponseSchema | None = None

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits; equal for settings that ask for the same answers."""
        body = {name: value for name, value in self.request_body.items() if name not in SHAPES_NO_ANSWER}
        settings = self.model_dump(exclude={"service_tier", "response_schema"}) | {"request_body": body}
        settings["response_schema"] = self.response_schema.document if self.response_schema else None
        for name in (
            "demo",
            "media_resolution",
            "request_body",
            "response_schema",
        ):  # fingerprints are older than these
            if not settings[name]:
                del settings[name]
        return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()

    def with_system_instruction(self, text: str) -> "GenerateConfig":
        """The same but for that. Made anew: `model_copy` would take the fingerprint along."""
        return type(self)(**self.model_dump() | {"system_instruction": text})

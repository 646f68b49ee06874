"""Which model answers, and how. All of it is part of a sample's key, but what shapes no answer; see generation.py."""

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tasks.core.config.api_settings import Json, Tool, number, safety_settings, safety_word, thinking_word, tool_list
from tasks.core.config.generation import MediaResolution, ResponseSchema
from tasks.core.config.groups.base import Parameters, Text, split_at_commas
from tasks.core.config.json_value import object_or_file
from tasks.core.config.merging import in_body, merged, one_candidate, with_thinking

_SCHEMA = ("responseMimeType", "responseSchema", "responseJsonSchema")
_JsonObject = Annotated[dict[str, Any], BeforeValidator(object_or_file)]


class ModelParameters(Parameters):
    """model"""

    model: str = Field("gemini-3.5-flash-lite", pattern=r"^[\w./@:-]+$", description="Any Gemini model name.")
    temperature: float | None = Field(None, ge=0, le=2, description="How far answers vary; 0: as little as can be.")
    max_output_tokens: int | None = Field(None, ge=1, description="Tokens of an answer at most, thoughts included.")
    seed: int | None = Field(
        None, ge=-(2**31), lt=2**31, description="Where the model's choices begin: the same for the same answers."
    )
    thinking: Annotated[str | None, BeforeValidator(thinking_word)] = Field(
        None, description="Thinking: tokens at most (0 for none, -1 as the model likes), or a level such as low."
    )
    safety: Annotated[str | None, AfterValidator(safety_word)] = Field(
        None, description="Safety filters: off, or thresholds such as HARASSMENT=BLOCK_ONLY_HIGH, comma between."
    )
    tools: Annotated[list[Tool], BeforeValidator(split_at_commas)] = Field(
        [], description="What the model may use: google_search, url_context, code_execution; comma between."
    )
    media_resolution: MediaResolution | None = Field(
        None, description="How finely Gemini looks at media: low, medium, high or ultra_high."
    )
    response_schema: Text = Field(
        None, description="What an answer has to be: a JSON Schema, a file with one, or module:PydanticModel."
    )
    generation_config: Annotated[_JsonObject, AfterValidator(one_candidate)] = Field(
        {}, description='Gemini\'s generationConfig, for whatever has no flag: JSON such as {"topK": 1}, or a file.'
    )
    request_body: Annotated[_JsonObject, AfterValidator(in_body)] = Field(
        {}, description="What is merged into each request, such as toolConfig and labels: JSON, or a file."
    )

    @cached_property
    def schema_read(self) -> ResponseSchema | None:
        """The schema, read from where it is.

        Raises:
            InputError: it cannot be read, or is none.
        """
        if not self.response_schema:
            return None
        from tasks.core.config.response_schema import read_schema  # which takes time that most runs need not spend

        return read_schema(self.response_schema)

    @property
    def whole_generation_config(self) -> Json:
        """`generation_config` with what flags add to it, as if it had stood there."""
        flags = {
            "temperature": ("--temperature", number(self.temperature)),
            "maxOutputTokens": ("--max-output-tokens", self.max_output_tokens),
            "seed": ("--seed", self.seed),
        }
        if self.media_resolution:  # which is written by its own rule: see gemini/body.py
            merged(self.generation_config, "--generation-config", {"mediaResolution": ("--media-resolution", True)})
        if self.response_schema:  # so is this
            merged(self.generation_config, "--generation-config", dict.fromkeys(_SCHEMA, ("--response-schema", True)))
        return with_thinking(merged(self.generation_config, "--generation-config", flags), self.thinking)

    @property
    def whole_request_body(self) -> Json:
        """`request_body` with what flags add to it."""
        flags = {
            "safetySettings": ("--safety", safety_settings(self.safety)),
            "tools": ("--tools", tool_list(self.tools)),
        }
        return merged(self.request_body, "--request-body", flags)

    @model_validator(mode="after")
    def _say_nothing_twice(self) -> Self:
        _ = self.whole_generation_config, self.whole_request_body
        return self

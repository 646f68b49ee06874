"""All parameters, once: the command line, the flow's signature and the form in the Prefect UI come from here.

What changes answers (`generation`) is kept apart from what changes only speed (`limits`).
"""

import json
from typing import Self

from pydantic import model_validator

from tasks.core.config.batch import Mode
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.groups.base import Parameters
from tasks.core.config.groups.batch import BatchParameters
from tasks.core.config.groups.checkpoint import CheckpointParameters
from tasks.core.config.groups.cost import CostParameters
from tasks.core.config.groups.data import DataParameters
from tasks.core.config.groups.model import ModelParameters
from tasks.core.config.groups.pace import PaceParameters
from tasks.core.config.groups.prompt import PromptParameters
from tasks.core.config.groups.result import ResultParameters
from tasks.core.config.groups.run import RunParameters
from tasks.core.config.limits import LimitsConfig, patience_of

BATCH_ROWS = 5_000


# Fields come in the order of the groups from the last to the first.
class RunConfig(
    RunParameters,
    CheckpointParameters,
    ResultParameters,
    BatchParameters,
    CostParameters,
    PaceParameters,
    ModelParameters,
    PromptParameters,
    DataParameters,
):
    """Everything a run can be told. Keys never appear here: they come from the environment."""

    @model_validator(mode="after")
    def _one_cache(self) -> Self:
        if self.cache_prefix and "cachedContent" in self.request_body:
            raise ValueError(
                "--cache-prefix and cachedContent in --request-body: a request uses one cache; leave one out"
            )
        return self

    def with_files_read(self) -> "RunConfig":
        """The same, with the texts of files in place of their names: it is of use where the files are not."""
        texts = {"system_instruction": self.system_text, "prompt_template": self.template_text}
        kept = {name: f"@{text}" if text.startswith("@") else text for name, text in texts.items() if text}
        schema = {"response_schema": json.dumps(self.schema_read.document)} if self.schema_read else {}
        return type(self).model_validate(self.model_dump() | kept | schema)

    @property
    def rows_per_chunk(self) -> int:
        """Samples of a chunk: where they may go out as batch jobs as many as one has, unless they are large."""
        return self.save_every if self.mode is Mode.ONLINE else BATCH_ROWS

    @property
    def generation(self) -> GenerateConfig:
        given = self.model_dump(include=set(GenerateConfig.model_fields))
        made = {
            "system_instruction": self.system_text,
            "generation_config": self.whole_generation_config,
            "request_body": self.whole_request_body,
            "response_schema": self.schema_read,
        }
        return GenerateConfig(**given | made)

    @property
    def limits(self) -> LimitsConfig:
        given = self.model_dump(include=set(LimitsConfig.model_fields), exclude_none=True)
        return LimitsConfig(**patience_of(self.service_tier).model_dump() | given)


GROUPS: tuple[type[Parameters], ...] = (
    DataParameters,
    PromptParameters,
    ModelParameters,
    PaceParameters,
    CostParameters,
    BatchParameters,
    ResultParameters,
    CheckpointParameters,
    RunParameters,
)

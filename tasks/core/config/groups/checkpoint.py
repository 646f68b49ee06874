"""What a run takes of the answers that are there, and which rows go on."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from tasks.core.config.groups.base import Parameters, split_at_commas
from tasks.core.records import Kind


class CheckpointParameters(Parameters):
    """checkpoint"""

    resume: bool = Field(False, description="Continue from the checkpoint.")
    retry_errors: Annotated[list[Kind], BeforeValidator(split_at_commas)] = Field(
        [], description="With resume: kinds of finished rows to send again, such as blocked,image."
    )
    dedupe: bool = Field(True, description="Send one request for all rows that ask the same.")
    allow_missing_images: bool = Field(
        False, description="Go on where the first images all fall away for one reason, with the text alone."
    )

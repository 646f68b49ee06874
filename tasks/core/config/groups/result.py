"""What a run writes, and where."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from tasks.core.config.groups.base import Parameters, split_at_commas


class ResultFormat(StrEnum):
    """What the table may be written as beside CSV and Parquet."""

    JSONL = "jsonl"
    XLSX = "xlsx"


class ResultParameters(Parameters):
    """output"""

    output_dir: str = Field("result", min_length=1, description="Folder the CSV goes to.")
    format: Annotated[list[ResultFormat], BeforeValidator(split_at_commas)] = Field(
        [], description="Further forms of the table beside the CSV and the Parquet file: jsonl, xlsx, or both."
    )
    push_to_hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="Data set of the Hub, ORG/NAME, that the result is pushed to, with its media; made private.",
    )
    push_public: bool = Field(False, description="The pushed data set may be read by everybody.")
    excel: bool = Field(
        False, description="A second CSV, for Excel: it opens as UTF-8, and no text in it is a formula."
    )
    columns: bool = Field(False, description="The fields of --response-schema as columns of the CSV, after its own.")

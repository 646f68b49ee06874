"""What a run continues, and where it runs."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from tasks.core.config.groups.base import Parameters, split_at_commas
from tasks.core.records import Kind


class TaskRunnerKind(StrEnum):
    """What runs the chunks of a run."""

    LOCAL = "local"
    DASK = "dask"
    RAY = "ray"


class RunParameters(Parameters):
    """run"""

    resume: bool = Field(False, description="Continue from the checkpoint.")
    retry_errors: Annotated[list[Kind], BeforeValidator(split_at_commas)] = Field(
        [], description="With resume: kinds of finished rows to send again, such as blocked,image."
    )
    dedupe: bool = Field(True, description="Send one request for all rows that ask the same.")
    allow_missing_images: bool = Field(
        False, description="Go on where the first images all fall away for one reason, with the text alone."
    )
    task_runner: TaskRunnerKind = Field(
        TaskRunnerKind.LOCAL, description="Where chunks run: in this process, or on a dask or ray cluster."
    )
    task_runner_address: str | None = Field(
        None, description="Address of a running dask or ray cluster; without one, a local one is started."
    )
    demo: bool = Field(False, description="Run on bundled samples against a local emulator: no key, no network.")

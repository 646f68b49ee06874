"""Where a run runs."""

from enum import StrEnum

from pydantic import Field

from tasks.core.config.groups.base import Parameters


class TaskRunnerKind(StrEnum):
    """What runs the chunks of a run."""

    LOCAL = "local"
    DASK = "dask"
    RAY = "ray"


class RunParameters(Parameters):
    """server"""

    task_runner: TaskRunnerKind = Field(
        TaskRunnerKind.LOCAL, description="Where chunks run: in this process, or on a dask or ray cluster."
    )
    task_runner_address: str | None = Field(
        None, description="Address of a running dask or ray cluster; without one, a local one is started."
    )

"""The task that finds the data set. Wiring only; the work is in core/data."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.config.parameters import RunConfig
from tasks.core.data.data_files import named, results_among
from tasks.core.data.sources import DatasetRef, resolve


@task(name="resolve_dataset", task_run_name="find the data set", cache_policy=NO_CACHE, persist_result=False)
def resolve_dataset(config: RunConfig, found: DatasetRef | None = None) -> DatasetRef:
    """The data set with its columns checked, unless it is `found` already. See sources.resolve for mistakes."""
    ref = found or resolve(config)
    if Path(ref.dataset).is_dir() and (results := results_among(ref.dataset)):
        get_run_logger().warning("Not read as data: %d results of earlier runs (%s)", len(results), named(results))
    for notice in ref.columns.notices:
        get_run_logger().warning(notice)
    return ref

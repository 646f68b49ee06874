"""Where chunks run: in this process, or on a Dask or Ray cluster, by one setting. Knows nothing of rows or answers.

A cluster's processes get a chunk by reference and read its rows themselves, so they need this project, the data, the
keys and the result storage; see deployments/README.md.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.futures import PrefectWrappedFuture
from prefect.task_runners import TaskRunner

from flows.runners.signals import handled
from tasks.answer_chunk import stop_here
from tasks.core.answering.run import Run
from tasks.core.config.groups.run import TaskRunnerKind
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError


def _not_there(address: str | None, error: Exception) -> InputError:
    return InputError(f"--task-runner-address {address}: {error}", type(error).__name__)


@contextmanager
def task_runner_of(config: RunConfig, chunks_at_once: int) -> Iterator[TaskRunner[Any]]:
    """The started task runner that tasks of the running flow are submitted to in this block.

    `chunks_at_once`: what a process of a local Dask cluster takes; a Ray process takes one chunk at a time.

    Raises:
        InputError: nothing answers at the cluster's address.
    """
    context = FlowRunContext.get()
    assert context is not None
    if config.task_runner is TaskRunnerKind.LOCAL:
        yield context.task_runner
        return
    start = _dask if config.task_runner is TaskRunnerKind.DASK else _ray
    runner, options = start(config.task_runner_address, chunks_at_once)
    with _connected(runner, config), context.model_copy(update={"task_runner": runner}), options:
        yield runner


type _Started = tuple[TaskRunner[Any], AbstractContextManager[object]]


def _dask(address: str | None, chunks_at_once: int) -> _Started:
    from prefect_dask.task_runners import DaskTaskRunner

    logging.getLogger("distributed").setLevel(logging.WARNING)
    if address:
        return DaskTaskRunner(address=address), nullcontext()
    cluster = {"n_workers": os.cpu_count(), "threads_per_worker": chunks_at_once, "dashboard_address": None}
    return DaskTaskRunner(cluster_kwargs=cluster), nullcontext()


def _ray(address: str | None, chunks_at_once: int) -> _Started:
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options

    settings = {"log_to_driver": False} if address else {"log_to_driver": False, "include_dashboard": False}
    return RayTaskRunner(address=address, init_kwargs=settings), remote_options(max_retries=0)


def stop_chunks(runner: TaskRunner[Any], futures: Iterable[PrefectWrappedFuture[Any, Any]], run: Run) -> set[UUID]:
    """Let nothing more go out: chunks at work end and keep what has arrived. Returns task runs that never start."""
    if hasattr(runner, "client"):
        runner.client.run(stop_here, run)
        at_work = {key for keys in runner.client.processing().values() for key in keys}
        waiting = [f for f in futures if f.wrapped_future.key not in at_work and not f.wrapped_future.done()]
        runner.client.cancel([future.wrapped_future for future in waiting])
        return {future.task_run_id for future in waiting}
    import ray

    for future in futures:
        ray.cancel(future.wrapped_future)
    return set()  # Ray says of each what became of it


@contextmanager
def _connected(runner: TaskRunner[Any], config: RunConfig) -> Iterator[None]:
    try:
        # A local cluster's processes ignore Ctrl+C for as long as they live: the run tells them to stop.
        with handled(signal.SIG_IGN, signal.SIGINT):
            runner.__enter__()
            _ = getattr(runner, "client", None)  # Dask connects when it is first asked for
    except (OSError, ConnectionError, ValueError) as error:
        raise _not_there(config.task_runner_address, error) from None
    with _exiting(runner.__exit__):
        yield


@contextmanager
def _exiting(leave: Callable[..., object]) -> Iterator[None]:
    try:
        yield
    finally:
        leave(None, None, None)

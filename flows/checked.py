"""A run whose parameters, environment and data are checked: once, before anything is sent.

The command line checks before it starts the flow, and hands on what it has found, so that nothing is looked at twice
and no revision moves in between. A run that a deployment started has nothing handed on, and checks here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from prefect import get_run_logger

from flows.preflight import check, with_environment
from tasks.core.config.parameters import RunConfig
from tasks.core.data.sources import DatasetRef
from tasks.core.environment.open_files import make_room


@dataclass(frozen=True, slots=True)
class Checked:
    """`config`: with what the environment adds. `data`: None where nobody has looked for it yet."""

    config: RunConfig
    data: DatasetRef | None = None


# Not a parameter of the flow: each of those is a field of the form in the UI.
_handed_on: ContextVar[Checked | None] = ContextVar("checked", default=None)


@contextmanager
def handing_on(checked: Checked) -> Iterator[None]:
    """A flow that is called in this block, with `checked.config` as its parameters, takes the rest from `checked`."""
    token = _handed_on.set(checked)
    try:
        yield
    finally:
        _handed_on.reset(token)


def checked_run(config: RunConfig) -> Checked:
    """What was handed on for `config`, or else `config` checked now, with a line in the log for each finding.

    Raises:
        InputError: see `with_environment` and `check`.
    """
    found = _handed_on.get()
    if found and found.config == config:
        return found
    config = with_environment(config)
    for line in check(config):
        get_run_logger().warning(line)
    return Checked(config)


def within_open_files(config: RunConfig) -> RunConfig:
    """`config` with no more requests in flight than this process, or one of its children, may have connections."""
    if config.task_runner_address:  # somebody else's processes
        return config
    wanted = config.max_concurrent
    fit = make_room(wanted, per_request=2 if config.demo else 1)  # in a demo the API's end is here as well
    if fit < wanted:
        get_run_logger().warning(
            "--max-concurrent %d: the limit on open files (ulimit -n) has room for %d requests in flight; %d it is",
            *(wanted, fit, fit),
        )
    return config.model_copy(update={"max_concurrent": fit})

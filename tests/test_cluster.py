"""Mistakes with a Dask or Ray cluster are told in one line before anything starts. See also test_cluster_runs.py."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from flows import preflight
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refusal(**parameters: Any) -> str:
    with pytest.raises(InputError) as refused:
        preflight._check_task_runner(RunConfig.model_validate(parameters))
    return refused.value.line


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_missing_extra_is_told_with_the_command_that_installs_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages are large, so they are extras."""
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    assert refusal(task_runner=kind) == f"--task-runner {kind} needs prefect-{kind}: uv sync --extra {kind}"


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "tcp://127.0.0.1:{}", "ray://127.0.0.1:{}"])
@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_an_address_where_nothing_listens_is_told_at_once(kind: str, form: str, port: int) -> None:
    """Ray by itself would try for minutes."""
    preflight._check_task_runner(
        RunConfig.model_validate({"task_runner": kind, "task_runner_address": form.format(port)})
    )
    nowhere = form.format(9)
    assert refusal(task_runner=kind, task_runner_address=nowhere).startswith(
        f"ConnectionRefusedError: --task-runner-address {nowhere}: "
    )


def test_an_address_that_is_none_is_told() -> None:
    """A port is a number."""
    assert refusal(task_runner="dask", task_runner_address="host:many").startswith("--task-runner-address")


def test_an_address_without_a_cluster_is_a_mistake() -> None:
    """It would be ignored without a word."""
    assert refusal(task_runner_address="127.0.0.1:1") == (
        "--task-runner-address 127.0.0.1:1: needs --task-runner dask or ray"
    )


def test_an_address_without_a_port_is_left_to_the_cluster() -> None:
    """Such as Ray's own word for the cluster of this machine."""
    preflight._check_task_runner(RunConfig.model_validate({"task_runner": "ray", "task_runner_address": "auto"}))

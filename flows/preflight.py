"""What is checked before every run, cheapest first. Must not import Prefect, nor what reads data or speaks to the API.

See services.py for what only a run from the command line needs.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core.config.batch import Mode
from tasks.core.config.groups.run import TaskRunnerKind
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.prices import price_of
from tasks.core.data.locate import locate
from tasks.core.environment.credentials import check_credentials, uses_vertex
from tasks.core.environment.endpoint import mend_base_url
from tasks.core.environment.proxies import settle_proxies
from tasks.core.environment.variables import load_environment, unused
from tasks.core.errors import InputError
from tasks.core.output.place import check_no_input, check_writable, csv_path_of
from tasks.core.text import visible

CONNECT_SECONDS = 10.0
_PACKAGES = {TaskRunnerKind.DASK: "prefect_dask", TaskRunnerKind.RAY: "prefect_ray"}

# Tools that cost the tokens they take and no more.
_NOT_BILLED = {"codeExecution", "code_execution", "urlContext", "url_context", "functionDeclarations"}


def with_environment(config: RunConfig) -> RunConfig:
    """`config` with what `.env` and the demo add to it.

    Raises:
        InputError: a `.env` file that may not be read, a proxy that is none.
    """
    load_environment()
    settle_proxies(needed=not config.demo)
    if config.demo and not config.dataset:
        return config.model_copy(update={"dataset": demo_data()})
    return config.model_copy(update={"dataset": config.dataset or os.environ.get("INFER_DATASET")})


def run_name(parameters: Mapping[str, Any]) -> str:
    """What a run is called, wherever it was started: data set, split, model."""
    dataset = "demo" if parameters.get("demo") and parameters.get("dataset") in (None, "", demo_data()) else ""
    with suppress(InputError):  # which ends the run with a line of its own
        load_environment()
    name = Path(str(dataset or parameters.get("dataset") or os.environ.get("INFER_DATASET") or "no data set")).name
    return visible(f"{name} {parameters.get('split')} {parameters.get('model')}")


def check(config: RunConfig) -> list[str]:
    """What can be known without the data. Returns lines that the user should read.

    Raises:
        InputError: no key, a base URL that is none, no such data set, a task runner that is not there, or an output
            folder that cannot be written.
    """
    lines = []
    if not config.demo:
        lines = [*unused(), *check_credentials(), *filter(None, [mend_base_url()])]
    _ = config.system_text, config.template_text  # files that can be read
    lines += filter(None, [_about_schema(config)])
    locate(config.dataset)
    _check_task_runner(config)
    _check_cost(config)
    _check_mode(config)
    _check_push(config)
    path = csv_path_of(config)
    check_writable(path)
    check_no_input(path, config.dataset)
    return lines


def _about_schema(config: RunConfig) -> str:
    """Raises InputError where there are no columns to be made of it."""
    if config.schema_read is None and not config.columns:
        return ""
    from tasks.core.config.response_schema import fields_of, not_held_to

    if config.columns and not (config.schema_read and fields_of(config.schema_read)):
        raise InputError("--columns needs a --response-schema of an object with properties: each is a column")
    if config.schema_read is None:
        return ""
    told = "The API passes over %s of --response-schema: answers are checked, and asked for again where they do not fit"
    return told % ", ".join(words) if (words := not_held_to(config.schema_read)) else ""


def demo_data() -> str:
    """The bundled samples."""
    from deployments.demo import DATASET

    return DATASET


def api_of(config: RunConfig) -> AbstractContextManager[None]:
    """For the length of a run: the API of the environment, or the demo's emulator in its place."""
    if not config.demo:
        return nullcontext()
    from deployments.demo import demo

    return demo()


def _check_task_runner(config: RunConfig) -> None:
    """Raises InputError where the task runner is not installed, needs no address, or nothing listens there."""
    kind, package = config.task_runner, _PACKAGES.get(config.task_runner)
    if package is None and config.task_runner_address:
        raise InputError(f"--task-runner-address {config.task_runner_address}: needs --task-runner dask or ray")
    if package and find_spec(package) is None:
        raise InputError(f"--task-runner {kind} needs {package.replace('_', '-')}: uv sync --extra {kind}")
    if config.task_runner_address:
        _check_listens(config.task_runner_address)


def _check_push(config: RunConfig) -> None:
    """Raises InputError where nothing could be pushed at the end of a long run."""
    if not config.push_to_hub:
        return
    if config.demo:
        raise InputError(f"--push-to-hub {config.push_to_hub}: what a demo makes up is no result")
    from huggingface_hub import get_token  # only where it is needed

    if not (os.environ.get("HUGGINGFACE_TOKEN") or get_token()):
        raise InputError(f"--push-to-hub {config.push_to_hub} needs HUGGINGFACE_TOKEN in .env, which may write")


def _check_cost(config: RunConfig) -> None:
    """Raises InputError where what a request costs at most cannot be known before it goes out."""
    if not (config.max_cost or config.max_cost_per_run):
        return
    flag = "--max-cost" if config.max_cost else "--max-cost-per-run"
    if why := _why_no_budget(config):
        raise InputError(f"{flag}: {why}")


def _why_no_budget(config: RunConfig) -> str:
    if config.demo:
        return "a demo costs nothing"
    if config.cache_prefix:
        return "what --cache-prefix costs by the hour no price list says"
    if apart := sorted({name for tool in config.whole_request_body.get("tools", []) for name in tool} - _NOT_BILLED):
        return f"{apart[0]} is billed by its uses, and how many a request makes only its answer says"
    if price_of(config.model, config.given_price) is None:
        way_out = "--price input=0.30,output=2.50 says it, in dollars for a million tokens"
        return f"no price is known of {config.model}; {way_out}"
    return ""


def why_no_batches(config: RunConfig) -> str:
    """Why a run has no batch jobs, as far as it can be known without asking; empty where it may have some."""
    if uses_vertex() and not config.demo:
        return "batch jobs are for the Gemini Developer API; Vertex AI reads batches from a bucket"
    if config.task_runner is not TaskRunnerKind.LOCAL:
        return f"batch jobs are sent by this process alone, without --task-runner {config.task_runner}"
    return "--cache-prefix is for requests that are sent one by one" if config.cache_prefix else ""


def _check_mode(config: RunConfig) -> None:
    """Raises InputError where there are no batch jobs."""
    if config.mode is Mode.BATCH and (why := why_no_batches(config)):
        raise InputError(f"--mode batch: {why}")


def _check_listens(address: str) -> None:
    """Ray itself would try for minutes. Addresses without a port, such as Ray's `auto`, are left to it."""
    url = urlsplit(address if "://" in address else f"//{address}")
    try:
        if url.hostname and url.port:
            socket.create_connection((url.hostname, url.port), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        kind = type(error).__name__ if isinstance(error, OSError) else ""
        raise InputError(f"--task-runner-address {address}: {error}", kind) from None

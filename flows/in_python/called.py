"""`infer(...)` in Python returns a result. With `return_state`, and on a worker, all is as Prefect has it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from prefect import Flow, State
from prefect.context import FlowRunContext

from flows.endings.way_on import as_asked
from flows.in_python.apart import Interrupted, is_persons_own, waited_for
from flows.in_python.caller import Caller, calling
from flows.in_python.result import Result
from flows.in_python.widget import watched
from flows.outcome import Heard, hearing
from flows.preflight import check, with_environment
from flows.services import check_services, on_server
from tasks.core.config.command_line import checked
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.variables import without_telemetry
from tasks.core.errors import InputError, RunIncomplete
from tasks.core.text import visible

LINGER_SECONDS = 300.0  # of a person who looks at answers and asks again: to boot the server takes several seconds


class CalledFlow(Flow[..., State[Any]]):
    """A Prefect flow whose plain call returns a `Result`."""

    def __call__(self, *args: Any, return_state: bool = False, **parameters: Any) -> Any:
        if return_state or args:
            return super().__call__(*args, return_state=return_state, **parameters)
        call: Callable[..., State[Any]] = super().__call__
        with calling() as caller, _named_as_asked():
            config = with_environment(checked(parameters))
            server = _server_of(config)
            with hearing() as heard, watched(caller):
                run = partial(_run, server, partial(call, **config.model_dump(), return_state=True))
                return _result(waited_for(run, caller), caller, heard)


@contextmanager
def _named_as_asked() -> Iterator[None]:
    """Mistakes that the checks find name flags."""
    try:
        yield
    except InputError as error:
        raise InputError(as_asked(str(error)), error.kind, error.way_out) from None


def _server_of(config: RunConfig) -> AbstractContextManager[Any]:
    """Within another flow the server is there; what the checks have to say, the run itself says then."""
    findings = check(config)
    if FlowRunContext.get():
        return nullcontext()
    without_telemetry()
    check_services(config)
    for line in findings:
        print(visible(line), file=sys.stderr)
    return on_server(config, linger_seconds=LINGER_SECONDS if is_persons_own() else 0.0)


def _run(server: AbstractContextManager[Any], call: Callable[[], State[Any]]) -> State[Any]:
    with server:
        return call()


def _result(state: State[Any], caller: Caller, heard: Heard) -> Result:
    """What has come of it, in words for whoever called.

    Raises:
        InputError: the run was refused.
        RunIncomplete: it ended before anything was planned.
        Interrupted: it was interrupted.
    """
    name, message = state.name or "", state.message or ""
    if name == "Refused":
        kind, _, what = message.partition(": ")
        raise InputError(what, kind) if kind.isidentifier() else InputError(message)
    if state.is_cancelled():
        raise Interrupted(message.removeprefix("Interrupted: "))
    if state.is_crashed():
        state.result()  # raises
    if caller.ended is None:
        raise RunIncomplete(message)
    result = Result(name, message, caller.ended, heard)
    if not state.is_completed():  # whoever does not look at the result hears of it all the same
        print(f"{name}: {result.ending}", file=sys.stderr)
    return result

"""The flow as a function in Python: `infer(...)` returns a result. With `return_state`, on a worker, all is Prefect's.

A notebook has an event loop in the thread of its cells, where Prefect's calls would be coroutines that nobody awaits:
there the run has a thread of its own, and the notebook's stop button stops its sending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

from prefect import Flow, State
from prefect.context import FlowRunContext

from flows.endings.way_on import as_asked
from flows.in_python.caller import Caller, calling
from flows.in_python.result import Result
from flows.local_server import LocalServer
from flows.logs import quiet_console
from flows.preflight import check, with_environment
from tasks.core.config.command_line import checked
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError, RunIncomplete


class CalledFlow(Flow[..., State[Any]]):
    """A Prefect flow whose plain call returns a `Result`."""

    def __call__(self, *args: Any, return_state: bool = False, **parameters: Any) -> Any:
        if return_state or args:
            return super().__call__(*args, return_state=return_state, **parameters)
        call: Callable[..., State[Any]] = super().__call__
        with calling() as caller:
            given = _checked(parameters).model_dump()
            with nullcontext() if FlowRunContext.get() else LocalServer():
                quiet_console()
                return _result(_waited_for(lambda: call(**given, return_state=True), caller), caller)


def _checked(parameters: dict[str, Any]) -> RunConfig:
    """Before a server starts; what there is to say beside, the run itself says."""
    try:
        config = with_environment(checked(parameters))
        check(config)
    except InputError as error:
        raise InputError(as_asked(str(error)), error.kind, error.way_out) from None
    return config


def _result(state: State[Any], caller: Caller) -> Result:
    """What has come of it, in words for whoever called.

    Raises:
        InputError: the run was refused.
        RunIncomplete: it ended before anything was planned.
        KeyboardInterrupt: it was interrupted.
    """
    name, message = state.name or "", state.message or ""
    if name == "Refused":
        kind, _, what = message.partition(": ")
        raise InputError(what, kind) if kind.isidentifier() else InputError(message)
    if state.is_cancelled():
        raise KeyboardInterrupt(message)
    if state.is_crashed():
        state.result()  # raises
    if caller.ended is None:
        raise RunIncomplete(message)
    return Result(name, message, caller.ended)


def _waited_for(run: Callable[[], State[Any]], caller: Caller) -> State[Any]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    done: Future[State[Any]] = Future()
    in_context = contextvars.copy_context().run
    threading.Thread(target=lambda: in_context(_settle, done, run), name="infer", daemon=True).start()
    while True:
        try:
            return done.result()
        except KeyboardInterrupt:
            if done.done():
                raise
            caller.interrupt()


def _settle(done: Future[State[Any]], run: Callable[[], State[Any]]) -> None:
    try:
        done.set_result(run())
    except BaseException as error:
        done.set_exception(error)

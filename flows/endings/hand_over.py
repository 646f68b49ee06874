"""Gives the state of a run that has ended to Prefect, each in the one way that Prefect understands."""

from typing import Any
from uuid import UUID

from prefect import State, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause

from flows.endings.way_on import as_asked
from tasks.core.errors import RunIncomplete
from tasks.core.text import visible
from tasks.prefect_internals import has_retries_left, let_go_on_uncounted


def hand_over(state: State[Any]) -> State[Any]:
    """`state`, whose message names flags, and may repeat what data or the API say, for the flow to return.

    Raises:
        RunIncomplete: Prefect is to retry the flow, which it does after exceptions only.
        Pause: the run goes on later, in another process. Prefect knows no returned state like it.
    """
    state = state.model_copy(update={"message": visible(as_asked(state.message or ""))})
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run and state.name == "Incomplete" and has_retries_left(run):
        raise RunIncomplete(state.message)
    if state.is_scheduled():
        raise _put_off(state)
    return state


def _put_off(state: State[Any]) -> Pause:
    """What ends this process once the server knows when the run goes on. Waking up is none of the user's retries."""
    run = UUID(runtime.flow_run.id)
    with get_client(sync_client=True) as client:
        let_go_on_uncounted(client, run)
        accepted = client.set_flow_run_state(run, state).state
    get_run_logger().warning(state.message)
    return Pause(state.message, state=accepted)

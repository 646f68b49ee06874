"""One task run between its submission and its end: what is kept of it, and how Prefect's engine runs it."""

import asyncio
import contextvars
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from prefect.client.schemas.objects import RunInput, State
from prefect.context import AsyncClientContext
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.states import Crashed
from prefect.task_engine import run_task_async, run_task_sync
from prefect.tasks import Task
from prefect.utilities.collections import visit_collection

from tasks.prefect_internals import use_client


@dataclass(slots=True, eq=False)
class Submission:
    """All that is kept of a task run until its turn comes."""

    task: Task[..., Any]
    parameters: dict[str, Any]
    wait_for: Iterable[PrefectFuture[Any]] | None
    dependencies: dict[str, set[RunInput]] | None
    task_run_id: uuid.UUID = field(default_factory=uuid.uuid4)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    future: Future[State[Any]] = field(default_factory=Future)

    async def run(self, client: AsyncClientContext) -> State[Any]:
        use_client(client)
        call: dict[str, Any] = {
            "task": self.task,
            "task_run_id": self.task_run_id,
            "parameters": self.parameters,
            "wait_for": self.wait_for,
            "return_type": "state",
            "dependencies": self.dependencies,
            "context": {},
        }
        try:
            await _settled([self.parameters, self.wait_for])
            run: Any = run_task_async if self.task.isasync else _run_in_thread
            state: State[Any] = await run(**call)
            return state
        except (Exception, SystemExit) as error:  # SystemExit would end the loop, and all with it
            return Crashed(message=f"Task run failed in Prefect's engine: {error!r}", data=error)


async def _run_in_thread(**call: Any) -> Any:
    return await asyncio.to_thread(lambda: run_task_sync(**call))


async def _settled(arguments: Any) -> None:
    """Wait for the futures among a task's arguments; the engine would block the loop for them."""
    futures: list[PrefectFuture[Any]] = []
    visit_collection(
        arguments,
        visit_fn=lambda part: futures.append(part) if isinstance(part, PrefectFuture) else None,
        return_data=False,
    )
    for future in futures:
        if isinstance(future, PrefectConcurrentFuture):
            await asyncio.wait([asyncio.wrap_future(future.wrapped_future)])
        else:
            await asyncio.to_thread(future.wait)

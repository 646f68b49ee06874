"""What became of a create whose answer is not known: its job is found, or it is made sure that there is none.

A job is looked for by its name, through all pages of the list: a list that was not read to its end says nothing of
what is not on it. Where none is found for ten minutes, the input is deleted, and looked for once more: a create that
takes effect later finds no input and fails. What remains is a job that is made at once and listed later than that.
"""

from collections.abc import AsyncGenerator

from tasks.core.answering.batch.api import BatchApi
from tasks.core.answering.batch.patience import FENCE_SECONDS, LISTED_AFTER, until_answered
from tasks.core.batches import BatchJob
from tasks.core.clock import Clock, Sleep
from tasks.core.errors import ApiError


async def find(
    api: BatchApi, display_name: str, file: str, asked_at: float, clock: Clock, sleep: Sleep
) -> BatchJob | None:
    """The job called `display_name`, whose create was asked for at `asked_at`; None: there is none, and will be none.

    Raises:
        ApiError, ConnectionError, MalformedAnswer: the list cannot be read, or the input not be deleted; nothing is
            known then.
    """
    asked_at = min(asked_at, clock())  # a clock that was set back must not make it wait for days
    for seconds in LISTED_AFTER:
        wait = asked_at + seconds - clock()
        if wait < 0 and seconds not in (LISTED_AFTER[0], LISTED_AFTER[-1]):
            continue  # it is long ago
        await sleep(max(0.0, wait))
        if job := await _listed(api, display_name, sleep):
            return job
    if file:
        await until_answered(lambda: api.delete_file(file), sleep)
    await sleep(FENCE_SECONDS)
    return await _listed(api, display_name, sleep)


async def all_jobs(api: BatchApi, sleep: Sleep) -> AsyncGenerator[BatchJob]:
    """All jobs of the project, page after page, each page until it is answered."""
    token = ""
    while True:
        page = await until_answered(lambda token=token: api.jobs(token), sleep)  # type: ignore[misc]
        for job in page.jobs:
            yield job
        if not (token := page.next_token):
            return


async def _listed(api: BatchApi, display_name: str, sleep: Sleep) -> BatchJob | None:
    """The job of that name; of several, which no create of ours makes, the first that was made."""
    found = None
    async for job in all_jobs(api, sleep):
        if job.display_name == display_name:
            found = job
    return found


def tells_nothing_there(error: Exception) -> bool:
    """Whether the API knows nothing of what it was asked for."""
    return isinstance(error, ApiError) and error.code in (403, 404)

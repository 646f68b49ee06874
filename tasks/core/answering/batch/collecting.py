"""The lines of an ended job become outcomes of its rows, by their keys alone: the order promises nothing.

Must not save them. A line that says nothing, is missing, or is somebody else's costs no other.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.answering.batch.api import BatchApi
from tasks.core.answering.batch.building import line_key
from tasks.core.answering.misfits import Fitting, held_to
from tasks.core.answering.outcomes import outcome_of, outcome_of_error
from tasks.core.answering.refusals import is_gone
from tasks.core.answering.row_answer import row_answer
from tasks.core.batches import BatchJob, ResultLine
from tasks.core.checkpoint.groups import PlannedRow
from tasks.core.costs.prices import BATCH
from tasks.core.details import Spent
from tasks.core.errors import ApiError
from tasks.core.records import Kind, Outcome, RowAnswer

DOWNLOADS = 3  # where lines are missing
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row of a group."""

    planned: PlannedRow
    outcome: Outcome

    def answer(self, spent: Spent | None = None) -> RowAnswer:
        """What is kept of it. `spent`: by the groups that it was in before; this one is added there."""
        planned, outcome, spent = self.planned, self.outcome, spent or Spent()
        spent.failed, spent.usage = spent.usage, spent.usage + outcome.usage
        spent.lost += outcome.maybe_billed
        billed = replace(outcome, service_tier=BATCH)
        return row_answer(
            planned.row, planned.id, planned.key, billed, spent, has_image=planned.has_image, image_note=planned.note
        )


async def collect(
    api: BatchApi, job: BatchJob, rows: Sequence[PlannedRow], folder: Path, fitting: Fitting | None = None
) -> list[Result]:
    """What came of the rows of `job`, which has ended. `fitting`: see OnlineAnswerer.

    Raises:
        ApiError, ConnectionError, MalformedAnswer: its results cannot be had now.
    """
    found: dict[str, Outcome] = {}
    path = folder / f"{job.name.rpartition('/')[2]}.results"
    try:
        for _ in range(DOWNLOADS if job.results_file else 0):
            await api.download(job.results_file, path)
            found = await asyncio.to_thread(_read, api, path, rows, fitting)
            if job.state != "SUCCEEDED" or len(found) == len(rows):
                break
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
    rest = _without_a_line(job)
    return [Result(row, found.get(line_key(index, row.key), rest)) for index, row in enumerate(rows)]


def of_gone(rows: Sequence[PlannedRow], why: str) -> list[Result]:
    """What came of the rows of a job that is not there any more, or whose results are not."""
    outcome = Outcome(Kind.SERVER_ERROR, detail=f"the batch job is gone: {why}", maybe_billed=True)
    return [Result(row, outcome) for row in rows]


def _read(api: BatchApi, path: Path, rows: Sequence[PlannedRow], fitting: Fitting | None) -> dict[str, Outcome]:
    """The outcomes by line key. Of two lines of one key a finished one counts, the first of them."""
    expected = {line_key(index, row.key) for index, row in enumerate(rows)}
    found: dict[str, Outcome] = {}
    foreign = doubled = 0
    for line in _lines(api, path):
        if line.key not in expected:
            foreign += 1
            continue
        outcome = held_to(fitting, _outcome(line))
        doubled += line.key in found
        if line.key not in found or (found[line.key].kind.retryable and not outcome.kind.retryable):
            found[line.key] = outcome
    if foreign or doubled:
        logger.warning("%s: %d lines of rows that were not in it, %d lines too many", path.name, foreign, doubled)
    return found


def _lines(api: BatchApi, path: Path) -> Iterator[ResultLine]:
    """Cut at newlines and at nothing else: texts hold other characters that end lines elsewhere."""
    with path.open("rb") as results:
        for raw in results:
            if line := api.read_line(raw.rstrip(b"\r\n")):
                yield line


def _outcome(line: ResultLine) -> Outcome:
    """Other rows of the job were answered, so that an error is this row's, and stops no run."""
    if not isinstance(line.result, ApiError):
        return replace(outcome_of(line.result), service_tier=BATCH)
    outcome = outcome_of_error(line.result, 0)
    if outcome.for_all_rows or is_gone(line.result):  # a file of its media has expired, or a key was taken away
        outcome = replace(outcome, kind=Kind.SERVER_ERROR)
    return replace(outcome, for_all_rows=False, daily_quota=False, retry_delay_seconds=None)


def _without_a_line(job: BatchJob) -> Outcome:
    """What a row is whose line is missing or cannot be read; it may have been billed."""
    why = f": {job.error.message}" if job.error else ""
    if job.state == "SUCCEEDED" and not why:
        return Outcome(Kind.SERVER_ERROR, detail="the results of the batch job lack its line", maybe_billed=True)
    return Outcome(Kind.SERVER_ERROR, detail=f"the batch job ended as {job.state or 'FAILED'}{why}", maybe_billed=True)

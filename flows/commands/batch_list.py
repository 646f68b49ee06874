"""The batch jobs of all checkpoints that are not over, listed, with the commands that go on from there.

Reads only. What the API says of them is asked where there is a key; else it is as it was last on record.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from flows.commands.jobs import look
from flows.endings.batches import cancel_command, collect_command
from tasks.batches import groups_of
from tasks.core.answering.batch.api import FAILURES
from tasks.core.batches import BatchJob
from tasks.core.checkpoint.attempts import latest_manifest
from tasks.core.checkpoint.groups import Group, GroupRecords, Phase
from tasks.core.checkpoint.layout import Storage, jobs
from tasks.core.config.batch import Mode
from tasks.core.config.command_line import resume_command
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.credentials import check_credentials
from tasks.core.errors import InputError
from tasks.core.reporting.cost_words import cost_range
from tasks.core.text import counted, lasting, visible

ASK_SECONDS = 15.0  # for the jobs of one checkpoint
_ON_RECORD = {Phase.CREATING: "asked for", Phase.SUBMITTED: "at work", Phase.MISSING: "not found"}


def show(storage: Storage) -> None:
    """A block for each checkpoint: data set and model first."""
    found = {job: groups for job in jobs(storage) if (groups := GroupRecords(storage, job).in_flight())}
    if not found:
        print("No batch jobs.")
        return
    why = _why_unasked()
    if why:
        print(f"Their states are as last on record: {visible(why)}\n")
    for job, groups in found.items():
        for line in _block(storage, job, groups, ask=not why):
            print(visible(line))
        print()


def _block(storage: Storage, job: str, groups: Sequence[Group], ask: bool) -> Iterator[str]:
    manifest = latest_manifest(storage, job)
    config = RunConfig.model_validate(manifest.config) if manifest and manifest.config else None
    known = asyncio.run(_asked(storage, job, config, groups)) if ask and config and not config.demo else {}
    rows = sum(group.rows for group in groups)
    cost = cost_range(look(storage, job).spent)
    name = manifest.name if manifest else job.split("/")[-1]
    yield f"{name}: {counted(rows, 'row')} in {counted(len(groups), 'batch job')}; the job so far: {cost}"
    cells = [_cells(group, known.get(group.name)) for group in groups]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    ended = [known[group.name].ended for group in groups if group.name in known]
    if any(ended):
        yield f"  collect: {collect_command(job)}"
    if not (ended and all(ended)) and config:
        yield f"  wait:    {resume_command(_waiting(config))}"
        yield f"  cancel:  {cancel_command(job)}"


def _waiting(config: RunConfig) -> RunConfig:
    """The same, of a run that waits for batch jobs: one online, as the latest may have been, refuses to."""
    return config.model_copy(update={"mode": Mode.BATCH}) if config.mode is Mode.ONLINE else config


def _cells(group: Group, job: BatchJob | None) -> tuple[str, str, str, str]:
    state = job.state.lower() if job and job.state else _ON_RECORD[group.phase]
    done = f"{job.succeeded + job.failed:,} of " if job else ""
    age = f"{lasting(time.time() - group.created)} old" if group.created else ""
    return group.batch or group.display_name, state, f"{done}{counted(group.rows, 'row')}", age


async def _asked(storage: Storage, job: str, config: RunConfig, groups: Sequence[Group]) -> dict[str, BatchJob]:
    """What the API says of those that it can be asked about, by the names of their groups; nothing is put on record."""
    found: dict[str, BatchJob] = {}
    with suppress(*FAILURES, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS), groups_of(config.generation, storage, job) as asked:
            listed = {each.name: each for each in (await asked.api.jobs()).jobs}
            for group in groups:
                with suppress(*FAILURES):
                    if group.batch:
                        found[group.name] = listed.get(group.batch) or await asked.api.get(group.batch)
    return found


def _why_unasked() -> str:
    try:
        check_credentials()
    except InputError as error:
        return error.line
    return ""

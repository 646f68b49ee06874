"""Batch jobs of a checkpoint, cancelled by hand. What they have brought stays to be collected."""

import asyncio

from flows.commands.jobs import JobRun, the_job
from flows.endings.batches import collect_command
from flows.endings.exit_codes import ExitCode
from flows.preflight import api_of
from tasks.batches import groups_of
from tasks.core.answering.batch.api import FAILURES, passes
from tasks.core.answering.batch.groups import Groups
from tasks.core.checkpoint.groups import Group, GroupRecords
from tasks.core.checkpoint.layout import Storage
from tasks.core.environment.credentials import check_credentials
from tasks.core.reporting.batch_words import job_words
from tasks.core.text import visible

ASK_SECONDS, LOOKS = 10.0, 60  # ten minutes for jobs to end


def cancel(storage: Storage, text: str) -> ExitCode:
    """Ask for the end of a job's batch jobs until they have ended, ten minutes at most."""
    job = the_job(storage, text, "--cancel")
    if not job.config.demo:
        check_credentials()
    with api_of(job.config):
        return asyncio.run(_cancel(storage, job))


async def _cancel(storage: Storage, job: JobRun) -> ExitCode:
    async with groups_of(job.config.generation, storage, job.key) as groups:
        in_flight = GroupRecords(storage, job.key).in_flight()
        if not in_flight:
            print("No batch jobs.")
            return ExitCode.FINISHED
        cancelling = _Cancelling(groups, in_flight)
        for look in range(LOOKS):
            await cancelling.look(ask=look % 6 == 0)
            if not cancelling.left:
                break
            await asyncio.sleep(ASK_SECONDS)
    if at_work := [*cancelling.left, *cancelling.unsure]:
        print(f"Not known to have ended: {', '.join(group.batch or group.display_name for group in at_work)}")
    print(f"What they have brought is collected with: {collect_command(job.key)}")
    return ExitCode.FAILED if at_work else ExitCode.FINISHED


class _Cancelling:
    """`left`: groups whose jobs have not ended. `unsure`: those of which nothing can be known here, so that a job may
    be at work: it was being created when its run ended, or the API refuses to tell or to end it.
    """

    def __init__(self, groups: Groups, in_flight: list[Group]) -> None:
        self._api = groups.api
        self.left = [group for group in in_flight if group.batch]
        self.unsure = [group for group in in_flight if not group.batch]
        for group in self.unsure:
            print(f"{group.display_name} was asked for when its run ended; whoever collects looks for it")

    async def look(self, ask: bool) -> None:
        """At each of them, whatever comes of another. `ask`: for their end."""
        looked_at, self.left = self.left, []
        for group in looked_at:
            try:
                if not await self._has_ended(group, ask):
                    self.left.append(group)
            except FAILURES as error:
                print(visible(f"{group.batch}: {error}"), flush=True)
                (self.left if passes(error) else self.unsure).append(group)

    async def _has_ended(self, group: Group, ask: bool) -> bool:
        job = await self._api.get(group.batch)
        if job.ended:
            print(visible(job_words(job)), flush=True)
        elif ask:
            await self._api.cancel(group.batch)
        return job.ended

"""The inputs of groups at the API: uploaded once, by whichever process, and deleted when they are of no more use.

An upload goes on where it was lost, and what a process that is gone has uploaded is used by the next one that has the
same to upload: it is known by its content. Nothing of it is billed, and nobody reads it before a job is asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tasks.core.answering.batch.api import FAILURES, BatchApi
from tasks.core.answering.batch.building import Built
from tasks.core.answering.batch.patience import until_answered
from tasks.core.checkpoint.groups import Group, GroupRecords, Phase
from tasks.core.clock import Clock, Sleep

LEFT_SECONDS = 40 * 3600.0  # of the 48 hours that a file lives
_TRIES = 4

type Note = Callable[..., Awaitable[Group]]


class Inputs:
    """`note`: puts the next phase of a group on record, with what is known then."""

    def __init__(self, api: BatchApi, records: GroupRecords, note: Note, clock: Clock, sleep: Sleep) -> None:
        self._api, self._records, self._note, self._clock, self._sleep = api, records, note, clock, sleep
        self._left: list[Group] | None = None
        self._before, self._sizes = 0, dict[str, int]()  # bytes of groups of earlier processes; of this one's, by name

    async def upload(self, group: Group, built: Built, sent: Callable[[int], object]) -> Group:
        """The group, UPLOADED. `sent`: hears how much has arrived.

        Raises:
            ApiError, ConnectionError, MalformedAnswer: it cannot be done now; what there is of it stays.
        """
        group = await self._with_what_is_there(group, built)
        self._sizes[group.name] = built.size
        if group.file:
            return group

        async def upload() -> str:
            nonlocal group
            offset = await self._api.received(group.upload) if group.upload else None
            if offset is None:
                upload = await self._api.start_upload(built.size, group.display_name)
                group = await self._note(group, Phase.UPLOADING, upload=upload)
            return await self._api.upload(group.upload, built.path, offset or 0, sent)

        file = await until_answered(upload, self._sleep, _TRIES)
        return await self._note(group, Phase.UPLOADED, file=file)

    async def stored(self) -> int:
        """Bytes at the API, or on their way there."""
        await self._left_by_others()
        return self._before + sum(self._sizes.values())

    async def delete(self, group: Group) -> None:
        self._sizes.pop(group.name, None)
        if group.file:
            with suppress(*FAILURES):  # it expires by itself
                await self._api.delete_file(group.file)

    async def give_up_left(self) -> None:
        """All rows have gone: what an earlier process has uploaded, and nobody has taken over, is of no use."""
        for group in await asyncio.to_thread(self._records.under_way):
            if may_go_on(group, self._clock()):
                await self.delete(group)
                await self._note(group, Phase.GONE, why="its rows went otherwise")

    async def _with_what_is_there(self, group: Group, built: Built) -> Group:
        """The group, with what another has uploaded of the same input. That one is over then, and so is any that took
        it over and was killed before this was on record: no file is ever the input of two jobs.
        """
        left = await self._left_by_others()
        same = [other for other in left if (other.size, other.digest) == (built.size, built.digest)]
        if not same:
            return group
        file, upload = same[0].file, same[0].upload
        phase, known = (Phase.UPLOADED, {"file": file}) if file else (Phase.UPLOADING, {"upload": upload})
        group = await self._note(group, phase, **known)
        for other in same:
            if (other.file or other.upload) == (file or upload):
                left.remove(other)
                self._before -= other.size
                await self._note(other, Phase.GONE, why="another group has its input")
        return group

    async def _left_by_others(self) -> list[Group]:
        """What is there before this process uploads anything."""
        if self._left is None:
            under_way = await asyncio.to_thread(self._records.under_way)
            self._before = sum(group.size for group in under_way if group.phase is not Phase.BUILT)
            self._left = [group for group in under_way if may_go_on(group, self._clock())]
        return self._left


def may_go_on(group: Group, now: float) -> bool:
    """Whether it has an input at the API, whole or in part, of which nothing was paid for."""
    uploaded = group.phase in (Phase.UPLOADING, Phase.UPLOADED, Phase.REFUSED)
    return uploaded and bool(group.digest) and now - group.since < LEFT_SECONDS

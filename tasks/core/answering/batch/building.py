"""Samples become lines of a file, one in memory at a time, until a group is full. Sends nothing but large media."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.api import BatchApi
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.paying import GroupPaying
from tasks.core.answering.deadline import Deadline
from tasks.core.answering.item import Item
from tasks.core.batches import Making, Step
from tasks.core.checkpoint.groups import PlannedRow
from tasks.core.errors import ApiError, MediaError
from tasks.core.prompts.prepare import NOTHING_TO_SEND, Prepared
from tasks.core.records import Kind, Outcome, Request, RowAnswer

READ_SECONDS = 180.0  # for the media of one row

type Sendable = Callable[[Request], Awaitable[Request]]


class Built:
    """A group's input, a file at `path`. `rows`: in the order of its lines. `most`: dollars set aside for it."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, list[PlannedRow]()
        self.size = self.tokens = 0
        self.most = 0.0
        self._out, self._content = path.open("wb"), sha256()

    @property
    def digest(self) -> str:
        """Of its content."""
        return self._content.hexdigest()

    def add(self, line: bytes, row: PlannedRow, tokens: int) -> None:
        self._out.write(line)
        self._content.update(line)
        self.rows.append(row)
        self.size, self.tokens, self.most = self.size + len(line), self.tokens + tokens, self.most + row.most

    def has_room(self, bounds: Bounds, size: int, tokens: int) -> bool:
        return bounds.has_room(len(self.rows) + 1, self.size + size, self.tokens + tokens)

    def close(self) -> None:
        self._out.close()

    def remove(self) -> None:
        self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class Builder:
    """Cuts items into groups, with files in `folder`. `sendable`: puts media that are too large for a line elsewhere.

    `left_out`: hears of each row that goes without media, and why; of one that has its own, with an empty word.
    """

    def __init__(
        self,
        api: BatchApi,
        sendable: Sendable,
        folder: Path,
        paying: GroupPaying,
        left_out: Callable[[int, str], object],
        watcher: Watcher,
    ) -> None:
        self._api, self._sendable, self._folder, self._left_out = api, sendable, folder, left_out
        self._paying, self._watcher = paying, watcher

    async def build(
        self, items: Iterable[Item], bounds: Callable[[], Bounds], without_media: Mapping[int, str]
    ) -> AsyncGenerator[Built | RowAnswer]:
        """Groups, and the answers of rows that cannot go into any.

        `without_media`: rows that go without theirs, and why. An item is made ready once its turn has come. The file
        of a group is gone once the next thing is asked for. What the budget does not cover goes into another.

        Raises:
            RunStopped: the budget covers no further row.
        """
        built: Built | None = None
        apart: list[RowAnswer] = []  # told between groups: an open one, which others may wait for, is not left alone
        try:
            for item in items:
                prepared, request = await self._ready(item, without_media.get(item.sample.row, ""))
                if request is None:
                    apart.append(item.answer_of(prepared, prepared.fault or NOTHING_TO_SEND))
                    continue
                line = self._api.line(line_key(len(built.rows) if built else 0, prepared.key), request)
                most = None
                if built and built.has_room(bounds(), len(line), item.tokens):
                    most = self._paying.another(prepared.request)
                if built and most is None:
                    built.close()
                    yield built
                    built.remove()
                    built, line = None, self._api.line(line_key(0, prepared.key), request)
                if built is None or most is None:
                    while apart:
                        yield apart.pop()
                    most = await self._paying.first(prepared.request)
                    built = Built(self._folder / f"{uuid4().hex}.jsonl")
                built.add(line, _planned(item, prepared, most), item.tokens)
                self._watcher.making(Making(Step.PACKING, len(built.rows), built.size))
            if built:
                built.close()
                yield built
            while apart:
                yield apart.pop()
        finally:
            if built:
                built.remove()

    async def _ready(self, item: Item, without_media: str) -> tuple[Prepared, Request | None]:
        """What goes into the line of a sample; None where it has none, and its fault says why."""
        prepared = await self._prepared(item, without_media)
        if prepared.fault:
            return prepared, None
        try:
            return prepared, await self._sendable(prepared.request)
        except MediaError as error:
            without = await self._prepared(item, str(error))
            return without, None if without.fault else without.request
        except (ApiError, ConnectionError) as error:
            return item.failed(Outcome(Kind.NETWORK, detail=f"its media could not be uploaded: {error}")), None

    async def _prepared(self, item: Item, without_media: str) -> Prepared:
        if fault := item.fault:
            return item.failed(fault)
        prepared = await item.prepare(Deadline(READ_SECONDS, set()), without_media)
        if prepared.lacks_media or prepared.request.media:
            self._left_out(item.sample.row, prepared.media_note if prepared.lacks_media else "")
        return prepared


def line_key(index: int, key: str) -> str:
    """What a line is known by: its place and its content. One content may be in the data twice."""
    return f"{index:06d}.{key}"


def _planned(item: Item, prepared: Prepared, most: float) -> PlannedRow:
    has_image = bool(prepared.request.media)
    return PlannedRow(item.sample.row, item.sample.id, prepared.key, has_image, prepared.media_note, most)

"""Thumbnails of what was sent with some rows, made beside, within a time. Must not hold up or fail whoever asks."""

import base64
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

from tasks.core.data.reader import Reader
from tasks.core.media.cell import Cell
from tasks.core.media.reading import WebFile
from tasks.core.media.signed import without_signature
from tasks.core.media.thumbnail import thumbnail
from tasks.core.output.report.spool import drawn
from tasks.core.prompts.placing import MediaReader
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Media, MediaUri

MOST_ROWS, FIRST_ROWS, MOST_OF_ROW = 1000, 300, 4
MOST_BYTES = 6_000_000  # base64
MOST_SECONDS = 20.0
_THREADS = 2

type Shown = tuple[str, str]  # base64 of a WebP, empty where there is none, and what the medium is
type MediaOf = Callable[[int], Iterable[Media | MediaUri]]


def media_of_rows(reader: Reader, preparer: Preparer) -> MediaOf:
    """What goes out with a row: it is read as for a request, but that nothing is fetched of the web a second time."""
    media = _WithoutFetching(reader.media) if reader.media else None

    def media_of(row: int) -> Iterable[Media | MediaUri]:
        [sample] = reader.samples(range(row, row + 1))
        return preparer.prepare(sample, media).request.media

    return media_of


@dataclass(frozen=True, slots=True)
class _WithoutFetching:
    """A MediaReader that has files on the web by their address."""

    media: MediaReader

    @property
    def has_columns(self) -> bool:
        return self.media.has_columns

    def cells(self, row: int) -> Sequence[Cell]:
        return self.media.cells(row)

    def read(self, cell: Cell) -> bytes | MediaUri | WebFile | None:
        found = self.media.read(cell)
        return MediaUri(without_signature(found.url), "") if isinstance(found, WebFile) else found


@dataclass(slots=True)
class Thumbnails:
    """Of the first rows that are asked for, and of some of the others, spread evenly over `expected` of them.

    `media_of` may block, and raise anything; `seconds`: from the first that is asked for.
    """

    media_of: MediaOf
    expected: int
    seconds: float = MOST_SECONDS
    most_bytes: int = MOST_BYTES
    made: dict[int, list[Shown]] = field(default_factory=dict)
    _wanted: SimpleQueue[int] = field(default_factory=SimpleQueue)
    _asked: int = 0
    _bytes: int = 0
    _threads: list[Thread] = field(default_factory=list)
    _complete: Event = field(default_factory=Event)
    _started: float = 0.0

    def ask(self, row: int) -> None:
        share = (MOST_ROWS - FIRST_ROWS) / max(self.expected - FIRST_ROWS, 1)
        if self._asked >= FIRST_ROWS and drawn(row) >= share:
            return
        self._asked += 1
        self._wanted.put(row)
        if not self._threads:
            self._started = time.monotonic()
            # A read that hangs must not keep the process from its end.
            self._threads = [Thread(target=self._make, daemon=True, name="thumbnails") for _ in range(_THREADS)]
            for thread in self._threads:
                thread.start()

    def finish(self) -> dict[int, list[Shown]]:
        """What is there once all are made, or the time is over."""
        self._complete.set()
        for thread in self._threads:
            thread.join(max(0.0, self._started + self.seconds - time.monotonic()))
        self._bytes = self.most_bytes  # whoever still reads, ends with that
        return dict(self.made)

    def _make(self) -> None:
        while self._bytes < self.most_bytes:
            try:
                row = self._wanted.get(timeout=0.05)
            except Empty:
                if self._complete.is_set():
                    return
                continue
            with suppress(Exception):  # one that is missing is no error
                shown = [_shown(medium) for medium, _ in zip(self.media_of(row), range(MOST_OF_ROW), strict=False)]
                self._bytes += sum(len(data) for data, _ in shown)
                self.made[row] = shown


def _shown(medium: Media | MediaUri) -> Shown:
    if isinstance(medium, MediaUri):
        return "", f"{medium.mime_type or 'file'}, {medium.uri}"
    small = thumbnail(medium.data) if medium.mime_type.startswith("image/") else None
    size = len(medium.data)
    told = f"{medium.mime_type}, {f'{size / 1e6:,.1f} MB' if size >= 1e6 else f'{size / 1e3:,.1f} kB'}"
    return base64.b64encode(small).decode() if small else "", told

"""The media of a data set's rows: one row at a time, when its request is about to go out. Thread-safe; keeps none."""

from tasks.core.data.cells import value_of
from tasks.core.data.hub_files import HubFiles
from tasks.core.data.rows import Rows
from tasks.core.data.sources import DatasetRef
from tasks.core.media.cell import Cell, cells_of
from tasks.core.media.fetching import Fetcher
from tasks.core.media.reading import WebFile, read_media
from tasks.core.records import MediaUri


class MediaOfRows:
    """A MediaReader (see core/prompts) over `rows`, which gives cells as Arrow has them."""

    def __init__(self, rows: Rows, ref: DatasetRef) -> None:
        self._columns, self._roots = ref.columns, ref.media_roots
        self._from_hub = HubFiles(ref.dataset, ref.revision).fetch if ref.is_on_hub else None
        self._from_web = Fetcher().fetch if ref.fetch_urls else None
        self._features = rows.features
        self._rows = rows.only(ref.columns.all_media) if ref.columns.all_media else None

    @property
    def has_columns(self) -> bool:
        """See MediaReader."""
        return self._rows is not None

    def cells(self, row: int) -> list[Cell]:
        """See MediaReader: images first, then other media, each column in the order it was named."""
        if self._rows is None:
            return []
        found, images = self._rows.read(range(row, row + 1)), self._columns.images
        return [
            cell
            for name in self._columns.all_media
            for cell in cells_of(name, value_of(found.column(name)[0].as_py(), self._features[name]), name in images)
        ]

    def read(self, cell: Cell) -> bytes | MediaUri | WebFile | None:
        """See MediaReader."""
        return read_media(cell.value, self._roots, self._from_hub, self._from_web)

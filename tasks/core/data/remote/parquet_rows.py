"""Opens Parquet files of the Hub: whole, or only the rows that are asked for, or a window at a time."""

from collections.abc import Callable

import numpy as np
from datasets import Dataset

from tasks.core.data.formats.splits import spans_of
from tasks.core.data.remote import room
from tasks.core.data.remote.asked import Asked
from tasks.core.data.remote.parquet import ParquetFiles
from tasks.core.data.remote.pieces import Pieces, wanted, wanted_rows
from tasks.core.data.remote.staged import Found, is_staged, staged
from tasks.core.data.remote.windowed import in_windows
from tasks.core.data.remote.windows import piece_parts
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import select
from tasks.core.data.selection import Numbers


def already_staged(asked: Asked) -> Rows | None:
    """The rows, where a run has fetched them before; nobody is asked for anything."""
    if asked.revision is None or not is_staged(asked.digest):
        return None
    return staged(asked.digest, None, asked.selection)


def open_parquet(asked: Asked, files: dict[str, ParquetFiles], whole: Callable[[], Dataset], fits: bool) -> Rows:
    """The rows that are asked for. `whole` opens the split in files that `fits` says there is room for.

    Raises:
        InputError: there is no room for a random sample; and what `select` raises.
    """
    spans, selection = spans_of(asked.spec, lambda name: files[name].count()), asked.selection
    bounded = selection.limit is not None or not any(span.is_endless for span in spans)
    if fits and not bounded and not selection.streaming:
        return select(whole(), selection, asked.spec)
    pieces = Pieces(files, spans)
    if pieces.first_bytes(selection.limit) <= room.free_bytes():
        total = pieces.rows() if selection.limit is None and selection.where is None else selection.limit
        rows = wanted_rows(pieces, selection, asked.spec)
        return staged(asked.digest, lambda: Found(str(asked), pieces.features, rows, total), selection)
    return in_windows(
        asked, pieces.features, lambda budget: piece_parts(pieces, budget), lambda _: _numbers(pieces, asked)
    )


def _numbers(pieces: Pieces, asked: Asked) -> Numbers:
    found = [numbers for _, numbers in wanted(pieces, asked.selection, asked.spec)]
    return np.concatenate([np.empty(0, np.int64), *found])

"""Opens Parquet files of the Hub: whole, or only the rows that are asked for, or a window at a time."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from tasks.core.data.formats.splits import spans_of
from tasks.core.data.remote.parquet import ParquetFiles
from tasks.core.data.remote.pieces import Pieces, wanted
from tasks.core.data.remote.room import free_bytes
from tasks.core.data.remote.staged import is_staged, staged
from tasks.core.data.remote.windows import windows
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import kept_numbers, select
from tasks.core.data.selection import Numbers, Selection
from tasks.core.errors import InputError

_VERSION = 1  # of what is kept


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of a commit, by reference."""

    dataset: str
    config_name: str | None
    revision: str | None
    spec: str
    selection: Selection

    @property
    def digest(self) -> str:
        """The same for the same rows, whoever asks and however they are fetched."""
        chosen = [self.selection.where, self.selection.shuffle, self.selection.limit]
        text = json.dumps([_VERSION, self.dataset, self.config_name, self.revision, self.spec, chosen])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def already_staged(asked: Asked) -> Rows | None:
    """The rows, where a run has fetched them before; nobody is asked for anything."""
    if asked.revision is None or not is_staged(asked.digest):
        return None
    return staged(asked.digest, None, asked.selection, asked.spec)


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
    if pieces.first_bytes(selection.limit) <= free_bytes():
        return staged(asked.digest, pieces, selection, asked.spec)
    return _in_windows(asked, pieces)


def _in_windows(asked: Asked, pieces: Pieces) -> Rows:
    if asked.selection.shuffle is not None:
        raise InputError(
            f"{asked.dataset} {asked.spec} does not fit on the disk, and rows in a random order need all of it; "
            "pass a smaller --limit with --shuffle, or point HF_HOME at a larger disk"
        )
    table = windows(pieces, free_bytes() // 4)  # as many processes of this machine may read it as one
    order = None
    if asked.selection.where is not None:
        order = kept_numbers(f"{asked.digest}-where", lambda: _numbers(pieces, asked))
    return Rows(table.head, table, order, most=asked.selection.limit)


def _numbers(pieces: Pieces, asked: Asked) -> Numbers:
    found = [numbers for _, numbers in wanted(pieces, asked.selection, asked.spec)]
    return np.concatenate([np.empty(0, np.int64), *found])

"""The key of every sample of a run, as the data is now."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.errors import DataUnavailable, InputError
from tasks.core.prompts.prepare import Preparer


def sample_keys(ref: DatasetRef, preparer: Preparer) -> Iterator[tuple[str, str]]:
    """(key, id) of every sample, in order. Reads each medium once and keeps none.

    Raises:
        InputError: some of it cannot be read at present, so nobody knows what is answered already.
    """
    reader = open_reader(ref)

    def keys(span: range) -> list[tuple[str, str]]:
        try:
            return [(preparer.key_of(sample, reader.media), sample.id) for sample in reader.samples(span)]
        except DataUnavailable as error:
            raise InputError(
                f"{error}; nothing was sent: which rows are answered already is known only when all are read", "OSError"
            ) from None

    if reader.media is None:
        for span in reader.spans():
            yield from keys(span)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for part in threads.map(keys, reader.spans()):
            yield from part

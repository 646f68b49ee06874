"""The key of every sample of a run, as the data is now."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tasks.core.config.parameters import GenerateConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.prompts.prepare import key_of


def sample_keys(ref: DatasetRef, generation: GenerateConfig) -> Iterator[tuple[str, str]]:
    """(key, id) of every sample, in order. Reads each image once and keeps none."""
    reader = open_reader(ref)
    read = reader.image if reader.has_images else None

    def keys(span: range) -> list[tuple[str, str]]:
        return [(key_of(generation, sample, read), sample.id) for sample in reader.samples(span)]

    if read is None:
        for span in reader.spans():
            yield from keys(span)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for part in threads.map(keys, reader.spans()):
            yield from part

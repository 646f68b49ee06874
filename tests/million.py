"""A checkpoint of very many rows, written as a run would have left it, without asking anybody."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path

from tasks.core.checkpoint.attempts import open_attempt_record
from tasks.core.checkpoint.contents import Manifest, pack
from tasks.core.checkpoint.layout import answers_key, chunk_key
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config.parameters import RunConfig
from tasks.core.data.sources import resolve
from tasks.core.planning.job import origin_of
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind, RowAnswer

ANSWER_CHARS = 1000
ROWS_A_RECORD = 500  # half a second's worth at a thousand rows a second


def write_checkpoint(data: str, save_every: int, missing_every: int = 0) -> None:
    """All rows of `data` answered by one attempt, but for every `missing_every`-th; results are in PREFECT_HOME."""
    storage = LocalStorage(Path(os.environ["PREFECT_HOME"]) / "storage")
    config = RunConfig(dataset=data, save_every=save_every)
    ref = resolve(config)
    job = origin_of(config, ref).job
    storage.delete(storage.keys(job))
    chunks = -(-ref.rows // save_every)

    def answered() -> Iterator[RowAnswer]:
        for row, (key, sample_id) in enumerate(sample_keys(ref, Preparer(config.generation))):
            if not missing_every or row % missing_every:
                text = f"{sample_id} " + "x" * (ANSWER_CHARS - len(sample_id) - 1)
                yield RowAnswer(row, sample_id, key, Kind.ANSWERED, response=text, prompt_tokens=30, answer_tokens=250)

    open_attempt_record(
        storage,
        Manifest(
            job=job,
            name=data,
            attempt="earlier-1",
            created=datetime.now(UTC),
            settings=config.generation.fingerprint,
            rows=ref.rows,
            chunks=chunks,
        ),
    )
    for number, some in enumerate(batched(answered(), ROWS_A_RECORD)):
        first, last = some[0].row // save_every, some[-1].row // save_every
        storage.write(answers_key(job, "earlier-1", "w", number), pack(some) | {"done": list(range(first, last + 1))})
    for number in range(chunks):  # as Prefect persists them: beside whole answers they are not read
        path = storage.folder / chunk_key(job, "earlier-1", number)
        path.write_text('{"rows": []}')

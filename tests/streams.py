"""Data sets of several shards for the fake Hub, and what is read of them."""

import hashlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Value

from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tests.fake_hub import NAME, taken_for_the_hub

FEATURES = Features(
    {
        "id": Value("uint64"),
        "input_query": Value("string"),
        "level": ClassLabel(names=["easy", "hard"]),
        "score": Value("float32"),
        "image": datasets.Image(),
    }
)


def rows_of(count: int, first: int = 0, image_bytes: int = 2_000) -> dict[str, list[Any]]:
    """Columns of FEATURES; no two rows have the same image."""
    chance = np.random.default_rng(first)
    numbers = range(first, first + count)
    return {
        "id": [2**63 + n for n in numbers],
        "input_query": [f"question {n}" for n in numbers],
        "level": [n % 2 for n in numbers],
        "score": [n / 10 for n in numbers],
        "image": [{"bytes": b"\x89PNG\r\n" + chance.bytes(image_bytes), "path": f"{n}.png"} for n in numbers],
    }


def write_shards(folder: Path, shards: int, rows: int, split: str = "test", group: int = 20, size: int = 2_000) -> Path:
    """`shards` Parquet files of `rows` rows each, in row groups of `group`; the rows are numbered through."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for n in range(shards):
        table = pa.table(rows_of(rows, n * rows, size), schema=FEATURES.arrow_schema)
        pq.write_table(
            table,
            folder / "data" / f"{split}-{n:05}-of-{shards:05}.parquet",
            row_group_size=group,
            write_statistics=False,
        )
    return folder


def texts(numbers: Any) -> list[list[str]]:
    """Id and text of rows, by number."""
    return [[str(2**63 + n), f"question {n}"] for n in numbers]


def read(home: Path, endpoint: str, *steps: dict[str, Any], offline: bool = False) -> list[Any]:
    """What is read of the data set with the parameters of each step, one after another."""
    with taken_for_the_hub(endpoint, home, offline):
        return [_read(RunConfig(**{"dataset": NAME, "image_column": None} | step)) for step in steps]


def _read(config: RunConfig) -> dict[str, Any]:
    try:
        ref = resolve(config)
        reader = open_reader(ref)
        samples = [sample for span in reader.spans() for sample in reader.samples(span)]
    except InputError as error:
        return {"refused": error.line}
    media = reader.media
    found = [[digest(media.read(cell)) for cell in media.cells(row)] for row in range(ref.rows)] if media else []
    return {"rows": [[s.id, s.text, *s.values.values()] for s in samples], "media": found}


def digest(data: Any) -> str:
    assert isinstance(data, bytes)
    return hashlib.sha1(data).hexdigest()

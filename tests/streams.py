"""Data sets of several shards for the fake Hub, and what a process of its own reads of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Value

from tests.fake_hub import NAME

FEATURES = Features(
    {
        "id": Value("uint64"),
        "input_query": Value("string"),
        "level": ClassLabel(names=["easy", "hard"]),
        "score": Value("float32"),
        "image": datasets.Image(),
    }
)
# `steps`: parameters of the runs to read one after another. `setup`: code that changes the process first.
READ = """
import hashlib, json, sys
asked = json.loads(sys.argv[1])
exec(asked["setup"])
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
def media(reader, row):
    return [hashlib.sha1(reader.media.read(cell)).hexdigest() for cell in reader.media.cells(row)]
def read(parameters):
    try:
        ref = resolve(RunConfig(**parameters))
        reader = open_reader(ref)
        samples = [sample for span in reader.spans() for sample in reader.samples(span)]
        return {
            "rows": [[s.id, s.text, *s.values.values()] for s in samples],
            "media": [media(reader, row) for row in range(ref.rows)] if reader.media else [],
        }
    except InputError as error:
        return {"refused": error.line}
print(json.dumps([read(parameters) for parameters in asked["steps"]]))
"""


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


def read(home: Path, endpoint: str, *steps: dict[str, Any], setup: str = "", offline: bool = False) -> list[Any]:
    """What a process of its own makes of the data set: the Hub's library reads the environment on import."""
    environ = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": str(int(offline))}
    asked = {"setup": setup, "steps": [{"dataset": NAME, "image_column": None} | step for step in steps]}
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(asked)],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout, done.stderr[-3000:]
    found: list[Any] = json.loads(done.stdout)
    return found

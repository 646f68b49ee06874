"""Small data sets, and what a CSV says."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import State

from tasks.core.config.parameters import RunConfig

type RunFlow = Callable[..., State[Any]]
MODEL: str = RunConfig.model_fields["model"].default
RESULT = f"{MODEL}_test_result"
CSV = f"result/{RESULT}.csv"
REPORT = f"{MODEL}_test_report.html"
# At each boot, a server imports all that is installed for Prefect, Dask among it, and registers its blocks.
NO_BLOCKS = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false"}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    """A local data set; returns its path as the `dataset` parameter takes it."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def numbered(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "input_query": f"question {n}"} for n in range(first, first + count)]


def read_csv(path: str | Path = CSV) -> list[dict[str, str]]:
    """The lines of a result, as any reader of CSV sees them."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

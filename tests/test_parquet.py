"""The table beside the CSV: what is known of each row, as any reader of Parquet sees it, in memory that stays."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.costs.prices import price_of
from tasks.core.details import Details, Source, Spent, Usage, packed
from tasks.core.files.own_results import COLUMNS, Origin
from tasks.core.output.columns import NAMES, About
from tasks.core.output.forms import parquet
from tasks.core.output.result import write_result
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer, unsent

ABOUT = About(
    Origin(job="j", name="data test, m", dataset="data", attempt="a", settings="0123", template="4567"),
    price_of("gemini-3.5-flash-lite", day=date(2026, 11, 25)),
)
AT = datetime(2026, 11, 25, tzinfo=UTC)
USAGE = Usage(300, 27, 100, 7, {"prompt_text": 42, "prompt_image": 258})
DETAILS = packed(
    Details(
        finish_reason="STOP", model_version="m-001", response_id="r", sources=[Source("citation", "https://a", "t")]
    ),
    Spent(
        USAGE,
        Usage(100, 5),
        requests=2,
        latency_seconds=1.5,
        answered_at=AT.timestamp(),
    ),
)
FULL = RowAnswer(
    0, "a", "k", Kind.ANSWERED, True, "yes", prompt_tokens=300, answer_tokens=27, timeouts=1, cached_tokens=100,
    thought_tokens=7, lost=2, service_tier="flex", details=DETAILS,
)  # fmt: skip


def written(folder: Path, rows: Any) -> Path:
    csv = folder / "m_test_result.csv"
    write_result(csv, ABOUT, rows, successes=1, retryable=0)
    return csv.with_suffix(".parquet")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A row of which all is known, one of an older version, one that failed, and one without an answer."""
    rows = [
        ResultRow("a", "질문", FULL),
        ResultRow("b", "q", RowAnswer(1, "b", "k2", Kind.ANSWERED, response="no", answered_by="other")),
        ResultRow("c", "", RowAnswer(2, "c", "k3", Kind.BLOCKED, detail="why")),
        ResultRow("d", "q", unsent(3)),
    ]
    return written(tmp_path_factory.mktemp("table"), rows)


def test_all_that_is_known_of_a_row_stands_in_the_table(table: Path) -> None:
    full, old, blocked, none = pq.read_table(table).to_pylist()
    assert full == {
        "id": "a",
        "input_query": "질문",
        "has_image": True,
        "response": "yes",
        "status": "success",
        "error_message": "",
        "kind": "answered",
        "finish_reason": "STOP",
        "prompt_tokens": 300,
        "cached_tokens": 100,
        "answer_tokens": 27,
        "thought_tokens": 7,
        "tokens_by_modality": [
            {"modality": "prompt_text", "tokens": 42},
            {"modality": "prompt_image", "tokens": 258},
        ],
        "dollars": pytest.approx(ABOUT.price.dollars(USAGE, "flex") if ABOUT.price else 0),
        "latency_seconds": 1.5,
        "attempts": 2,
        "failed_prompt_tokens": 100,
        "failed_answer_tokens": 5,
        "maybe_billed": 3,
        "service_tier": "flex",
        "model_version": "m-001",
        "response_id": "r",
        "sources": [{"kind": "citation", "uri": "https://a", "title": "t"}],
        "searches": 0,
        "safety_ratings": None,
        "key": "k",
        "settings": "0123",
        "template": "4567",
        "answered_at": AT,
    }
    assert (old["latency_seconds"], old["finish_reason"], old["model_version"]) == (None, None, "other")
    assert (blocked["kind"], blocked["error_message"]) == ("blocked", "blocked: why")
    assert (none["kind"], none["key"], none["answered_at"]) == ("unsent", None, None)


def test_pandas_polars_duckdb_and_datasets_read_the_same(table: Path) -> None:
    """And the columns of the CSV are those of the CSV."""
    csv = pd.read_csv(table.with_suffix(".csv"), keep_default_na=False)
    frame = pd.read_parquet(table)
    assert list(frame.columns) == NAMES
    assert frame[COLUMNS].astype(csv.dtypes).equals(csv)
    tokens = frame["prompt_tokens"].sum()
    assert pl.read_parquet(table).select(pl.col("prompt_tokens").sum()).item() == tokens == 300
    assert pl.read_parquet(table)["response"].to_list() == list(csv["response"])
    asked = "SELECT sum(prompt_tokens), max(sources[1].uri), epoch_ms(min(answered_at)), max(dollars) > 0 FROM "
    with duckdb.connect() as database:
        [found] = database.execute(f"{asked} '{table}'").fetchall()
    features = datasets.Features.from_arrow_schema(pq.read_schema(table))
    assert [feature.dtype for feature in (features["dollars"], features["key"])] == ["float64", "string"]
    assert found == (300, "https://a", 1000 * int(AT.timestamp()), True)


def test_the_table_says_its_version_and_whose_it_is(table: Path) -> None:
    metadata = pq.read_schema(table).metadata
    about = json.loads(metadata[b"gemini-infer"])
    assert about["schema"] == 1
    assert about["program"].startswith("gemini-infer ")
    assert (about["job"], about["settings"], about["template"]) == ("j", "0123", "4567")
    assert about["prices"].startswith("genai-prices ")


def test_every_column_of_the_table_is_documented() -> None:
    page = (Path(__file__).parent.parent / "docs" / "results.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## The table")
    documented = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE))
    )
    assert documented == NAMES[len(COLUMNS) :]


HOSTILE = ["nul \0 within", "=HYPERLINK(1)", "\ufeffbom", "two\nlines\r", "\u2028", "🎉" * 1000, "", "x" * 50_000_000]


def test_no_text_is_too_hostile_for_the_table(tmp_path: Path) -> None:
    """NUL, line ends of all kinds, 50 MB in a cell."""
    rows = [
        ResultRow(f"r{n}", text, RowAnswer(n, "", "k", Kind.ANSWERED, response=text)) for n, text in enumerate(HOSTILE)
    ]
    read = pq.read_table(written(tmp_path, rows), columns=["input_query", "response"])
    assert read["input_query"].to_pylist() == read["response"].to_pylist() == HOSTILE


def test_memory_does_not_grow_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups are written as they fill: a table of 16 is as much in memory as one of 4."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", 200_000)

    def peak(rows: int) -> int:
        pool = pa.proxy_memory_pool(pa.system_memory_pool())
        before = pa.default_memory_pool()
        pa.set_memory_pool(pool)
        try:
            table = written(tmp_path, texts(rows))
        finally:
            pa.set_memory_pool(before)
        assert pq.read_metadata(table).num_row_groups >= rows // 2000
        return int(pool.max_memory())

    def texts(rows: int) -> Iterator[ResultRow]:
        for n in range(rows):
            yield ResultRow(f"r{n}", "q", RowAnswer(n, "", "k", Kind.ANSWERED, response=f"{n:0400d}"))

    assert peak(16_000) < 1.3 * peak(4_000)

"""Opening data sets: every form a user may bring, and every mistake in one line."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from PIL import Image as Pillow

from tasks.core.config import GenerateConfig, RunConfig
from tasks.core.errors import ImageError, InputError
from tasks.core.sources import DatasetRef, resolve
from tasks.dataset import Reader, sample_keys

ROWS = [
    {"id": "007", "input_query": "NA"},
    {"id": "2024-01-01", "input_query": "2024-05-05"},
    {"id": "x", "input_query": ""},
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


def opened(dataset: str | Path, **parameters: Any) -> tuple[DatasetRef, list[tuple[str, str]]]:
    ref = resolve(RunConfig(dataset=str(dataset), **parameters))
    return ref, [(sample.id, sample.text) for sample in Reader(ref).samples(range(ref.rows))]


def written(folder: Path, suffix: str, name: str = "data") -> Path:
    path = folder / f"{name}{suffix}"
    frame = pd.DataFrame(ROWS)
    match suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path)
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


EXPECTED = [(row["id"], row["input_query"]) for row in ROWS]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_a_local_file_is_the_requested_split_and_its_text_stays_as_written(tmp_path: Path, suffix: str) -> None:
    """`007` is no number, `NA` no gap, a date in JSON no timestamp."""
    path = written(tmp_path, suffix)
    assert opened(path)[1] == EXPECTED
    assert opened(path, split="anything[1:]")[1] == EXPECTED[1:]
    assert opened(path, limit=1)[1] == EXPECTED[:1]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_folder_of_files_has_the_splits_of_their_names(tmp_path_factory: pytest.TempPathFactory, suffix: str) -> None:
    """`test.csv` is the split `test`."""
    folder = tmp_path_factory.mktemp("folder")  # datasets looks for splits in the names of folders as well
    written(folder, suffix, "test")
    written(folder, suffix, "train")
    assert len(opened(folder)[1]) == 3
    with pytest.raises(InputError, match=r"split 'nope' is not in .*\['train', 'test'\]"):
        opened(folder, split="nope")


def test_a_saved_folder_is_opened_with_and_without_splits(tmp_path: Path) -> None:
    """`save_to_disk` of a Dataset and of a DatasetDict, slices included."""
    table = datasets.Dataset.from_list(ROWS)
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": table, "dev": table}).save_to_disk(tmp_path / "many")
    assert opened(tmp_path / "one")[1] == EXPECTED
    assert opened(tmp_path / "one", split="test[:2]")[1] == EXPECTED[:2]
    assert opened(tmp_path / "many", split="dev[-1:]")[1] == EXPECTED[-1:]
    with pytest.raises(InputError, match="splits: test, dev"):
        opened(tmp_path / "many", split="train")


def test_an_image_folder_is_read_with_its_metadata(tmp_path: Path) -> None:
    """Images come as the bytes of their files."""
    folder = tmp_path / "set" / "test"
    folder.mkdir(parents=True)
    Pillow.new("RGB", (8, 8), "red").save(folder / "a.png")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "input_query": "what colour?"}))
    ref = resolve(RunConfig(dataset=str(tmp_path / "set"), image_column="image"))
    reader = Reader(ref)
    assert reader.samples(range(1))[0].text == "what colour?"
    assert reader.samples(range(1))[0].id == "0"
    assert reader.image(0) == (folder / "a.png").read_bytes()


def test_images_inside_parquet_are_read_as_they_were_stored(tmp_path: Path) -> None:
    """As raw bytes, and as datasets' Image feature; a path smuggled in is not followed."""
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(buffer, "PNG")
    pd.DataFrame([{"input_query": "q", "image_path": buffer.getvalue()}]).to_parquet(tmp_path / "raw.parquet")
    feature = datasets.Features({"input_query": datasets.Value("string"), "image_path": datasets.Image()})
    rows = [
        {"input_query": "q", "image_path": {"bytes": buffer.getvalue(), "path": "x.png"}},
        {"input_query": "q", "image_path": {"bytes": None, "path": "/etc/passwd"}},
    ]
    datasets.Dataset.from_list(rows, features=feature).to_parquet(tmp_path / "image.parquet")
    for name in ("raw", "image"):
        ref = resolve(RunConfig(dataset=str(tmp_path / f"{name}.parquet")))
        assert Reader(ref).image(0) == buffer.getvalue()
    with pytest.raises(ImageError, match="leads out of the data folder"):
        Reader(ref).image(1)


def test_a_sample_key_is_the_same_wherever_the_sample_stands(tmp_path: Path) -> None:
    """Not the file, the row or the id makes it, but what is asked."""
    generation = GenerateConfig(model="m")
    ref, _ = opened(written(tmp_path, ".csv"))
    keys = [key for key, _ in sample_keys(ref, generation)]
    assert len(set(keys)) == 3
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row | {"id": "new"}) + "\n" for row in reversed(ROWS)))
    assert [key for key, _ in sample_keys(opened(other)[0], generation)] == keys[::-1]


@pytest.mark.parametrize(("name", "content"), [("e.jsonl", ""), ("e.csv", ""), ("e.csv", "id,input_query\n")])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str, content: str) -> None:
    """It is no mistake."""
    (tmp_path / name).write_text(content)
    assert opened(tmp_path / name)[1] == []


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"dataset": ""}, "ValueError: no data set: pass --dataset or set INFER_DATASET in .env"),
        ({"dataset": "no/such/file.csv"}, "DatasetNotFoundError: 'no/such/file.csv' does not exist on this machine"),
        ({"dataset": "./gone"}, "DatasetNotFoundError: './gone' does not exist on this machine"),
        ({"text_column": "question"}, "ValueError: text_column='question' is not in"),
        ({"image_column": "img"}, "columns: id, input_query"),
        ({"id_column": "key"}, "columns: id, input_query"),
        ({"split": "test["}, "split 'test['"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, parameters: dict[str, Any], line: str) -> None:
    """What, the actual value, and the way out; no network is asked about a local path."""
    config = {"dataset": str(written(tmp_path, ".csv")), **parameters}
    with pytest.raises(InputError) as caught:
        resolve(RunConfig(**config))
    assert line in caught.value.line
    assert "\n" not in caught.value.line


def test_a_broken_file_says_where(tmp_path: Path) -> None:
    """The reader's own words, without its traceback."""
    (tmp_path / "bad.jsonl").write_text('{"id": 1, "input_query": "x"}\n{"id"\n')
    with pytest.raises(InputError, match=r"cannot be read: .*JSON"):
        resolve(RunConfig(dataset=str(tmp_path / "bad.jsonl")))
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"is not one of \.csv, \.json, \.jsonl, \.parquet"):
        resolve(RunConfig(dataset=str(tmp_path / "notes.txt")))


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an unsuccessful look-up needs."""

    def do_GET(self) -> None:
        if "gated" in self.path:
            self.answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this is gated"})
        elif "/revision/" in self.path:
            self.answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        else:
            self.answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository Not Found"})

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


LOOK_UP = """
import sys
from tasks.core.config import RunConfig
from tasks.core.errors import InputError
from tasks.core.sources import resolve
for name, revision in [("some/private", None), ("some/gated", None), ("some/set", "v9")]:
    try:
        resolve(RunConfig(dataset=name, revision=revision))
    except InputError as error:
        print(error.line)
"""


def test_what_the_hub_does_not_show_is_one_line_and_names_the_token(hub: str, tmp_path: Path) -> None:
    """Private without a token, gated, a revision that is not there."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP],
        env=os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    private, gated, revision = done.stdout.splitlines()
    assert private.startswith("DatasetNotFoundError: 'some/private' does not exist on the Hub or on this machine")
    assert "needs HUGGINGFACE_TOKEN in .env" in private
    assert gated.startswith("DatasetNotFoundError:")
    assert "needs HUGGINGFACE_TOKEN in .env" in gated
    assert revision == "DatasetNotFoundError: 'some/set' has no revision 'v9' on the Hub"

"""Opening data sets: every form a user may bring, and every mistake in one line."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image as Pillow

from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import SLICE, Reader, _open_reader
from tasks.core.data.sources import DatasetRef, resolve
from tasks.core.errors import InputError, MediaError
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tests.samples import only_medium

ROWS = [
    {"id": "007", "input_query": "NA"},
    {"id": "2024-01-01", "input_query": "2024-05-05"},
    {"id": "x", "input_query": ""},
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


def config(**parameters: Any) -> RunConfig:
    return RunConfig(**parameters)


def opened(dataset: str | Path, **parameters: Any) -> tuple[DatasetRef, list[tuple[str, str]]]:
    ref = resolve(config(dataset=str(dataset), **parameters))
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
    assert opened(folder)[1] == EXPECTED
    with pytest.raises(InputError, match=r"^--split 'nope' is not in .*train, test$"):
        opened(folder, split="nope")
    with pytest.raises(InputError, match=r"^--split 'tran' is not in .*; did you mean 'train'\?$"):
        opened(folder, split="tran")


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
    ref = resolve(config(dataset=str(tmp_path / "set"), image_column="image"))
    reader = Reader(ref)
    assert reader.samples(range(1))[0].text == "what colour?"
    assert reader.samples(range(1))[0].id == "0"
    assert only_medium(reader, 0) == (folder / "a.png").read_bytes()


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
        ref = resolve(config(dataset=str(tmp_path / f"{name}.parquet")))
        assert only_medium(Reader(ref), 0) == buffer.getvalue()
    with pytest.raises(MediaError, match="leads out of the data folder"):
        only_medium(Reader(ref), 1)


def test_a_sample_key_is_the_same_wherever_the_sample_stands(tmp_path: Path) -> None:
    """Not the file, the row or the id makes it, but what is asked."""
    generation = GenerateConfig(model="m")
    ref, _ = opened(written(tmp_path, ".csv"))
    keys = [key for key, _ in sample_keys(ref, Preparer(generation))]
    assert len(set(keys)) == 3
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row | {"id": "new"}) + "\n" for row in reversed(ROWS)))
    assert [key for key, _ in sample_keys(opened(other)[0], Preparer(generation))] == keys[::-1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.jsonl", ""),
        ("e.jsonl", "\n\n"),
        ("e.json", "[]"),
        ("e.csv", ""),
        ("e.csv", "id,input_query\n"),
        ("e.parquet", ""),
    ],
)
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str, content: str) -> None:
    """It is no mistake."""
    (tmp_path / name).write_text(content)
    ref, samples = opened(tmp_path / name)
    assert (ref.rows, samples) == (0, [])


def test_an_empty_split_has_no_rows(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nor has an empty slice, of a file, a folder or a saved data set."""
    folder = tmp_path_factory.mktemp("folder")
    pd.DataFrame(ROWS).iloc[:0].to_parquet(folder / "test.parquet")
    assert opened(folder / "test.parquet")[1] == []
    full = written(folder, ".jsonl", "train")
    assert opened(full, split="train[:0]")[1] == []
    datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    assert opened(folder / "saved", split="test[:0]")[1] == []


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"dataset": ""}, "no data set: pass --dataset or set INFER_DATASET in .env"),
        ({"dataset": "no/such/file.csv"}, "DatasetNotFoundError: 'no/such/file.csv' does not exist on this machine"),
        ({"dataset": "~nobody_of_that_name/x"}, "DatasetNotFoundError: '~nobody_of_that_name/x' does not exist"),
        ({"dataset": "a/" * 3000}, "does not exist on this machine"),
        ({"dataset": "data.CSV.jsonl"}, "DatasetNotFoundError: 'data.CSV.jsonl' does not exist on this machine"),
        ({"dataset": "three/part/name"}, "DatasetNotFoundError: 'three/part/name' does not exist on this machine"),
        ({"split": "all"}, "split 'all'"),
        ({"dataset": "./gone"}, "DatasetNotFoundError: './gone' does not exist on this machine"),
        ({"text_column": "question"}, "--text-column 'question' is not in"),
        ({"text_column": "inputquery"}, "; did you mean 'input_query'?"),
        ({"image_column": "img"}, "--image-column 'img' is not in"),
        ({"id_column": "key"}, "columns: id, input_query"),
        ({"split": "test["}, "--split 'test['"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, parameters: dict[str, Any], line: str) -> None:
    """What, the actual value, and the way out; no network is asked about a local path."""
    given = {"dataset": str(written(tmp_path, ".csv")), **parameters}
    with pytest.raises(InputError) as caught:
        resolve(config(**given))
    assert line in caught.value.line
    assert "\n" not in caught.value.line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b'id,input_query\n1,x\n2,"open\n'),
        ("a.csv", b"id,input_query\n1,caf\xe9\n"),
        ("a.jsonl", b'{"id": "1", "input_query": "half \\ud83"}\n'),
        ("a.json", b'{"data": [{"id": "1"}]}'),
        ("a.parquet", b"PAR1 of a kind"),
        ("test/dataset_info.json", b"{"),
        ("state.json", b"{"),
    ],
)
def test_data_that_cannot_be_read_is_one_line_and_nothing_else(
    tmp_path: Path, name: str, content: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the reader raises, and without what it logs itself."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        resolve(config(dataset=str(path if path.stem == "a" else tmp_path)))
    assert str(tmp_path) in caught.value.line
    assert "\n" not in caught.value.line
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_a_broken_file_says_where(tmp_path: Path) -> None:
    """The file, the line, and what is wrong."""
    (tmp_path / "bad.jsonl").write_text('{"id": 1, "input_query": "x"}\n{"id"\n')
    with pytest.raises(InputError, match=r"bad\.jsonl, line 2: not JSON"):
        resolve(config(dataset=str(tmp_path / "bad.jsonl")))
    (tmp_path / "notes.docx").write_text("hello")
    with pytest.raises(InputError, match=r"is none of \.csv, .*\.parquet.*convert it or pass a folder"):
        resolve(config(dataset=str(tmp_path / "notes.docx")))


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an unsuccessful look-up needs."""

    def do_GET(self) -> None:
        if "token" in self.path:
            self.answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif "gone" in self.path:
            self.close_connection = True
        elif "down" in self.path:
            self.answer(418, {})
        elif "gated" in self.path:
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
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


LOOK_UP = """
import json, sys
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError
from tasks.core.data.sources import resolve
for name, revision in json.loads(sys.argv[1]):
    try:
        resolve(RunConfig(dataset=name, revision=revision))
    except InputError as error:
        print(error.line)
"""


def looked_up(names: list[tuple[str, str | None]], home: Path, endpoint: str, **environ: str) -> list[str]:
    """The line for each name, from a process of its own: the Hub's library reads the environment on import."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP, json.dumps(names)],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"} | environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_offline_only_what_is_in_the_cache_is_found(tmp_path: Path) -> None:
    """`HF_HUB_OFFLINE=1` asks nobody."""
    (line,) = looked_up([("some/set", None)], tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "'some/set' on the Hub (OfflineModeIsEnabled)" in line


def test_what_the_hub_does_not_show_is_one_line_and_names_the_token(hub: str, tmp_path: Path) -> None:
    """Private without a token, gated, a revision that is not there, a token that is refused, a Hub in trouble."""
    names = [
        ("some/private", None),
        ("some/gated", None),
        ("some/set", "v9"),
        ("some/token", None),
        ("is/down", None),
        ("is/gone", None),
    ]
    lines = looked_up(names, tmp_path, hub, HUGGINGFACE_TOKEN="hf_secret")
    private, gated, revision, token, down, gone = lines
    assert all("hf_secret" not in line for line in lines)
    assert "some/token" in token
    assert "needs HUGGINGFACE_TOKEN in .env" in token
    assert "the Hub refused 'is/down'" in down
    assert "the Hub cannot be reached for 'is/gone'" in gone
    assert private.startswith("DatasetNotFoundError: 'some/private' does not exist on the Hub or on this machine")
    assert "needs HUGGINGFACE_TOKEN in .env" in private
    assert gated.startswith("DatasetNotFoundError:")
    assert "needs HUGGINGFACE_TOKEN in .env" in gated
    assert revision == "DatasetNotFoundError: 'some/set' has no revision 'v9' on the Hub"


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("value", ["2024-01-01", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00.5"])
def test_a_column_of_dates_in_json_is_text(tmp_path_factory: pytest.TempPathFactory, suffix: str, value: str) -> None:
    """JSON has no dates: what stands there goes out, not what a parser made of it."""
    folder = tmp_path_factory.mktemp("folder")
    rows = [{"id": value, "input_query": value}, {"id": value, "input_query": None}]
    text = json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows))
    (folder / f"test{suffix}").write_text(text)
    for path in (folder / f"test{suffix}", folder):
        assert opened(path)[1] == [(value, value), (value, "")]


@pytest.mark.parametrize("beside", ["README.md", "images/a.png", ".cache/other.csv"])
def test_files_beside_a_csv_do_not_change_how_it_is_read(tmp_path_factory: pytest.TempPathFactory, beside: str) -> None:
    """A card, the images it names, a hidden folder: `007` and `NA` stay text."""
    folder = tmp_path_factory.mktemp("folder")
    written(folder, ".csv", "test")
    other = folder / beside
    other.parent.mkdir(exist_ok=True)
    other.write_text("a,b\n1,2\n")
    assert opened(folder)[1] == EXPECTED


def test_a_link_is_read_by_its_own_name(tmp_path: Path) -> None:
    """The Hub's cache and DVC keep files under names without a suffix."""
    (tmp_path / "blobs").mkdir()
    written(tmp_path / "blobs", ".csv", "3f0a").rename(tmp_path / "blobs" / "3f0a")
    (tmp_path / "test.csv").symlink_to(tmp_path / "blobs" / "3f0a")
    ref, samples = opened(tmp_path / "test.csv")
    assert samples == EXPECTED
    assert ref.media_roots == (str(tmp_path),)


def test_a_data_set_is_the_same_from_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path names the job, and another process must find it."""
    path = written(tmp_path, ".csv")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    names = [str(path), "../data.csv", "../sub/../data.csv"]
    assert {resolve(config(dataset=name)).dataset for name in names} == {str(path.resolve())}


def test_a_suffix_may_be_written_large(tmp_path: Path) -> None:
    """As old Windows programs do."""
    path = written(tmp_path, ".csv").rename(tmp_path / "DATA.CSV")
    assert opened(path)[1] == EXPECTED


def test_rows_read_one_way_or_another_are_the_same(tmp_path: Path) -> None:
    """Slices of any size, from any row."""
    rows = [{"id": str(n), "input_query": f"q{n}"} for n in range(25)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ref = resolve(config(dataset=str(path), split="test[5:]", limit=17))
    reader = Reader(ref)
    whole = reader.samples(range(ref.rows))
    assert [(s.row, s.id) for s in whole] == [(n, str(n + 5)) for n in range(17)]
    assert reader.samples(range(3, 9)) == whole[3:9]
    assert reader.samples(range(0)) == []
    assert [row for span in reader.spans() for row in span] == list(range(17))


def test_cells_that_are_no_text_become_text(tmp_path: Path) -> None:
    """Numbers as they are written, nothing for nothing, JSON for a structure."""
    frame = pd.DataFrame(
        {"id": [1, 2, 3], "input_query": [["a", "한"], None, ["b"]], "score": [1.5, None, 2.0], "when": pd.Timestamp(0)}
    )
    frame.to_parquet(tmp_path / "d.parquet")
    path = tmp_path / "d.parquet"
    assert opened(path)[1] == [("1", '["a", "한"]'), ("2", ""), ("3", '["b"]')]
    assert [text for _, text in opened(path, text_column="score")[1]] == ["1.5", "", "2.0"]
    assert opened(path, text_column="when")[1][0] == ("1", "1970-01-01 00:00:00")


def test_without_an_id_column_the_row_number_is_the_id(tmp_path: Path) -> None:
    """That of the split as read; a column that was asked for by name must be there."""
    (tmp_path / "d.csv").write_text("input_query\na\nb\n")
    assert opened(tmp_path / "d.csv")[1] == [("0", "a"), ("1", "b")]
    assert opened(tmp_path / "d.csv", id_column="")[1] == [("0", "a"), ("1", "b")]
    with pytest.raises(InputError, match="--id-column 'key' is not in"):
        opened(tmp_path / "d.csv", id_column="key")


def test_an_image_path_is_read_from_beside_the_data_file(tmp_path: Path) -> None:
    """And never from elsewhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / ".env").write_text("GOOGLE_API_KEY=secret")
    (tmp_path / "data" / "a.png").write_bytes(b"bytes of a")
    rows = [{"input_query": "q", "image_path": path} for path in ("a.png", None, "", "../.env", str(tmp_path / ".env"))]
    path = tmp_path / "data" / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = Reader(resolve(config(dataset=str(path))))
    assert [only_medium(reader, row) for row in range(3)] == [b"bytes of a", None, None]
    for row in (3, 4):
        with pytest.raises(MediaError, match="leads out of the data folder"):
            only_medium(reader, row)


def test_a_changed_image_or_text_makes_another_sample_key(tmp_path: Path) -> None:
    """Under the same file name too; a sample without its image is another one."""
    generation = GenerateConfig(model="m")
    path = tmp_path / "d.jsonl"

    def key(text: str, image: bytes | None) -> str:
        path.write_text(json.dumps({"input_query": text, "image_path": "a.png"}) + "\n")
        (tmp_path / "a.png").unlink(missing_ok=True)
        if image is not None:
            (tmp_path / "a.png").write_bytes(image)
        _open_reader.cache_clear()
        ((found, _),) = sample_keys(resolve(config(dataset=str(path))), Preparer(generation))
        return found

    asked: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", b"2"), ("b", b"1"), ("a", None)]
    keys = [key(*question) for question in asked]
    assert len(set(keys)) == 4
    assert [key(*question) for question in asked] == keys


def test_keys_of_samples_with_images_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    """Although many threads read them."""
    rows = [{"id": str(n), "input_query": f"q{n}", "image_path": "gone.png"} for n in range(2 * SLICE + 1)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(sample_keys(resolve(config(dataset=str(path))), Preparer(GenerateConfig(model="m"))))
    assert [sample_id for _, sample_id in found] == [row["id"] for row in rows]
    assert len({key for key, _ in found}) == len(rows)


FEATURES = {
    "picture": datasets.Image(),
    "kept": datasets.Image(decode=False),
    "album": datasets.List(datasets.Image()),
    "page": {"picture": datasets.Image(), "title": datasets.Value("string")},
    "pages": datasets.List({"parts": datasets.LargeList(datasets.Image())}),
    "sound": datasets.Audio(),
    "film": datasets.Video(),
    "paper": datasets.Pdf(),
    "scan": datasets.Nifti(),
    "data": datasets.Json(),
    "input_query": datasets.Value("string"),
}


def media(path: str) -> dict[str, Any]:
    """A row of FEATURES: every file it names is `path`."""
    cell = {"bytes": None, "path": path}
    row: dict[str, Any] = dict.fromkeys(FEATURES, cell)
    nested = {"album": [cell], "page": {"picture": cell, "title": "t"}, "pages": [{"parts": [cell]}]}
    return row | nested | {"data": {"picture": path}, "input_query": "q"}


@pytest.fixture(params=["parquet", "saved", "readme"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data set of FEATURES, each of which names a pipe, which nobody writes to; declared where it can be."""
    os.mkfifo(tmp_path / "pipe")
    rows = [media(str(tmp_path / "pipe")), media("http://127.0.0.1:9/a.png")]
    features = datasets.Features(FEATURES)
    stored = pa.Table.from_pylist([{**row, "data": json.dumps(row["data"])} for row in rows])
    folder = tmp_path / "data"
    folder.mkdir()
    if request.param == "readme":  # the file itself knows nothing of media
        pq.write_table(stored, folder / "test.parquet")
        info = yaml.safe_dump({"dataset_info": {"features": features._to_yaml_list()}})
        (folder / "README.md").write_text(f"---\n{info}---\n")
        return folder
    if request.param == "saved":  # without the features, with which datasets itself would read the pipe
        datasets.Dataset(stored.cast(features.arrow_schema).replace_schema_metadata(None)).save_to_disk(folder)
        for name, change in (("dataset_info", {"features": features.to_dict()}), ("state", {"_format_type": "arrow"})):
            path = folder / f"{name}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | change))
        return folder
    pq.write_table(stored.cast(features.arrow_schema), folder / "test.parquet")
    return folder / "test.parquet"


def test_a_column_of_media_is_no_text_and_no_id_and_is_never_opened(gallery: Path) -> None:
    """Wherever it is declared, however deep it lies: datasets would open the pipe, or fetch the URL."""
    lines = {
        "picture": "is an Image, which is no text; --image-column picture sends it",
        "kept": "is an Image, which is no text; --image-column kept sends it",
        "album": "holds an Image, which is no text; --image-column album sends it",
        "page": "holds an Image, which is no text; name another column",
        "pages": "holds an Image, which is no text; name another column",
        "sound": "is an Audio, which is no text; --media-column sound sends it",
        "film": "is a Video, which is no text; --media-column film sends it",
        "paper": "is a Pdf, which is no text; --media-column paper sends it",
        "scan": "is a Nifti, which is no text; name another column",
    }
    for name in lines if gallery.suffix else ("picture", "pages", "film"):
        with pytest.raises(InputError) as caught:
            resolve(config(dataset=str(gallery), text_column=name))
        assert caught.value.line == f"--text-column {name} {lines[name]}"
    with pytest.raises(InputError, match="--id-column album holds an Image, which is no text"):
        resolve(config(dataset=str(gallery), id_column="album"))
    with pytest.raises(InputError, match="--image-column film is a Video, and only images are sent"):
        resolve(config(dataset=str(gallery), image_column="film"))


def test_no_column_beside_those_that_are_sent_is_opened_and_no_image_by_datasets(gallery: Path) -> None:
    """The pipes and URLs of the other columns are left alone; those of the image column are refused by name."""
    for name, why in [
        ("picture", "is not a file"),
        ("kept", "is not a file"),
        ("album", "is not a file"),
        ("page", "found dict"),
    ]:
        ref, samples = opened(gallery, image_column=name, id_column="data")
        assert [text for _, text in samples] == ["q", "q"]
        assert '"picture": "http://127.0.0.1:9/a.png"' in samples[1][0]
        reader = Reader(replace(ref, media_roots=(str(gallery.parent.parent),)))
        with pytest.raises(MediaError, match=why):
            only_medium(reader, 0)
        if why == "is not a file":
            with pytest.raises(MediaError, match="is not in the data folder; --fetch-urls fetches it"):
                only_medium(reader, 1)

"""Our own results are never read as data, wherever they lie and whatever became of them; all else is read as ever."""

import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from PIL import Image as Pillow

from tasks.core.config.parameters import RunConfig
from tasks.core.data.data_files import results_among
from tasks.core.data.opening import load
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tasks.core.files.own_results import COLUMNS, Origin
from tasks.core.output.columns import About
from tasks.core.output.place import csv_path
from tasks.core.output.result import write_result
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer

ROWS = [{"id": str(n), "input_query": f"q{n}"} for n in range(3)]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path_factory.mktemp("folder")  # datasets looks for splits in the names of folders as well
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", base / ".cache")
    (base / "set").mkdir()
    return base / "set"


def write_results(output: Path, split: str = "test") -> None:
    """What a year of runs leaves: results, unfinished ones, moved aside ones, edited ones, and a draft."""
    path = csv_path(str(output), "gemini-2.5-flash", split)
    for number, answers in enumerate(["abc", "ab", "x"]):
        origin = Origin(job=str(number // 2), name="n", dataset="/data/train.csv", attempt="a")
        rows = [ResultRow(i, f"our own {i}", RowAnswer(0, i, "k", Kind.ANSWERED, response="answer")) for i in answers]
        write_result(path, About(origin), rows, successes=1, retryable=0)
    unfinished = path.with_name(f"{path.stem}_unfinished.csv")
    unfinished.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))  # as Excel saves it
    path.write_text("id;input_query;note\nx;our own x;wrong\n")
    path.with_name(".infer-abcd1234").write_text(",".join(COLUMNS) + "\n")


def texts(dataset: Path, split: str = "test") -> list[str]:
    rows = load(str(dataset), None, None, split)
    return [str(text) for text in rows.read(range(len(rows))).column("input_query").to_pylist()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("output", ["", "result", "test", "a/train/b"])
@pytest.mark.parametrize("name", ["test", "questions"])
def test_a_folder_with_results_reads_as_the_one_without(folder: Path, suffix: str, output: str, name: str) -> None:
    """The same rows under the same split, although the names of ours would make a split of their own."""
    frame = pd.DataFrame(ROWS)
    match suffix:
        case ".csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        case ".jsonl":
            frame.to_json(folder / f"{name}.jsonl", orient="records", lines=True)
        case ".parquet":
            frame.to_parquet(folder / f"{name}.parquet")
    split = "test" if name == "test" else "train"
    without = texts(folder, split)
    write_results(folder / output)
    assert len(results_among(str(folder))) == 7
    assert texts(folder, split) == without == [row["input_query"] for row in ROWS]
    write_results(folder / output, "train")
    assert texts(folder, split) == without


def test_an_image_folder_with_results_is_an_image_folder(folder: Path) -> None:
    """A result beside the pictures is no metadata."""
    Pillow.new("RGB", (8, 8), "red").save(folder / "a.png")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "input_query": "what colour?"}))
    write_results(folder)
    table = load(str(folder), None, None, "train").head.cast_column("image", datasets.Image(decode=False))
    assert table["input_query"] == ["what colour?"]
    assert table[0]["image"]["path"] == str(folder / "a.png")


def test_a_card_that_takes_in_everything_takes_in_no_result(folder: Path) -> None:
    """Its configurations and splits stand."""
    (folder / "some").mkdir()
    pd.DataFrame(ROWS).to_csv(folder / "some" / "a.csv", index=False)
    pd.DataFrame(ROWS[:1]).to_csv(folder / "b.csv", index=False)
    card: dict[str, dict[str, Any]] = {
        "one": {"test": "some/**"},
        "two": {"test": "**/*.csv", "dev": ["b.csv", "some/.*"]},
    }
    lines = ["---", "configs:"]
    for name, splits in card.items():
        files = [{"split": split, "path": path} for split, path in splits.items()]
        lines += [f"- config_name: {name}", f"  data_files: {json.dumps(files)}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    write_results(folder / "some")
    assert len(load(str(folder), "one", None, "test")) == 3
    assert len(load(str(folder), "two", None, "test")) == 4
    assert len(load(str(folder), "two", None, "dev")) == 1


def test_a_folder_of_results_alone_says_so(folder: Path) -> None:
    """In one line that names them and the way to read one."""
    write_results(folder)
    with pytest.raises(InputError, match=r"holds no data, only results .*_result.csv.*pass the file as --dataset"):
        resolve(RunConfig(dataset=str(folder)))
    write_results(folder, "train")
    with pytest.raises(InputError, match="and 9 more"):
        resolve(RunConfig(dataset=str(folder)))


def test_a_result_that_is_named_is_data(folder: Path) -> None:
    """Answers may be asked about."""
    write_results(folder)
    aside = min(folder.glob("*.train.*.csv"))
    assert texts(aside)[0].startswith("our own")


def test_what_only_resembles_a_result_is_data(folder: Path) -> None:
    """Fewer columns, more, another order: somebody's own."""
    for number, columns in enumerate([COLUMNS[:5], [*COLUMNS, "gold"], COLUMNS[::-1], ["id", "input_query"]]):
        path = folder / f"test{number}.csv"
        pd.DataFrame([["x"] * len(columns)], columns=columns).to_csv(path, index=False)
    assert results_among(str(folder)) == []

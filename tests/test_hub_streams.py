"""Of what datasets reads for this program (WebDataset, Arrow, folders of images), the first rows alone are fetched."""

import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from tasks.core.config.command_line import checked
from tasks.core.data.hub_files import HubFiles
from tasks.core.data.reader import Reader
from tasks.core.data.sources import DatasetRef, resolve
from tasks.core.errors import InputError
from tests.fake_hub import NAME, FakeHub, in_this_process
from tests.samples import media_of
from tests.streams import FEATURES, rows_of

SHARDS, ROWS = 10, 20


def picture(n: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 8), (n, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def web_dataset(folder: Path) -> None:
    """Shards whose samples are a picture, a text and numbers."""
    for shard in range(SHARDS):
        with tarfile.open(folder / f"test-{shard:05}-of-{SHARDS:05}.tar", "w") as tar:
            for n in range(shard * ROWS, (shard + 1) * ROWS):
                cells = {"png": picture(n), "txt": f"question {n}".encode(), "json": json.dumps({"n": n}).encode()}
                for suffix, content in cells.items():
                    member = tarfile.TarInfo(f"{n:05}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def arrow(folder: Path) -> None:
    """Of both kinds, in turn."""
    for shard in range(SHARDS):
        table = pa.table(rows_of(ROWS, shard * ROWS), schema=FEATURES.arrow_schema)
        new = pa.ipc.new_stream if shard % 2 else pa.ipc.new_file
        with (
            pa.OSFile(str(folder / f"test-{shard:05}-of-{SHARDS:05}.arrow"), "wb") as file,
            new(file, table.schema) as w,
        ):
            w.write_table(table)


def pictures(folder: Path) -> None:
    (folder / "test").mkdir()
    lines = [f"{n}.png,{n:03},question {n}\n" for n in range(200)]
    (folder / "test" / "metadata.csv").write_text("file_name,id,input_query\n" + "".join(lines))
    for n in range(200):
        (folder / "test" / f"{n}.png").write_bytes(picture(n))


def opened(**parameters: Any) -> tuple[DatasetRef, Reader]:
    ref = resolve(checked({"dataset": NAME, **parameters}))
    return ref, Reader(ref)


def rows(found: tuple[DatasetRef, Reader]) -> list[list[Any]]:
    ref, reader = found
    return [[sample.id, sample.text, *sample.values.values()] for sample in reader.samples(range(ref.rows))]


def media(found: tuple[DatasetRef, Reader]) -> list[Any]:
    ref, reader = found
    return [medium for row in range(ref.rows) for medium in media_of(reader, row)]


def on_hub(make: Callable[[Path], None], tmp_path: Path, home: str = "home") -> Any:
    if not (folder := tmp_path / "set").exists():
        folder.mkdir()
        make(folder)
    return in_this_process(folder, tmp_path / home)


def data_of(hub: FakeHub) -> set[str]:
    return {name for name in hub.given if not name.endswith(".md")}


def test_the_first_rows_of_a_web_dataset_come_from_its_first_shards(tmp_path: Path) -> None:
    """The same as of the whole, media included; a second look asks nobody."""
    asked = {"text_column": "txt", "image_column": "png", "limit": 25}
    with on_hub(web_dataset, tmp_path) as hub:
        found = opened(**asked)
        assert data_of(hub) == {f"test-{n:05}-of-00010.tar" for n in range(2)}
        assert rows(found) == [[str(n), f"question {n}"] for n in range(25)]
        assert media(found) == [picture(n) for n in range(25)]
        hub.given.clear()
        assert rows(opened(**asked)) == rows(found)
        assert not hub.given
        assert rows(opened(**asked, split="test[23:27]")) == [[str(n), f"question {23 + n}"] for n in range(4)]
        hard = {**asked, "where": "json.n >= 30 and json.n % 2", "limit": 3}
        assert rows(opened(**hard)) == [[str(n), f"question {n}"] for n in (31, 33, 35)]
        assert data_of(hub) == {f"test-{n:05}-of-00010.tar" for n in range(2)}


def test_the_first_rows_of_arrow_files_keep_their_types(tmp_path: Path) -> None:
    """Ids beyond 2^63, classes by name, floats in their own digits."""
    template = {"prompt_template": "{{ level }} {{ score }}", "image_column": "image"}
    with on_hub(arrow, tmp_path) as hub:
        found = opened(**template, limit=30)
        assert data_of(hub) == {f"test-{n:05}-of-00010.arrow" for n in range(2)}
        assert [row[:2] for row in rows(found)] == [[str(2**63 + n), f"question {n}"] for n in range(30)]
        assert rows(found)[3][2:] == ["hard", "0.3"]
        assert media(found)[:20] == [cell["bytes"] for cell in rows_of(20)["image"]]
    with on_hub(arrow, tmp_path, "whole"):
        whole = opened(**template)
        assert (rows(whole)[:30], media(whole)[:30]) == (rows(found), media(found))


def test_of_a_folder_of_images_those_are_fetched_whose_request_goes_out(tmp_path: Path) -> None:
    """Metadata first, every cell as it is written; then the files that its rows name."""
    with on_hub(pictures, tmp_path) as hub:
        found = opened(image_column="image", limit=3)
        assert rows(found) == [[f"{n:03}", f"question {n}"] for n in range(3)]
        assert data_of(hub) == {"test/metadata.csv"}
        assert media(found) == [picture(n) for n in range(3)]
        late = opened(image_column="image", where="id > '100'", limit=2)
        assert (rows(late), media(late)) == (
            [["101", "question 101"], ["102", "question 102"]],
            [picture(101), picture(102)],
        )
        assert data_of(hub) == {"test/metadata.csv", *(f"test/{n}.png" for n in (0, 1, 2, 101, 102))}
        streamed = opened(image_column="image", streaming=True)
        assert len(rows(streamed)) == 200
        assert len(data_of(hub)) == 6


def test_folders_of_images_are_classes_by_their_names(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        for n, name in enumerate(("cat", "dog")):
            (folder / "test" / name).mkdir(parents=True)
            (folder / "test" / name / "a.png").write_bytes(picture(n))

    with on_hub(make, tmp_path):
        for limit in ({"limit": 2}, {}):
            found = opened(text_column="label", image_column="image", **limit)
            assert rows(found) == [["0", "cat"], ["1", "dog"]]
            assert media(found) == [picture(0), picture(1)]


CARD = """---
dataset_info:
  features:
  - {name: image, dtype: image}
  - {name: id, dtype: string}
  - {name: level, dtype: {class_label: {names: {"0": easy, "1": hard}}}}
---
"""


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_classes_of_a_folder_of_images_have_the_names_of_its_card(tmp_path: Path, name: str) -> None:
    """Here, on the Hub, and of its first rows."""
    cells = [{"file_name": f"{n}.png", "id": f"00{n}", "level": n} for n in range(2)]

    def make(folder: Path) -> None:
        (folder / "README.md").write_text(CARD)
        (folder / "test").mkdir()
        for n in range(2):
            (folder / "test" / f"{n}.png").write_bytes(picture(n))
        table = pd.DataFrame(cells)
        write: dict[str, Callable[[Path], object]] = {
            "metadata.csv": partial(table.to_csv, index=False),
            "metadata.jsonl": partial(table.to_json, orient="records", lines=True),
            "metadata.parquet": table.to_parquet,
        }
        write[name](folder / "test" / name)

    with on_hub(make, tmp_path):
        for asked in ({"dataset": str(tmp_path / "set")}, {}, {"limit": 2}):
            found = opened(text_column="level", image_column="image", **asked)
            assert rows(found) == [["000", "easy"], ["001", "hard"]]
            assert media(found) == [picture(0), picture(1)]


def test_a_file_of_another_repository_is_not_fetched(tmp_path: Path) -> None:
    """Whatever a cell says."""
    with on_hub(pictures, tmp_path) as hub, pytest.raises(FileNotFoundError):
        HubFiles(NAME, "main").fetch("hf://datasets/another/set@main/test/0.png")
    assert not hub.given


def test_shares_and_shuffles_need_all_rows(tmp_path: Path) -> None:
    """Their number is not known before."""
    asked = {"text_column": "txt", "image_column": None}
    with on_hub(web_dataset, tmp_path) as hub:
        assert [row[1] for row in rows(opened(**asked, split="test[-2:]"))] == ["question 198", "question 199"]
        assert len(data_of(hub)) == SHARDS
        assert len(rows(opened(**asked, shuffle=3, limit=5))) == 5
        with pytest.raises(InputError, match="--where asks for level, which is no column"):
            opened(**asked, where="level", limit=5)

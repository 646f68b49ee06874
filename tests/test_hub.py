"""Data sets of the Hub are read as local ones are, from the files of the split alone."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tests.fake_hub import NAME, FakeHub, taken_for_the_hub


def read(home: Path, endpoint: str, offline: bool = False, **parameters: Any) -> dict[str, Any]:
    """Rows, and the size of the first one's image; or why the data set is refused."""
    with taken_for_the_hub(endpoint, home, offline):
        try:
            ref = resolve(RunConfig(dataset=NAME, **parameters))
        except InputError as error:
            return {"refused": error.line}
        reader = open_reader(ref)
        rows = [[sample.id, sample.text] for sample in reader.samples(range(ref.rows))]
        images = [reader.media.read(cell) for cell in reader.media.cells(0)] if reader.media else []
        return {"rows": rows, "image": len(images[0]) if images and isinstance(images[0], bytes) else None}


def written(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.csv", "id,input_query\n007,NA\n1e5,2024-01-01\n"),
        ("test.jsonl", '{"id": "007", "input_query": "NA"}\n{"id": 1e5, "input_query": "2024-01-01"}\n'),
    ],
)
def test_cells_of_the_hub_come_as_they_are_written(tmp_path: Path, name: str, content: str) -> None:
    """From the files of the split alone; another split's may be broken. Once fetched, they are read without the Hub."""
    folder = written(tmp_path / "set", **{name: content, name.replace("test", "train"): "{broken,\n1\n"})
    with FakeHub(folder).running() as hub:
        found = read(tmp_path / "home", hub.url)
        assert found == {"rows": [["007", "NA"], ["1e5", "2024-01-01"]], "image": None}
        assert [file for file in hub.fetched if not file.endswith(".md")] == [name]
        assert read(tmp_path / "home", hub.url, split="test[1:]")["rows"] == [["1e5", "2024-01-01"]]
        assert "--split 'dev' is not in some/set" in read(tmp_path / "home", hub.url, split="dev")["refused"]
    assert read(tmp_path / "home", "http://127.0.0.1:9", offline=True) == found


def test_a_bad_line_on_the_hub_is_refused_with_its_number(tmp_path: Path) -> None:
    """As a local one is."""
    folder = written(tmp_path / "set", **{"test.csv": "id,input_query\n1,a\n2,b,c\n"})
    with FakeHub(folder).running() as hub:
        assert "test.csv, line 3: 3 cells" in read(tmp_path / "home", hub.url)["refused"]


def test_metadata_of_pictures_on_the_hub_comes_as_it_is_written(tmp_path: Path) -> None:
    """And the pictures with it."""
    folder = written(tmp_path / "set", **{"test/metadata.csv": "file_name,id,input_query\na.png,007,NA\n"})
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(buffer, "PNG")
    (folder / "test" / "a.png").write_bytes(buffer.getvalue())
    with FakeHub(folder).running() as hub:
        found = read(tmp_path / "home", hub.url, image_column="image")
        assert found == {"rows": [["007", "NA"]], "image": len(buffer.getvalue())}

"""Media that cells of a Hub data set name by a path in its repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import MediaError
from tasks.core.media.cell import Cell
from tests.fake_hub import COMMIT, NAME, FakeHub, taken_for_the_hub
from tests.media_samples import IMAGES, OTHERS

PNG, PDF = IMAGES["image/png"], OTHERS["application/pdf"]


def read(home: Path, endpoint: str, offline: bool = False, **parameters: Any) -> dict[str, Any]:
    """The commit, and the size of each medium, or why it could not be read."""
    with taken_for_the_hub(endpoint, home, offline):
        ref = resolve(RunConfig(dataset=NAME, **parameters))
        reader = open_reader(ref)
        assert reader.media
        cells = [cell for row in range(ref.rows) for cell in reader.media.cells(row)]
        return {"commit": ref.revision, "found": [size_of(reader.media, cell) for cell in cells]}


def size_of(media: Any, cell: Cell) -> int | str:
    try:
        return len(media.read(cell))
    except (MediaError, OSError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", ["test.jsonl", "test.csv"])
def test_files_of_the_repository_are_fetched_at_the_commit_of_the_data(tmp_path: Path, name: str) -> None:
    """Those that rows name, and no others; once they are here, the Hub is not asked for them again."""
    folder, paths = tmp_path / "repo", ["images/1.png", "./docs/2.pdf", "images/gone.png", "../3.png", "/etc/hosts"]
    for file, content in (("images/1.png", PNG), ("images/other.png", PNG), ("docs/2.pdf", PDF)):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    rows = [{"id": str(n), "input_query": "what?", "file": path} for n, path in enumerate(paths)]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)] if "csv" in name else map(json.dumps, rows)
    (folder / name).write_text("\n".join(lines))
    with FakeHub(folder).running() as hub:
        told = read(tmp_path / "home", hub.url, media_column="file")
        assert sorted(hub.fetched) == sorted([name, "images/1.png", "docs/2.pdf"])
    assert told["commit"] == COMMIT
    assert told["found"][:3] == [len(PNG), len(PDF), "MediaError: 'images/gone.png' does not exist"]
    assert all(line.startswith("MediaError: ") for line in told["found"][3:])
    assert read(tmp_path / "home", hub.url, True, media_column="file", revision=COMMIT)["found"] == told["found"]

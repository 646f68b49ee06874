"""Media that cells of a Hub data set name by a path in its repository."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.fake_hub import COMMIT, FakeHub, read_from_hub
from tests.media_samples import IMAGES, OTHERS

READ = """
import json, sys
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.errors import MediaError
ref = resolve(RunConfig(**json.loads(sys.argv[1])))
reader, found = open_reader(ref), []
for row in range(ref.rows):
    for cell in reader.media.cells(row):
        try:
            found.append(len(reader.media.read(cell)))
        except (MediaError, OSError) as error:
            found.append(f"{type(error).__name__}: {error}")
print(json.dumps({"commit": ref.revision, "found": found}))
"""
PNG, PDF = IMAGES["image/png"], OTHERS["application/pdf"]


read = partial(read_from_hub, READ)


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

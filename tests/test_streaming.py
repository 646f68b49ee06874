"""Only what is asked is fetched from the Hub: the split's own files, or the rows alone."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.fake_hub import FakeHub
from tests.streams import read, rows_of, texts, write_shards


def data_files(hub: FakeHub) -> set[str]:
    return {name for name in hub.given if name.startswith("data/")}


def images(numbers: Any, rows: int, size: int = 2_000) -> list[list[str]]:
    """Hashes of the images of rows, `rows` of them a shard."""
    shards = {n // rows: rows_of(rows, n // rows * rows, size)["image"] for n in numbers}
    return [[hashlib.sha1(shards[n // rows][n % rows]["bytes"]).hexdigest()] for n in numbers]


def test_only_the_files_of_the_split_are_fetched_and_a_broken_one_of_another_blocks_nothing(tmp_path: Path) -> None:
    """Of Parquet too, whose whole table datasets makes."""
    folder = write_shards(tmp_path / "set", 2, 30)
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"broken")
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, {"image_column": "image"})
        assert found == {"rows": texts(range(60)), "media": images(range(60), 30)}
        assert data_files(hub) == {"data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"}


@pytest.mark.parametrize("asked", [{"limit": 100}, {"split": "test[:100]"}, {"limit": 100, "streaming": True}])
def test_a_hundred_rows_of_ten_shards_fetch_little_more_than_themselves(tmp_path: Path, asked: dict[str, Any]) -> None:
    """And are, to the byte, the first ones of the whole data set; a second process asks nobody for data."""
    folder = write_shards(tmp_path / "set", 10, 200)
    shard = len((folder / "data" / "test-00000-of-00010.parquet").read_bytes())
    with FakeHub(folder).running() as hub:
        [found] = read(tmp_path / "home", hub.url, asked | {"image_column": "image"})
        given = sum(hub.given[name] for name in data_files(hub))
        print(f"{given:,} bytes for 100 rows; a shard of 200 has {shard:,}, all ten {10 * shard:,}")
        assert found == {"rows": texts(range(100)), "media": images(range(100), 200)}
        assert given < 0.8 * shard
        hub.given.clear()
        assert read(tmp_path / "home", hub.url, asked | {"image_column": "image"}) == [found]
        assert not hub.given


def test_staged_rows_are_those_of_the_whole_data_set(tmp_path: Path) -> None:
    """Classes by name, ids beyond 2^63, floats in their own digits, whatever way they come."""
    folder = write_shards(tmp_path / "set", 3, 30)
    template = "{{ level }} {{ score }} {{ id }}"
    with FakeHub(folder).running() as hub:
        found = read(
            tmp_path / "home",
            hub.url,
            *({"prompt_template": template, "image_column": "image"} | more for more in [{}, {"streaming": True}]),
            {"prompt_template": template, "image_column": "image", "split": "test[25:70]"},
        )
    assert found[0] == found[1]
    assert found[0]["rows"][3][2:] == [2**63 + 3, "hard", "0.3"]
    assert found[2] == {"rows": found[0]["rows"][25:70], "media": found[0]["media"][25:70]}
    assert found[0]["media"] == images(range(90), 30)

"""Of a large text file on the Hub the first rows come without the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.config.command_line import checked
from tasks.core.data import opening
from tasks.core.data.reader import Reader
from tasks.core.data.remote import heads
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tests.fake_hub import NAME, in_this_process

ROWS = 2000


def opened(**parameters: Any) -> list[list[str]]:
    ref = resolve(checked({"dataset": NAME, "image_column": None, **parameters}))
    return [[sample.id, sample.text] for sample in Reader(ref).samples(range(ref.rows))]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "FIRST_BYTES", 2_000)


def cells(n: int) -> dict[str, Any]:
    return {"id": f"{n:05}", "input_query": f'line {n}\nsays "{n}, 안녕 and more'}


def csv_line(n: int) -> str:
    return '{id},"{}"\n'.format(cells(n)["input_query"].replace('"', '""'), **cells(n))


FILES = {
    "test.csv": "id,input_query\n" + "".join(map(csv_line, range(ROWS))),
    "test.jsonl": "".join(json.dumps(cells(n), ensure_ascii=False) + "\n" for n in range(ROWS)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_first_rows_come_without_the_rest_of_the_file(tmp_path: Path, name: str) -> None:
    """As many bytes as they need, in cells that have lines of their own, too; a second look fetches nothing."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_text(FILES[name])
    with in_this_process(tmp_path / "set", tmp_path / "home") as hub:
        assert opened(limit=100) == [list(cells(n).values()) for n in range(100)]
        assert 0 < hub.given[name] < 0.2 * len(hub.files[name])
        hub.given.clear()
        opening._load_from_hub.cache_clear()
        assert len(opened(limit=100)) == 100
        assert opened(split="test[30:32]") == [list(cells(n).values()) for n in (30, 31)]
        assert opened(where="id | int > 40", limit=1) == [list(cells(41).values())]
        assert hub.given[name] == 0
        assert len(opened(limit=1900)) == 1900
        assert len(opened()) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([cells(n) for n in range(ROWS)]),
        json.dumps([cells(n) for n in range(ROWS)], indent=1),
        "\n".join(json.dumps(cells(n), indent=1) for n in range(ROWS)),
        json.dumps({key: [cells(0)[key]] for key in cells(0)}) + "\n" + " " * 9_000,
        json.dumps({key: [cells(n)[key] for n in range(ROWS)] for key in cells(0)}, indent=1),
    ],
)
def test_what_has_no_lines_of_rows_comes_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "test.json").write_text(text)
    with in_this_process(tmp_path / "set", tmp_path / "home"):
        found = opened(limit=3)
        assert found == [list(cells(n).values()) for n in range(len(found))]


def test_a_fault_among_the_first_rows_is_named_as_in_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "test.csv").write_text("id,input_query\n1,a\n2,b,c\n" + "3,d\n" * ROWS)
    with in_this_process(tmp_path / "set", tmp_path / "home"), pytest.raises(InputError, match="line 3: 3 cells"):
        opened(limit=5)


def test_another_way_to_read_a_file_finds_no_rows_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "test.csv").write_text("id,input_query\n1,a\n")
    with in_this_process(tmp_path / "set", tmp_path / "home"):
        assert opened(limit=1) == [["1", "a"]]
        with pytest.raises(InputError, match="columns: id,input_query"):
            opened(limit=1, delimiter=";")

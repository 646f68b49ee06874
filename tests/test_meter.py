"""What is said while data is read that takes long."""

from pathlib import Path

import pytest

from tasks.core.config.command_line import checked
from tasks.core.data import meter
from tasks.core.data.meter import EVERY_SECONDS, Meter
from tasks.core.data.sources import resolve
from tests.fake_hub import NAME, in_this_process
from tests.streams import write_shards


def lines_of(total: int | None, seconds_each: float) -> list[str]:
    """Of a hundred batches of twenty rows."""
    now, said = 0.0, list[str]()
    watched = Meter("Reading a.csv", total, clock=lambda: now, say=said.append)
    for _ in watched.over(range(100), lambda _: 20):
        now += seconds_each
    return said


def test_a_line_comes_every_ten_seconds_and_none_before() -> None:
    assert lines_of(2000, EVERY_SECONDS / 101) == []
    said = lines_of(2000, EVERY_SECONDS / 40)
    assert said == ["Reading a.csv: 800 of 2,000 rows", "Reading a.csv: 1,600 of 2,000 rows"]
    assert lines_of(None, EVERY_SECONDS / 80)[0] == "Reading a.csv: 1,600 rows so far"


def test_what_is_read_or_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here of every batch; as it is, of none that is small."""
    (tmp_path / "a.csv").write_text("id,input_query\n1,a\n2,b\n")
    folder = write_shards(tmp_path / "set", 1, 40)
    for every, told in ((EVERY_SECONDS, False), (0.0, True)):
        monkeypatch.setattr(meter, "EVERY_SECONDS", every)
        with in_this_process(folder, tmp_path / str(every)):
            resolve(checked({"dataset": NAME, "streaming": True, "image_column": None}))
            resolve(checked({"dataset": str(tmp_path / "a.csv"), "where": "id == 2"}))
        said = capsys.readouterr().err
        for line in (
            "Fetching the rows of some/set test: 20 of 40 rows",
            "Reading a.csv (23 bytes): 2 rows so far",
            "Looking at rows for --where: 2 of 2 rows",
        ):
            assert (line in said) == told

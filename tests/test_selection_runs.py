"""Runs about a selection: the CSV is in its order, and its answers are those of the data set's rows."""

from pathlib import Path

from deployments.emulator import Emulator
from tests.support import RunFlow, read_csv, write_jsonl


def test_answers_are_found_again_when_the_selection_changes(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Rows without an id column are known by what they ask, and named by their number in the split."""
    data = write_jsonl(tmp_path / "data.jsonl", [{"input_query": f"q{n}", "level": n % 2} for n in range(10)])
    asked = {"dataset": data, "text_column": "input_query", "resume": True}
    assert run(**asked, where="level == '1'").name == "Completed"
    assert [line["id"] for line in read_csv()] == ["1", "3", "5", "7", "9"]
    assert emulator.stats.requests == 5
    assert run(**asked, shuffle=7, limit=6).name == "Completed"
    assert [line["id"] for line in read_csv()] == ["5", "0", "8", "4", "7", "1"]
    assert emulator.stats.requests == 8
    assert run(**asked).name == "Completed"
    assert [line["id"] for line in read_csv()] == [str(n) for n in range(10)]
    assert emulator.stats.requests == 10

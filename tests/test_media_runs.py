"""Runs to their end with media of every kind: what reaches the API and what the CSV says."""

import base64
from pathlib import Path

import pytest

from deployments.emulator import Emulator, answer_to
from tasks.core.media.conversion import FIRST_FRAME
from tasks.core.media.uploads import MAX_OTHER_BYTES
from tests.media_samples import IMAGES, OTHERS, animated, pdf
from tests.support import RunFlow, read_csv, write_jsonl

PNG, JPEG, WAV = IMAGES["image/png"], IMAGES["image/jpeg"], OTHERS["audio/wav"]


def test_a_row_sends_all_of_its_media_in_order(emulator: Emulator, run: RunFlow, tmp_path: Path) -> None:
    """Of several columns, lists in them, images first; a film for which an image was promised stays here."""
    large = pdf(MAX_OTHER_BYTES // 7 + 1)
    files = {"a.png": PNG, "b.jpg": JPEG, "c.wav": WAV, "d.pdf": large, "e.gif": animated("GIF"), "f.jpg": JPEG[:-40]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    uri = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
    rows: list[dict[str, object]] = [
        {"one": ["a.png", "b.jpg"], "two": uri, "more": ["c.wav", {"path": "a.png"}]},
        {"one": "a.png", "two": None, "more": "d.pdf"},
        {"one": "e.gif", "two": None, "more": None},
        {"one": "c.wav", "two": "f.jpg", "more": "c.wav"},
        {"one": None, "two": None, "more": None},
    ]
    numbered = [{"id": str(n), "input_query": f"row {n}", **row} for n, row in enumerate(rows)]
    path = write_jsonl(tmp_path / "rows.jsonl", numbered)
    state = run(dataset=path, image_column="one,two", media_column="more")
    assert state.is_completed()
    found = read_csv()
    assert found[0]["response"] == answer_to("row 0", PNG + JPEG + JPEG + WAV + PNG, "image/png")
    assert found[1]["response"] == answer_to("row 1", PNG + large, "image/png")
    assert found[3]["response"] == answer_to("row 3", WAV, "audio/wav")
    assert [row["error_message"] for row in found] == [
        "",
        "",
        f"image: {FIRST_FRAME}",
        "image: 2 of 3 left out: audio (audio/wav), not an image; --media-column sends it; broken: cut off",
        "",
    ]
    assert [row["has_image"] for row in found] == ["True"] * 4 + ["False"]
    assert emulator.files.uploads == 1
    sent = [medium.uri for seen in emulator.last_requests for medium in seen.media if medium.uri]
    assert len(sent) == 1
    before = emulator.stats.requests
    run(dataset=path, image_column="one,two", media_column="more", resume=True)
    assert (emulator.stats.requests, read_csv()) == (before, found)


@pytest.mark.parametrize("cell", ["https://example.com/{}.png", "gone-{}.png"])
def test_a_run_whose_media_all_fall_away_stops(emulator: Emulator, run: RunFlow, tmp_path: Path, cell: str) -> None:
    """Before it pays for the texts: the flag that fetches them was forgotten, or the folder."""
    rows = [{"id": str(n), "input_query": f"row {n}", "pages": cell.format(n)} for n in range(40)]
    state = run(dataset=write_jsonl(tmp_path / "rows.jsonl", rows), media_column="pages", max_concurrent=1)
    assert not state.is_completed()
    assert "all fell away for one reason" in str(state.message)
    assert emulator.stats.requests < 10


def test_moving_pictures_are_no_pictures_that_fall_away(emulator: Emulator, run: RunFlow, tmp_path: Path) -> None:
    """Though each row has the same note."""
    (tmp_path / "a.gif").write_bytes(animated("GIF"))
    rows = [{"id": str(n), "input_query": f"row {n}", "image_path": "a.gif"} for n in range(15)]
    assert run(dataset=write_jsonl(tmp_path / "rows.jsonl", rows)).is_completed()
    assert {row["error_message"] for row in read_csv()} == {f"image: {FIRST_FRAME}"}

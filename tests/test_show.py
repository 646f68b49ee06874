"""`--show N`: the requests as they would go out, and nothing more."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.emulator import Emulator
from flows.cli import main
from tests.support import write_jsonl
from tests.test_prompts import CONVERSATION, picture


def asked(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main(lambda: pytest.fail("no flow is needed"), flags)
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three rows; no key is set."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.png").write_bytes(picture("a"))
    rows: list[dict[str, Any]] = [
        {"id": "r0", "input_query": "what?", "image_path": "a.png"},
        {"id": "r1", "input_query": CONVERSATION, "image_path": "gone.png"},
        {"id": "r2", "input_query": "", "image_path": None},
    ]
    return write_jsonl(tmp_path / "d.jsonl", rows)


def test_the_first_requests_are_shown_and_nothing_is_sent(
    data: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Media by name, type and size; what stays behind, and why; no key is needed."""
    monkeypatch.delenv("GOOGLE_API_KEY")
    code, told = asked(capsys, "--dataset", data, "--show", "3", "--system-instruction", "Korean.")
    assert code == 0
    first, second, third = told.split("row ")[1:]
    assert first.startswith("0, id 'r0', to gemini")
    body = json.loads(first[first.index("{") :])
    [turn] = body["contents"]
    size = len(picture("a"))
    assert turn["parts"][0]["inlineData"] == {"data": f"<{size:,} bytes of a.png>", "mime_type": "image/png"}
    assert turn["parts"][1] == {"text": "what?"}
    assert body["systemInstruction"]["parts"] == [{"text": "Korean."}]
    assert "left out: 'gone.png' does not exist" in second.splitlines()[0]
    assert '"role": "model"' in second
    assert third.startswith("2, id 'r2'")
    assert "neither text nor image" in third
    assert told.rstrip().endswith("3 rows in all; nothing was sent.")
    assert emulator.stats.requests == 0


def test_what_cannot_be_right_is_one_line_as_in_a_run(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(capsys, "--dataset", data, "--show", "1", "--prompt-template", "{{ input_qery }}")
    assert code == 2
    assert told == (
        "--prompt-template asks for input_qery, which is no column; columns: id, input_query, image_path; "
        "did you mean 'input_query'?\n"
    )
    code, told = asked(capsys, "--dataset", data, "--show", "none")
    assert (code, "'none' is no number of requests" in told) == (2, True)

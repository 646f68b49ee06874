"""The examples, as somebody runs them, with the emulator in place of Gemini and a made-up Hub."""

import runpy
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from deployments.emulator import Emulator
from tests import fake_hub
from tests.media_samples import picture
from tests.support import RunFlow

EXAMPLES = Path(__file__).parent.parent / "examples"


def shown(example: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    return capsys.readouterr().out


def of_the_hub(name: str, rows: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_hub, "NAME", name)
    (folder / "set/data").mkdir(parents=True)
    rows.to_parquet(folder / "set/data/test-00000-of-00001.parquet")


def test_a_list_of_questions_becomes_a_table_without_a_key(
    run: RunFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["text.py", "--demo"])
    told = shown("text.py", capsys)
    assert "3: 3 success, 0 errors" in told
    assert "You asked: “수도가 서울인 나라는?”" in told


def test_images_of_the_hub_are_sent_and_compared_with_their_labels(
    run: RunFlow,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = Features({"image": Image(), "label": ClassLabel(names=[str(n) for n in range(10)])})
    rows = Dataset.from_dict({"image": [{"bytes": picture("PNG"), "path": None}] * 3, "label": [0, 1, 2]}, features)
    of_the_hub("ylecun/mnist", rows, tmp_path, monkeypatch)
    with fake_hub.in_this_process(tmp_path / "set", tmp_path / "home"):
        told = shown("images.py", capsys)
    assert "3: 3 success, 0 errors" in told
    assert "images" in told


def test_typed_answers_come_within_a_budget_and_are_not_paid_for_twice(
    run: RunFlow,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    rows = Dataset.from_dict({"text": ["Good.", "Bad."], "label": [1, 0]}, features)
    of_the_hub("stanfordnlp/imdb", rows, tmp_path, monkeypatch)
    with fake_hub.in_this_process(tmp_path / "set", tmp_path / "home"):
        first = shown("structured.py", capsys)
        again = shown("structured.py", capsys)
    assert "'sentiment'" in first
    assert "cost: 0.0" in first
    assert "2 reused" in again
    assert emulator.stats.answers == 2

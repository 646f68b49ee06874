"""The examples, as somebody runs them, with the emulator in place of Gemini and a made-up Hub."""

import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from deployments.emulator import Emulator
from tests import fake_hub
from tests.media_samples import picture
from tests.support import RunFlow

EXAMPLES = Path(__file__).parent.parent / "examples"

type Shown = Callable[[str], str]
type OnTheHub = Callable[[str, Dataset], None]


@pytest.fixture
def shown(run: RunFlow, capsys: pytest.CaptureFixture[str]) -> Shown:
    """What an example prints."""

    def run_example(name: str) -> str:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


@pytest.fixture
def on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnTheHub]:
    with ExitStack() as stack:

        def put(name: str, rows: Dataset) -> None:
            monkeypatch.setattr(fake_hub, "NAME", name)
            (tmp_path / "set/data").mkdir(parents=True)
            rows.to_parquet(tmp_path / "set/data/test-00000-of-00001.parquet")
            stack.enter_context(fake_hub.in_this_process(tmp_path / "set", tmp_path / "home"))

        yield put


def test_a_list_of_questions_becomes_a_table_without_a_key(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["text.py", "--demo"])
    told = shown("text.py")
    assert "3: 3 success, 0 errors" in told
    assert "You asked: “수도가 서울인 나라는?”" in told


def test_images_of_the_hub_are_sent_and_compared_with_their_labels(
    shown: Shown, on_the_hub: OnTheHub, emulator: Emulator
) -> None:
    features = Features({"image": Image(), "label": ClassLabel(names=[str(n) for n in range(10)])})
    digits = {"image": [{"bytes": picture("PNG"), "path": None}] * 3, "label": [0, 1, 2]}
    on_the_hub("ylecun/mnist", Dataset.from_dict(digits, features))
    told = shown("images.py")
    assert "3: 3 success, 0 errors" in told
    assert "images" in told


def test_typed_answers_come_within_a_budget_and_are_not_paid_for_twice(
    shown: Shown, on_the_hub: OnTheHub, emulator: Emulator
) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    on_the_hub("stanfordnlp/imdb", Dataset.from_dict({"text": ["Good.", "Bad."], "label": [1, 0]}, features))
    first, again = shown("structured.py"), shown("structured.py")
    assert "'sentiment'" in first
    assert "cost: 0.0" in first
    assert "2 reused" in again
    assert emulator.stats.answers == 2

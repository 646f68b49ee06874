"""A new version of datasets that moves what it never promised fails here, in words, and not in a run."""

import importlib
import json
import logging
import threading
from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.core.data.formats.listing import files_in, matching

NAMES = [
    ("datasets.data_files", "_get_data_files_patterns", "data_files.py: the splits of a folder that holds results"),
    ("datasets.data_files", "resolve_pattern", "data_files.py: which files of a folder are seen"),
    ("datasets.load", "infer_module_for_data_files", "data_files.py: which format a folder with results is read as"),
    ("datasets.packaged_modules", "_MODULE_TO_EXTENSIONS", "data_files.py: which files belong to the format"),
    ("datasets.packaged_modules", "_MODULE_TO_METADATA_EXTENSIONS", "data_files.py: metadata beside images"),
    ("datasets.packaged_modules", "_MODULE_TO_METADATA_FILE_NAMES", "data_files.py: metadata beside images"),
    ("datasets.packaged_modules.csv.csv", "Csv", "sources.py: cells of a folder's CSV stay as they are written"),
    ("datasets.packaged_modules.json.json", "Json", "sources.py: dates of a folder's JSON stay as they are written"),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


@pytest.fixture
def internals() -> Any:
    """Not imported at the top: where a name is gone, the test of the names is to say so."""
    return importlib.import_module("tasks.core.data.datasets_internals")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`test.csv`, `train.jsonl` and a hidden file; datasets looks for splits in the names of folders as well."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "test.csv").write_text("a\n1\n")
    (folder / "train.jsonl").write_text(json.dumps({"a": 1}))
    (folder / ".hidden.csv").write_text("a\n1\n")
    return folder


@pytest.mark.parametrize(("module", "name", "relies"), NAMES)
def test_a_name_is_where_it_was(module: str, name: str, relies: str) -> None:
    assert hasattr(importlib.import_module(module), name), f"datasets has moved {module}.{name}; {relies}"


def test_the_fingerprint_of_a_table_follows_its_file(internals: Any, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    seen: list[str] = []
    for text in ("a", "a", "b"):
        if not seen or text == "b":
            path.write_text(json.dumps({"text": text}))
        seen.append(internals.fingerprint_of(datasets.load_dataset("json", data_files=str(path), split="train")))
    same, changed = seen[0] == seen[1], seen[2] != seen[0]
    assert (same, changed) == (True, True), (
        "Dataset._fingerprint no longer tells an edited file from the one that was read; DatasetRef relies on it"
    )


def test_splits_come_from_the_names_of_the_files_that_the_caller_shows(internals: Any, folder: Path) -> None:
    def shown(pattern: str) -> list[str]:
        return [file for file in matching(pattern, files_in(folder)) if not file.endswith(".jsonl")]

    patterns = internals.patterns_by_name(shown)
    found = {str(split): [Path(f).name for each in of for f in shown(each)] for split, of in patterns.items()}
    assert found == {"test": ["test.csv"]}, (
        "_get_data_files_patterns no longer goes by what its resolver finds; data_files.py keeps results out by it"
    )
    with pytest.raises(FileNotFoundError):
        internals.patterns_by_name(lambda pattern: [])


def test_errors_say_what_they_said(internals: Any, tmp_path: Path) -> None:
    """They are ValueErrors all, and nothing but their text tells one from the other."""
    path = tmp_path / "d.jsonl"
    path.write_text('{"a": 1}')
    files = {"test": str(path)}
    for split, text in (("test[5:]", internals.NO_ROWS), ("nope", internals.NO_SPLIT)):
        with pytest.raises(ValueError, match=r".") as caught:
            datasets.load_dataset("json", data_files=files, split=split)
        assert text in str(caught.value), f"split {split!r}: the words have changed; opening.load tells by {text!r}"
    with pytest.raises(ValueError, match=r".") as caught:
        datasets.load_dataset(str(tmp_path), "no-such-config")
    assert any(text in str(caught.value) for text in internals.NO_CONFIG), (
        f"an unknown configuration is {caught.value}; opening.py names --dataset-config by {internals.NO_CONFIG}"
    )


def test_a_feature_that_opens_files_is_known_from_one_that_does_not(internals: Any) -> None:
    opened = [datasets.Image(), datasets.Audio(), datasets.Video(), datasets.Pdf()]
    assert [type(f).__name__ for f in opened if not internals.is_read_from_a_file(f)] == [], (
        "such a feature has no decode_example any more; columns.py refuses it by that"
    )
    plain = [datasets.Value("string"), datasets.Json(), datasets.ClassLabel(names=["a"])]
    assert [type(f).__name__ for f in plain if internals.is_read_from_a_file(f)] == []


def test_bars_and_log_lines_are_quiet_for_a_block_alone(internals: Any) -> None:
    """Blocks overlap where two threads open data: the last one to end undoes it."""
    logger = logging.getLogger("datasets.packaged_modules.csv")
    before = logger.isEnabledFor(logging.ERROR), datasets.are_progress_bars_disabled()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with internals.without_logs(), internals.without_bars():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with internals.without_logs(), internals.without_bars():
        thread.start()
        inside.wait()
    assert (logger.isEnabledFor(logging.ERROR), datasets.are_progress_bars_disabled()) == (False, True), (
        "datasets logs or shows bars by other names; opening.load keeps both off the terminal"
    )
    leave.set()
    thread.join()
    assert (logger.isEnabledFor(logging.ERROR), datasets.are_progress_bars_disabled()) == before


def test_bars_that_the_user_has_switched_off_stay_off(internals: Any) -> None:
    datasets.disable_progress_bars()
    try:
        with internals.without_bars():
            pass
        assert datasets.are_progress_bars_disabled()
    finally:
        datasets.enable_progress_bars()

"""Files of a commit on the Hub: fetched whole, one after another, and how large they are."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path

from datasets import Dataset
from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

from tasks.core.data.formats.staging import kept, made
from tasks.core.data.remote.heads import head_of
from tasks.core.data.remote.patience import patiently
from tasks.core.data.rows import Rows
from tasks.core.data.selection import Numbers, Selection, all_matches, conditional, first_of

_FILE = re.compile(r"hf:/{1,2}datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")  # a Path has one slash
_PATHS = 500  # asked about at once
type Open = Callable[[list[Path]], Dataset]


def downloaded(file: Path, token: str | None) -> Path:
    """A file of the Hub on this machine, under its own name."""
    place = _FILE.fullmatch(str(file))
    assert place
    repo, path, revision = place["repo"], place["path"], place["revision"]
    return Path(
        patiently(path, lambda: hf_hub_download(repo, path, repo_type="dataset", revision=revision, token=token))
    )


def fetched_into(file: Path, folder: Path, token: str | None) -> Path:
    """A file of the Hub in a folder of its own, and not in the Hub's cache."""
    place = _FILE.fullmatch(str(file))
    assert place
    repo, path, revision = place["repo"], place["path"], place["revision"]

    def ask() -> Path:
        return Path(hf_hub_download(repo, path, repo_type="dataset", revision=revision, token=token, local_dir=folder))

    return patiently(path, ask)


def url_of(file: Path) -> str:
    """As fsspec takes it."""
    return str(file).replace("hf:/", "hf://", 1)


def bytes_of(files: Sequence[Path], token: str | None) -> int:
    """How much there is to fetch of them."""
    return sum(sizes_of([file for file in files if not _is_here(file)], token))


def sizes_of(files: Sequence[Path], token: str | None) -> list[int]:
    """The bytes of each."""
    places = [place for file in files if (place := _FILE.fullmatch(str(file)))]
    sizes = {
        info.path: info.size
        for part in batched(places, _PATHS)
        for info in HfApi().get_paths_info(
            part[0]["repo"],
            [place["path"] for place in part],
            revision=part[0]["revision"],
            repo_type="dataset",
            token=token,
        )
        if hasattr(info, "size")
    }
    return [sizes[place["path"]] for place in places]


def _is_here(file: Path) -> bool:
    place = _FILE.fullmatch(str(file))
    assert place
    found = try_to_load_from_cache(place["repo"], place["path"], revision=place["revision"], repo_type="dataset")
    return isinstance(found, str)


def first_files(
    files: Sequence[Path], token: str | None, open_rows: Open, rows: int, matches: int | None, selection: Selection
) -> list[Path]:
    """The first files, fetched: as many as have `rows` rows, or as many `matches` of the selection's condition.

    Of the last one the first records may do.

    Raises:
        InputError: as `open_rows` and `conditional`.
    """
    fetched, sizes = list[Path](), sizes_of(files, token)
    left = _Left(rows, matches, selection.where)
    for file, size in zip(files, sizes, strict=True):

        def is_enough(head: Path, left: _Left = left) -> bool:
            return left.without(open_rows([head])).is_none

        head = None if _is_here(file) else head_of(url_of(file), size, token, is_enough)
        fetched.append(head or downloaded(file, token))
        if head or len(fetched) == len(files) or (left := left.without(open_rows(fetched[-1:]))).is_none:
            break
    return fetched


@dataclass(frozen=True, slots=True)
class _Left:
    """What is still wanted: rows, or rows for which the condition holds."""

    rows: int
    matches: int | None
    where: str | None

    def without(self, table: Dataset) -> "_Left":
        matches = self.matches
        if matches is not None and self.where is not None:
            matches -= len(first_of(_matches(table, self.where), matches))
        return replace(self, rows=self.rows - len(table), matches=matches)

    @property
    def is_none(self) -> bool:
        return self.rows <= 0 or (self.matches is not None and self.matches <= 0)


def _matches(table: Dataset, where: str) -> Iterator[Numbers]:
    condition, columns = conditional(table.features, where, "")
    return all_matches(Rows(table).only(columns).read, len(table), condition, table.features)


def note_files(dataset: str, commit: str | None, split: str, files: Sequence[Path]) -> None:
    """Remember which files a split has: without the Hub, a few of them could be taken for all."""
    if commit:
        names = [place["path"] for file in files if (place := _FILE.fullmatch(str(file)))]

        def write(draft: str) -> None:
            Path(draft).write_text(json.dumps(names))

        made(_note(dataset, commit, split), write)


def missing_files(dataset: str, folder: Path, split: str) -> list[str]:
    """Those of a split that no run has fetched into the `folder` of a commit."""
    note = _note(dataset, folder.name, split)
    names: list[str] = json.loads(note.read_text()) if note.exists() else []
    return [name for name in names if not (folder / name).exists()]


def _note(dataset: str, commit: str, split: str) -> Path:
    return kept(f"files/{dataset.replace('/', '--')}@{commit}-{split}.json")

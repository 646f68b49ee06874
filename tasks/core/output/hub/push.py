"""Pushes a result to the Hub as a data set: all of it in one commit, or nothing. Private unless that is asked."""

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from tasks.core.errors import InputError
from tasks.core.files.atomic import drafted_folder
from tasks.core.output.hub.card import DATA_FOLDER, MARK, Pushed, card_of
from tasks.core.output.hub.shards import MediaOf, write_shards

_EMPTY = {".gitattributes", "README.md"}
_REPO = "dataset"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result goes. `public`: whoever looks may read it."""

    name: str
    public: bool = False


def push(target: Target, result: Pushed, table: Path, media: MediaOf | None) -> str:
    """Make `table`, each row with its media, the data set `target`; returns its address.

    What is on its way waits beside `table`: as much as there are media.

    Raises:
        InputError: a data set of that name is somebody else's, another job's, or public without being asked to.
        Exception: whatever the Hub, its library, or the disk has against it.
    """
    api = HfApi(token=os.environ.get("HUGGINGFACE_TOKEN") or None, library_name="gemini-infer")
    there = _files_there(api, target, result)
    url = api.create_repo(target.name, repo_type=_REPO, private=not target.public, exist_ok=True)
    with drafted_folder(table.parent) as folder:
        added = []
        for shard in write_shards(table, media, folder):
            addition = CommitOperationAdd(f"{result.files}{shard.name}", shard)
            api.preupload_lfs_files(target.name, [addition], repo_type=_REPO, free_memory=False)
            added.append(addition)
        added.append(CommitOperationAdd("README.md", card_of(result).encode()))
        stale = {name for name in there if name.startswith(f"{DATA_FOLDER}/")} - {each.path_in_repo for each in added}
        removed = [CommitOperationDelete(name) for name in sorted(stale)]
        message = f"{result.tally.rows:,} rows of {result.origin.name}"
        api.create_commit(target.name, [*added, *removed], repo_type=_REPO, commit_message=message)
    return str(url)


def _files_there(api: HfApi, target: Target, result: Pushed) -> list[str]:
    """The files of the data set, which may be written over; none where it is not there yet."""
    try:
        info = api.dataset_info(target.name)
    except RepositoryNotFoundError:
        return []
    names = [each.rfilename for each in info.siblings or []]
    whose = info.card_data.get(MARK) if info.card_data else None
    if whose is None and not _EMPTY.issuperset(names):
        raise InputError(f"{target.name} has files that are no result of gemini-infer; choose another name")
    if whose is not None and whose.get("job") != result.origin.job:
        raise InputError(f"{target.name} is the result of {whose.get('name')}; choose another name")
    if not info.private and not target.public:
        raise InputError(f"{target.name} is public; --push-public agrees to that")
    return names

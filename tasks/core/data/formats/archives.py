"""Zip and tar files, unpacked once, to a folder that is called by their content."""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tasks.core.data.formats.staging import digest_of, kept
from tasks.core.errors import InputError

_DESCRIPTION = "metadata."


def unpacked(archives: Sequence[Path]) -> Path:
    """The folder with what is in `archives`.

    Raises:
        InputError: one of them would write outside of it.
    """
    folder = kept(f"{digest_of(archives)}.unpacked")
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for number, archive in enumerate(archives):
            _unpack(archive, draft if len(archives) == 1 else draft / f"{number:05d}")
        draft.rename(folder)
    except OSError:
        if not folder.exists():  # another process was quicker
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def is_web_dataset(archive: Path) -> bool:
    """Whether a tar holds samples in the manner of WebDataset: files that share a name but for the suffix."""
    if not tarfile.is_tarfile(archive):
        return False
    with tarfile.open(archive) as tar:
        names = [PurePosixPath(member.name) for member in tar if member.isfile()]
    if any(name.name.startswith(_DESCRIPTION) for name in names):
        return False
    return len({name.with_suffix("") for name in names}) < len(set(names))


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            try:
                tar.extractall(folder, filter="data")
            except tarfile.FilterError as error:
                raise InputError(f"{archive}: {error}") from None
        return
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            _extract(archive, zipped, member, folder)


def _extract(archive: Path, zipped: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    path = PurePosixPath(_name(member).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{archive}: {member.filename!r} would be written outside of the archive's folder")
    target = folder / path
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _name(member: zipfile.ZipInfo) -> str:
    """A name as it was meant: programs on Korean Windows write CP949 without saying so."""
    if member.flag_bits & 0x800 or member.filename.isascii():
        return member.filename
    written = member.filename.encode("cp437")
    for encoding in ("utf-8", "cp949"):
        try:
            return written.decode(encoding)
        except UnicodeDecodeError:
            continue
    return member.filename

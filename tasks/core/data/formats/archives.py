"""Zip and tar files, unpacked once, to a folder that is called by their content."""

import shutil
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tasks.core.data.formats.staging import digest_of, kept
from tasks.core.errors import InputError

_DESCRIPTION = "metadata."
_ENCRYPTED = 1  # a flag of a member


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


@contextmanager
def told_of(archives: Sequence[Path]) -> Iterator[None]:
    """What is wrong with a file inside is told with the archive's name, not with that of the folder it lies in."""
    folder = unpacked(archives)
    try:
        yield
    except InputError as error:
        text = str(error)
        for number, archive in enumerate(archives):
            place = folder if len(archives) == 1 else folder / f"{number:05d}"
            text = text.replace(str(place), str(archive))
        raise InputError(text, error.kind) from None


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
        _unpack_tar(archive, folder)
        return
    if not zipfile.is_zipfile(archive):
        raise InputError(f"{archive} is no zip and no tar, whatever its name says, or it is cut off")
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        twice = next((name for name, times in Counter(map(_name, members)).items() if times > 1), None)
        if twice is not None:
            raise InputError(f"{archive} has two files called {twice!r}; pack it anew with one of them")
        for member in members:
            if member.flag_bits & _ENCRYPTED:
                raise InputError(f"{archive} is encrypted; unpack it, and pass the folder")
            _extract(archive, zipped, member, folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        try:
            tar.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise InputError(f"{archive}: {error}") from None
        # The last that was read is an empty block, which stands for the end; what is cut off before it has none.
        if tar.fileobj is not None and tar.fileobj.tell() <= tar.offset:
            raise InputError(f"{archive} is cut off: its end is missing, and files may be")


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

"""A text of the user's that may stand in a file: `@system.txt`."""

from pathlib import Path

from tasks.core.errors import InputError


def text_or_file(flag: str, value: str | None) -> str | None:
    """`value`, or what is in the file behind its `@`. Two of them, `@@`, are a text that begins with one.

    Raises:
        InputError: the file cannot be read; names `flag`.
    """
    if value is None or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    path = Path(value[1:]).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{flag} {value}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise InputError(f"{flag} {value}: {error.strerror or error}", type(error).__name__) from None

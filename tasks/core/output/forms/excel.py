"""What Excel makes of a text, and how much of it: for the forms that are meant for it."""

import re

MOST_CELL_CHARS = 32_767  # of UTF-16
MOST_ROWS = 1_048_576  # of a sheet, with its header
# Also of full width, as Japanese and Korean keyboards write them: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile("[-=+@\uff0d\uff1d\uff0b\uff20\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?", re.IGNORECASE)


def harmless(text: str) -> str:
    """`text`, which Excel would take for a formula, behind an apostrophe. A number is none."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def length(text: str) -> int:
    """As Excel counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2

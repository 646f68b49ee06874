"""Makes text from data and models harmless where it is shown; what is kept and written to the CSV stays as it is.

One function for each edge: `visible` for terminals, logs and names, `markdown` for Prefect's artifacts.
"""

import difflib
import math
import re
import string
from collections.abc import Collection

# Control characters, which move the cursor or colour the screen, but no newline and no tab; the marks that turn
# the direction of writing, which make one text look like another; lone surrogates, which cannot be printed.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
UNIT_SECONDS = {"d": 86_400, "h": 3600, "m": 60}  # as a length of time is typed and shown
_PUNCTUATION = str.maketrans({character: f"\\{character}" for character in string.punctuation})


def visible(text: str) -> str:
    """`text` with what acts on a terminal instead of showing as an escape: `\\x1b[31m`. Any language's letters stay."""
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_escape, text)


def markdown(text: str) -> str:
    """`text` as Markdown that shows just this text, on one line: no link, no image, no HTML, no cell's end.

    A backslash before any ASCII punctuation makes it plain: https://spec.commonmark.org/0.31.2/#backslash-escapes
    """
    return visible(" ".join(text.split())).translate(_PUNCTUATION)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def counted(number: int, singular: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


def lasting(seconds: float) -> str:
    """`50 s`, `7 min 50 s`, `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def seconds_in(text: str) -> int | None:
    """Of `2d`, `6h` or `90m`; None of any other text."""
    match = re.fullmatch(r"(\d+)([dhm])", text)
    return int(match[1]) * UNIT_SECONDS[match[2]] if match else None


def closest(name: str, names: Collection[str]) -> str:
    """`; did you mean 'question'?`, or nothing where none of `names` is like it."""
    found = difflib.get_close_matches(name.lower(), {n.lower(): n for n in names}, 1)
    return next((f"; did you mean {n!r}?" for n in names if found and n.lower() == found[0]), "")


def one_line(text: str, most: int = 500) -> str:
    """API messages span lines, HTML pages span screens, and neither has to be text."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def money(dollars: float) -> str:
    """`$12.30`; below a dollar with as many digits as say something: `$0.0123`."""
    if dollars >= 1 or not dollars:
        return f"${dollars:,.2f}"
    return f"${dollars:.{max(2, 1 - math.floor(math.log10(abs(dollars))))}f}"


def writable(text: str) -> str:
    """Half a surrogate pair, which JSON can carry, cannot be written to a file: U+FFFD stands in its place."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

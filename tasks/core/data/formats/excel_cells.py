"""A cell of Excel as text: what Excel shows, but never rounded, with no ornament, and with dates in ISO 8601."""

import datetime
import re
from decimal import Decimal
from typing import Any

from openpyxl.utils.escape import unescape

# Of the formats of numbers those that add digits or a sign: `000`, `0.00`, `#,##0.0`, `0%`; `000-0000-0000`.
_DIGITS = re.compile(r"(?:#,##)?(0+)(?:\.(0+))?(%)?")
_GROUPS = re.compile(r"0+(?:[- ]0+)+")


def shown(cell: Any) -> str:
    """Whole numbers without a point, with the zeros and the sign of per cent of their format, TRUE and FALSE."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "")
    if isinstance(value, datetime.datetime) and not any((value.hour, value.minute, value.second, value.microsecond)):
        return value.date().isoformat()
    if isinstance(value, datetime.timedelta):
        return _hours(value)
    return _letters(value) if isinstance(value, str) else str(value)


def _number(value: int | float, number_format: str) -> str:
    if isinstance(value, int) and value >= 0 and _GROUPS.fullmatch(number_format):
        return _grouped(str(value), number_format)
    found = _DIGITS.fullmatch(number_format)
    if found is None or "e" in repr(value):
        return str(int(Decimal(repr(value)))) if float(value).is_integer() else str(value)
    zeros, places, per_cent = found.groups()
    number = Decimal(repr(value)) * (100 if per_cent else 1)
    whole, _, rest = format(abs(number), "f").partition(".")
    rest = rest.rstrip("0").ljust(len(places or ""), "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{whole.zfill(len(zeros))}{'.' if rest else ''}{rest}{per_cent or ''}"


def _grouped(digits: str, number_format: str) -> str:
    """From the right; what goes beyond stands in front."""
    left = list(digits.zfill(number_format.count("0")))
    shown = [left.pop() if sign == "0" else sign for sign in reversed(number_format)]
    return "".join(left) + "".join(reversed(shown))


def _hours(value: datetime.timedelta) -> str:
    """`30:00:00`: hours that go beyond a day."""
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _letters(value: str) -> str:
    """Excel writes letters that XML has none for as `_x000D_`, those beyond 16 bits in two halves."""
    return (
        unescape(value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if "_x" in value else value
    )

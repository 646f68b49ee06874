"""A cell of text that counts as a number beside numbers: files of CSV and JSON say `7`, not what it is."""

import operator
import re
from collections.abc import Callable
from typing import Any

from tasks.core.data.formats.json_values import Number

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


class Written(str):
    """A cell as it is written, digit for digit. Compared or reckoned with a number it is its own, if it is one.

    False for what is empty, 0 or `false`.
    """

    __slots__ = ()

    @property
    def number(self) -> int | float | None:
        """Its value, or None where it is not written as JSON writes a number."""
        if not (match := _NUMBER.fullmatch(self)):
            return None
        return int(self) if match[2] is match[3] is None else float(self)

    def __bool__(self) -> bool:
        return self.number != 0 and str.lower(self) != "false" and len(self) > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bool):
            return str.lower(self) == str(other).lower()
        return self.number == other if isinstance(other, int | float) else str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class WrittenNumber(Written, Number):
    """One that is a number in its data as well: JSON shows it without quotes."""

    __slots__ = ()


def _reckoned(name: str, swapped: bool) -> Callable[[Written, Any], Any]:
    """The operator of that name on the number, where the other side is one; else as text has it."""
    of_numbers = getattr(operator, name if name.startswith("__") else f"__{name}__")

    def reckon(self: Written, other: Any) -> Any:
        value = other.number if isinstance(other, Written) and name != "add" else other
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.number is None:
                raise TypeError(f"{str(self)!r} is no number")
            return of_numbers(value, self.number) if swapped else of_numbers(self.number, value)
        of_text = getattr(str, f"__{'r' if swapped else ''}{name}__", None)
        return of_text(self, other) if of_text else NotImplemented

    return reckon


def _of_number(name: str) -> Callable[..., Any]:
    """What Python asks of a number alone."""

    def ask(self: Written, *more: Any) -> Any:
        if self.number is None:
            raise TypeError(f"{str(self)!r} is no number")
        return getattr(self.number, name)(*more)

    return ask


for _name in ("__neg__", "__pos__", "__abs__", "__round__"):
    setattr(Written, _name, _of_number(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Written, f"__{_name}__", _reckoned(_name, False))
    setattr(Written, f"__r{_name}__", _reckoned(_name, True))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Written, f"__{_name}__", _reckoned(_name, False))

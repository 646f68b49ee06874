"""A condition on a row's cells: a Jinja expression, in the sandbox of templates. Must not read media or files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, meta

from tasks.core.errors import InputError
from tasks.core.prompts.sandbox import KNOWN, check_names, column_finder, environment
from tasks.core.text import visible

FLAG = "--where"


@lru_cache(maxsize=8)  # not kept in Condition, which travels to other processes
def _compiled(source: str) -> Any:
    return environment().compile_expression(source, undefined_to_none=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """`source`: names columns as `level`, or `row["a name"]`; `split` is the split's name."""

    source: str
    split: str = ""

    @property
    def names(self) -> set[str]:
        """What it asks for.

        Raises:
            InputError: it is no expression.
        """
        try:
            _compiled(self.source)
            return meta.find_undeclared_variables(column_finder().parse(f"{{{{ {self.source} }}}}"))
        except TemplateSyntaxError as error:
            raise InputError(f"{FLAG} {self.source!r} is no condition: {error.message}") from None

    def columns(self, there: Collection[str], media: Collection[str] = ()) -> tuple[str, ...]:
        """The columns that it reads, in the data's order.

        Raises:
            InputError: it asks for what is no column, or for one of `media`.
        """
        names = self.names
        check_names(FLAG, names, there)
        for name in sorted(names.intersection(media) - KNOWN):
            raise InputError(f"{FLAG} asks for column {name}, which holds media; it can ask for text and numbers")
        return tuple(name for name in there if name not in media and (name in names or "row" in names))

    def holds(self, cells: Mapping[str, Any]) -> bool:
        """Whether it does for a row.

        Raises:
            ValueError: that cannot be told, and why.
        """
        try:
            return bool(_compiled(self.source)({"row": cells, "split": self.split, **cells}))
        except Exception as error:  # as in a template
            raise ValueError(visible(str(error))) from None

"""A row's media without a data set."""

from typing import Any

from tasks.core.media.cell import Cell, cells_of


class OneCell:
    """A MediaReader whose every row has the same cell, read already."""

    has_columns = True

    def __init__(self, value: Any, images_only: bool = True) -> None:
        self._value, self._images_only = value, images_only

    def cells(self, row: int) -> list[Cell]:
        return cells_of("media", self._value, self._images_only)

    def read(self, cell: Cell) -> Any:
        return cell.value

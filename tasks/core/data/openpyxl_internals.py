"""Every touch of what openpyxl does not promise. A version that moves it fails tests/test_formats.py: merged cells."""

from typing import Any


def place_in_book(sheet: Any) -> str:
    """Name of a sheet's file in its book: where openpyxl reads row by row, it leaves out which cells are merged."""
    return str(sheet._worksheet_path)

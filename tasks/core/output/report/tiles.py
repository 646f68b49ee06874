"""The figures at the head of a report, in words."""

from collections.abc import Iterator
from typing import NamedTuple

from tasks.core.costs.prices import Price
from tasks.core.output.report.figures import Figures
from tasks.core.text import counted


class Tile(NamedTuple):
    label: str
    value: str
    note: str = ""


def tiles_of(figures: Figures, price: Price | None) -> list[Tile]:
    """What is known, and nothing else."""
    return list(_tiles(figures, price))


def _tiles(figures: Figures, price: Price | None) -> Iterator[Tile]:
    tally, usage = figures.tally, figures.tally.usage
    open_rows = f", {tally.retryable:,} can be sent again" if tally.retryable else ""
    yield Tile("rows", f"{tally.rows:,}", f"{tally.successes:,} with an answer, {tally.errors:,} without{open_rows}")
    if usage.total:
        yield Tile("prompt tokens", f"{usage.prompt_tokens:,}", _among(usage.cached_tokens, "cached"))
        yield Tile("answer tokens", f"{usage.answer_tokens:,}", _among(usage.thought_tokens, "thoughts"))
    if price and figures.dollars is not None:
        yield Tile("price", told_dollars(figures.dollars), f"{_a_thousand(figures)}by {price.source}")
    if (median := figures.latency(50)) is not None:
        yield Tile("latency, median", told_seconds(median), f"95 % below {told_seconds(figures.latency(95) or 0)}")
    if tally.images:
        left = f"{counted(tally.image_notes, 'row')} went without some" if tally.image_notes else ""
        yield Tile("rows with media", f"{tally.images:,}", left)
    if may := tally.timeouts + tally.lost:
        yield Tile("requests without an answer", f"{may:,}", "they may have been billed")


def told_dollars(dollars: float) -> str:
    return f"${dollars:,.2f}" if dollars >= 0.01 or not dollars else f"${dollars:.2g}"


def _a_thousand(figures: Figures) -> str:
    if figures.dollars is None or not figures.tally.rows:
        return ""
    return f"{told_dollars(1000 * figures.dollars / figures.tally.rows)} for 1,000 rows, "


def _among(tokens: int, what: str) -> str:
    return f"{tokens:,} of them {what}" if tokens else ""


def told_seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"

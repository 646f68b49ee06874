"""Two results side by side: what each came to, and row by row what differs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TextIO

from tasks.core.output.report.figures import Figures
from tasks.core.output.report.making import SORTS
from tasks.core.output.report.pairing import Pair, Pairing
from tasks.core.output.report.shown import Sort, details_of, shown_row, shown_side, tone
from tasks.core.output.report.sides import Side, SideRow
from tasks.core.output.report.spool import Spool
from tasks.core.output.report.tiles import told_dollars, told_seconds
from tasks.core.output.report.writing import write_page
from tasks.core.records import SUCCESSES, Kind


class Group(IntEnum):
    """What became of a pair."""

    SAME = 0
    DIFFERS = 1
    FIRST_ANSWERED = 2
    SECOND_ANSWERED = 3
    NEITHER = 4
    ONLY_FIRST = 5
    ONLY_SECOND = 6


_TOLD = {
    Group.SAME: ("same answer", "good"),
    Group.DIFFERS: ("answers differ", "cut"),
    Group.FIRST_ANSWERED: ("only A answered", "passing"),
    Group.SECOND_ANSWERED: ("only B answered", "passing"),
    Group.NEITHER: ("neither answered", "final"),
    Group.ONLY_FIRST: ("row of A alone", "open"),
    Group.ONLY_SECOND: ("row of B alone", "open"),
}
_SORTS = [Sort(sort.name, sort.unit, f"difference in {sort.name}", shown=False) for sort in SORTS]


@dataclass(slots=True)
class _Compared:
    groups: Counter[Group] = field(default_factory=Counter)
    figures: tuple[Figures, Figures] = field(default_factory=lambda: (Figures(), Figures()))


def write_comparison(file: TextIO, left: Side, right: Side) -> None:
    """Write the page about both."""
    compared, pairing = _Compared(), Pairing(left, right)
    with Spool([sort.name for sort in _SORTS]) as spool:
        for number, pair in enumerate(pairing.pairs()):
            _take(number, pair, spool, compared)
        held = spool.groups.total()
        rows = compared.groups.total()
        sample = f"this page holds {held:,} of them, evenly spread, what is rare whole" if held < rows else ""
        groups = list(_groups(compared))
        write_page(
            file,
            "compare.html.j2",
            spool,
            {
                "rows": rows,
                "sample": sample,
                "groups": groups,
                "tones": {kind: tone(kind) for kind in Kind},
                "sorts": [sort._asdict() for sort in _SORTS],
                "sides": [f"A: {left.name}", f"B: {right.name}"],
            },
            title="Two results compared",
            subtitle=f"A: {left.name}; B: {right.name}; rows are matched by {pairing.by}",
            names=[left.name, right.name],
            lines=list(_lines(*compared.figures)),
            thumbs={},
        )


def _take(number: int, pair: Pair, spool: Spool, compared: _Compared) -> None:
    group = _group(pair)
    compared.groups[group] += 1
    sides: list[dict[str, Any] | None] = []
    for side, figures in zip(pair, compared.figures, strict=True):
        details = details_of(side.row.answer) if side else {}
        if side:
            figures.add(side.row.answer, details, side.dollars)
        sides.append(shown_side(side.row.answer, details, side.dollars) if side else None)
    if spool.wants(number, group):
        known = pair.left or pair.right
        assert known
        media = known.row.answer.has_image
        spool.add(number, group, _apart(pair), shown_row(number, known.row.id, known.row.input_query, sides, media))


def _group(pair: Pair) -> Group:
    if pair.right is None:
        return Group.ONLY_FIRST
    if pair.left is None:
        return Group.ONLY_SECOND
    first, second = (side.row.answer.kind in SUCCESSES for side in (pair.left, pair.right))
    if first and second:
        texts = {side.row.answer.response.strip() for side in (pair.left, pair.right)}
        return Group.SAME if len(texts) == 1 else Group.DIFFERS
    return Group.FIRST_ANSWERED if first else Group.SECOND_ANSWERED if second else Group.NEITHER


def _apart(pair: Pair) -> list[float | None]:
    """How far both are apart, by each way to sort."""
    left, right = (_numbers(side) if side else [None] * len(_SORTS) for side in pair)
    return [None if a is None or b is None else abs(a - b) for a, b in zip(left, right, strict=True)]


def _numbers(side: SideRow) -> list[float | None]:
    answer = side.row.answer
    tokens = answer.prompt_tokens + answer.answer_tokens
    return [details_of(answer).get("latency_seconds"), tokens or None, len(answer.response)]


def _groups(compared: _Compared) -> Iterator[dict[str, Any]]:
    for group in Group:
        if rows := compared.groups[group]:
            name, colour = _TOLD[group]
            share = rows / compared.groups.total()
            yield {"number": int(group), "name": name, "tone": colour, "rows": rows, "share": share}


def _lines(*sides: Figures) -> Iterator[tuple[str, list[str]]]:
    """The figures of both, a line each; what neither knows is left out."""
    yield "rows", [f"{side.tally.rows:,}" for side in sides]
    yield "with an answer", [f"{side.tally.successes:,}" for side in sides]
    for kind in Kind:
        if kind is not Kind.ANSWERED and any(side.tally.kinds[kind] for side in sides):
            yield kind, [f"{side.tally.kinds[kind]:,}" for side in sides]
    for name in ("prompt_tokens", "cached_tokens", "answer_tokens", "thought_tokens"):
        if any(numbers := [getattr(side.tally.usage, name) for side in sides]):
            yield name.replace("_", " "), [f"{number:,}" for number in numbers]
    if any(side.dollars is not None for side in sides):
        yield "price", [told_dollars(side.dollars) if side.dollars is not None else "not known" for side in sides]
    for label, percent in (("latency, median", 50), ("latency, 95 % below", 95)):
        latencies = [side.latency(percent) for side in sides]
        if any(known is not None for known in latencies):
            yield label, [told_seconds(each) if each is not None else "not known" for each in latencies]

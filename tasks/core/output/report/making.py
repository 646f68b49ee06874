"""Makes the report of a result: its rows go by once, and a page comes out. Knows no name of a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tasks.core.config.parameters import RunConfig
from tasks.core.costs.prices import Price
from tasks.core.output.report import plots
from tasks.core.output.report.again import again
from tasks.core.output.report.figures import Figures
from tasks.core.output.report.reasons import Reason
from tasks.core.output.report.shown import Sort, details_of, priced, shown_row, shown_side, tone
from tasks.core.output.report.spool import Spool
from tasks.core.output.report.thumbnails import Shown, Thumbnails
from tasks.core.output.report.tiles import tiles_of
from tasks.core.output.report.writing import write_page
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind

SORTS = (
    Sort("latency", "s", "latency"),
    Sort("tokens", "tokens", "tokens"),
    Sort("length", "characters", "length of the answer", shown=False),
)
_KINDS = list(Kind)
SIZE = {"width": plots.WIDTH, "height": plots.HEIGHT, "left": plots.LEFT, "bottom": plots.BOTTOM}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about. `folder`: where commands are to be typed; `price`: None where nobody knows it."""

    title: str
    csv: Path
    config: RunConfig
    price: Price | None = None
    folder: Path | None = None


def write_report(file: TextIO, subject: Subject, rows: Iterable[ResultRow], thumbnails: Thumbnails | None) -> None:
    """Write the page about `rows`, which come in the order of the data. `thumbnails`: None where no row has media."""
    figures = Figures()
    with Spool([sort.name for sort in SORTS]) as spool:
        for row in rows:
            _take(row, subject.price, spool, figures, thumbnails)
        thumbs = thumbnails.finish() if thumbnails else {}
        _write(file, subject, spool, figures, thumbs)


def _write(file: TextIO, subject: Subject, spool: Spool, figures: Figures, thumbs: dict[int, list[Shown]]) -> None:
    groups = list(groups_of(figures))
    write_page(
        file,
        "report.html.j2",
        spool,
        {
            "rows": figures.tally.rows,
            "sample": told_sample(spool, figures),
            "groups": groups,
            "tones": {kind: tone(kind) for kind in Kind},
            "sorts": [sort._asdict() for sort in SORTS],
            "sides": ["answer"],
        },
        title=subject.title,
        subtitle=_subtitle(subject, figures, thumbs),
        tiles=tiles_of(figures, subject.price),
        plots=list(plots.plots_of(figures)),
        size=SIZE,
        reasons=[_told(reason, subject) for reason in figures.reasons.most_first()],
        thumbs=thumbs,
    )


def _take(row: ResultRow, price: Price | None, spool: Spool, figures: Figures, thumbnails: Thumbnails | None) -> None:
    answer = row.answer
    details, dollars = details_of(answer), priced(price, answer)
    figures.add(answer, details, dollars)
    group = _KINDS.index(answer.kind)
    if not spool.wants(answer.row, group):
        return
    tokens = answer.prompt_tokens + answer.answer_tokens
    numbers = (details.get("latency_seconds"), tokens or None, len(answer.response))
    side = shown_side(answer, details, dollars)
    spool.add(answer.row, group, numbers, shown_row(answer.row, row.id, row.input_query, [side], answer.has_image))
    if thumbnails and answer.has_image:
        thumbnails.ask(answer.row)


def groups_of(figures: Figures) -> Iterator[dict[str, Any]]:
    """The kinds that there are, most first."""
    for kind, rows in figures.tally.kinds.most_common():
        share = rows / figures.tally.rows
        yield {"number": _KINDS.index(kind), "name": str(kind), "tone": tone(kind), "rows": rows, "share": share}


def told_sample(spool: Spool, figures: Figures) -> str:
    """Empty where the page has every row."""
    kept = spool.groups
    shares = [
        f"{kept[_KINDS.index(kind)]:,} of {rows:,} {kind}"
        for kind, rows in figures.tally.kinds.most_common()
        if kept[_KINDS.index(kind)] < rows
    ]
    return f"this page holds a sample, evenly spread: {', '.join(shares)}; the result file has all" if shares else ""


def _subtitle(subject: Subject, figures: Figures, thumbs: dict[int, list[Shown]]) -> str:
    told = [f"written {datetime.now(UTC).astimezone():%Y-%m-%d %H:%M %Z}", f"beside {subject.csv.name}"]
    if subject.config.demo:
        told.append("a demo: the answers are made up")
    if 0 < len(thumbs) < figures.tally.images:
        told.append(f"thumbnails of {len(thumbs):,} of {figures.tally.images:,} rows with media")
    return ", ".join(told)


def _told(reason: Reason, subject: Subject) -> dict[str, Any]:
    flags, command = again(reason.kind, subject.config, subject.folder)
    return {
        "kind": str(reason.kind),
        "tone": tone(reason.kind),
        "text": reason.text,
        "count": reason.count,
        "rows": reason.rows,
        "flags": flags,
        "command": command,
    }

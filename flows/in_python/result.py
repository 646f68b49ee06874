"""What `infer(...)` returns in Python: where the result is, what became of the rows, and the rows as a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from flows.in_python.caller import Ended
from flows.in_python.widget import NO_FORMULAS
from flows.outcome import Heard
from tasks.core.errors import RunIncomplete
from tasks.core.output.forms.form import PARQUET
from tasks.core.output.place import beside, report_path
from tasks.core.records import SUCCESSES
from tasks.core.reporting.tally import Tally
from tasks.core.text import visible

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS, SHOWN_CHARS = 5, 200
_SHOWN = ["id", "input_query", "response", "kind"]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run. `state`: how it ended, as Prefect calls it; `message`: in words, with what is to be done next.

    `outcome`: what the command line prints of a run.
    """

    state: str
    message: str
    ended: Ended
    outcome: Heard = field(default_factory=Heard)

    @property
    def csv(self) -> Path | None:
        """None where the run ended before every row had an answer, or a reason that it has none."""
        return self.ended.csv

    @property
    def report(self) -> Path | None:
        """The HTML report, where it is there."""
        path = self.csv and report_path(self.csv)
        return path if path and path.exists() else None

    @property
    def tally(self) -> Tally:
        """Rows by outcome, tokens, images."""
        return self.ended.tally

    @property
    def cost(self) -> float | None:
        """Dollars of this run; None where no price is known."""
        return self.ended.spent.dollars

    def dataframe(self) -> "pd.DataFrame":
        """A line a row, in the order of the data, with all that is known of each (README, "Result").

        Raises:
            RunIncomplete: the run has written no result.
        """
        import pandas as pd

        if self.csv is None:
            raise RunIncomplete(self.message)
        return pd.read_parquet(beside(self.csv, PARQUET.suffix))

    @property
    def failed(self) -> "pd.DataFrame":
        """The rows of `dataframe` that have no answer; `kind` and `error_message` say why."""
        rows = self.dataframe()
        return rows[~rows["kind"].isin(SUCCESSES)]

    @property
    def ending(self) -> str:
        """What `message` adds to `outcome`."""
        return visible(self.outcome.ending(self.message, self.state == "Completed"))

    def __str__(self) -> str:
        return "\n".join(filter(None, (*map(visible, self.outcome.table()), self.ending)))

    def __repr__(self) -> str:
        return visible(f"<Result {self.state}: {self.message}>")

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(self.state)}</b> {escape(self.ending)}</p>", _table(self.outcome.lines)]
        if self.csv:
            parts.append(_table(self.dataframe()[_SHOWN].head(SHOWN_ROWS).values.tolist(), _SHOWN))
        return f'<div class="{NO_FORMULAS}">{"".join(parts)}</div>'


def _table(rows: Iterable[Iterable[object]], head: Sequence[str] = ()) -> str:
    """To the left, where notebooks put it to the right."""

    def line(cells: Iterable[object], tag: str) -> str:
        told = (f'<{tag} style="text-align: left">{escape(_shortened(cell))}</{tag}>' for cell in cells)
        return f"<tr>{''.join(told)}</tr>"

    lines = [*([line(head, "th")] if head else []), *(line(row, "td") for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _shortened(cell: object) -> str:
    text = "" if cell is None else visible(str(cell))
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"

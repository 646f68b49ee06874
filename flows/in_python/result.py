"""What `infer(...)` returns in Python: where the result is, what became of the rows, and the rows as a table."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from flows.in_python.caller import Ended
from tasks.core.errors import RunIncomplete
from tasks.core.output.forms.form import PARQUET
from tasks.core.output.place import beside, report_path
from tasks.core.records import SUCCESSES
from tasks.core.reporting.cost_words import cost_range
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, visible

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS, SHOWN_CHARS = 5, 200
_SHOWN = ["id", "input_query", "response", "kind"]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run. `state`: how it ended, as Prefect calls it; `message`: in words, with what is to be done next."""

    state: str
    message: str
    ended: Ended

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

    def __repr__(self) -> str:
        return visible(f"<Result {self.state}: {self.message}>")

    def _repr_html_(self) -> str:
        kinds = "".join(f"<tr><td>{kind}</td><td>{n:,}</td></tr>" for kind, n in self.tally.kinds.most_common())
        done = f"{self.tally.rows:,} of {counted(self.ended.rows, 'row')}"
        lines = [
            f"<p><b>{escape(self.state)}</b>: {escape(visible(self.message))}</p>",
            f"<table><tr><th>{done}</th><th>{escape(cost_range(self.ended.spent))}</th></tr>{kinds}</table>",
            *[f"<p>{name}: <code>{escape(str(path))}</code></p>" for name, path in self._files() if path],
        ]
        if self.csv:
            first = self.dataframe()[_SHOWN].head(SHOWN_ROWS).map(_shortened)
            lines.append(first.to_html(index=False, escape=True))
        return "".join(lines)

    def _files(self) -> list[tuple[str, Path | None]]:
        return [("CSV", self.csv), ("Report", self.report)]


def _shortened(cell: object) -> str:
    text = "" if cell is None else visible(str(cell))
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"

"""Counts outcomes and puts them into words: the progress bar, log lines, the summary. Decides nothing."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tasks.core.chunks import Plan
from tasks.core.escaping import markdown
from tasks.core.records import Kind, RowResult, Usage

LOG_EVERY_SECONDS = 30.0
SAMPLE_OF_ERRORS = 10
MOST_CELL_CHARS = 200


@dataclass(slots=True)
class Tally:
    """Outcomes of some rows: how many of each kind, images sent, tokens billed, answers of models not asked for."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    images: int = 0
    image_notes: int = 0
    open: int = 0
    timeouts: int = 0
    usage: Usage = field(default_factory=Usage)
    other_models: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, results: Iterable[RowResult]) -> "Tally":
        tally = cls()
        for result in results:
            tally.add(result)
        return tally

    def add(self, result: RowResult) -> None:
        self.kinds[result.kind] += 1
        self.images += result.has_image
        self.image_notes += bool(result.image_note)
        self.open += result.open
        self.timeouts += result.timeouts
        self.usage += Usage(result.prompt_tokens, result.answer_tokens)
        if result.answered_by:
            self.other_models[result.answered_by] += 1

    @property
    def rows(self) -> int:
        return self.kinds.total()

    @property
    def successes(self) -> int:
        return self.kinds[Kind.ANSWERED] + self.kinds[Kind.TRUNCATED]

    @property
    def errors(self) -> int:
        return self.rows - self.successes

    def __str__(self) -> str:
        """`9 answered, 1 blocked`, most first."""
        return ", ".join(f"{n:,} {kind}" for kind, n in self.kinds.most_common()) or "no rows"


class Progress:
    """Counts the rows of a run: a bar on a terminal, elsewhere a log line now and then."""

    def __init__(
        self, total: int, reused: int, model: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self.tally = Tally()
        self._total, self._reused, self._model, self._logger = total, reused, model, logger
        self._started = self._logged_at = time.monotonic()
        self._bar: tqdm[Any] = tqdm(
            total=total, initial=reused, unit="row", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._above_bar = logging_redirect_tqdm()  # log lines scroll by above the bar

    def add(self, result: RowResult) -> None:
        self.tally.add(result)
        if self.tally.other_models.get(result.answered_by) == 1:
            self._say_model(result.answered_by)
        self._bar.set_postfix_str(f"{self.tally.successes:,} ok, {self.tally.errors:,} errors", refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = now
            self._logger.info(self.line(now))

    def _say_model(self, answered_by: str) -> None:
        """An alias is there to stand for another model; a retired model that is routed elsewhere has another price."""
        level = logging.INFO if "latest" in self._model else logging.WARNING
        self._logger.log(level, "%s is answered by %s", self._model, answered_by)

    @property
    def percent(self) -> float:
        return 100 * (self._reused + self.tally.rows) / max(self._total, 1)

    def line(self, now: float) -> str:
        done = self._reused + self.tally.rows
        rate = self.tally.rows / max(now - self._started, 1e-9)
        return f"{done:,} of {self._total:,} rows, {self.tally.errors:,} errors, {rate:.1f} rows/s"

    def __enter__(self) -> Self:
        if not self._bar.disable:
            self._above_bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if not self._bar.disable:
            self._above_bar.__exit__(*error)
        self._bar.close()


class LimitLog:
    """Says how many requests may be in flight when that has changed by much; not at every step of the way."""

    def __init__(self, most: int, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._said, self._most, self._logger = most, most, logger

    def __call__(self, limit: int) -> None:
        if limit <= 0.7 * self._said or limit >= min(1.4 * self._said, self._most):
            why = "the API falls behind" if limit < self._said else "the API keeps up"
            self._logger.info("%s: at most %d requests in flight now, of %d", why, limit, self._most)
            self._said = limit


class OutageLog:
    """Says that nobody is answered, what becomes of the rows, and that it is over."""

    def __init__(self, give_up_seconds: float, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._give_up_seconds, self._logger = give_up_seconds, logger

    def __call__(self, why: str, seconds: float) -> None:
        if why:
            self._logger.warning(
                "no row is answered any more (%s): all wait, now and then one tries; after %s s without an answer the "
                "run stops (--give-up-seconds)",
                why,
                f"{self._give_up_seconds:g}",
            )
        else:
            self._logger.info("the API answers again, after %.0f s", seconds)


def stopping_line(on_their_way: int, grace_seconds: float, failing: bool = False) -> str:
    """What the first Ctrl+C sets going. `failing`: answers cannot be saved at the moment."""
    if failing:
        return "stopping: answers cannot be saved yet, one more try for some seconds; Ctrl+C again leaves now"
    if not on_their_way:
        return "stopping: no answer is on its way"
    answers = "1 answer on its way" if on_their_way == 1 else f"{on_their_way:,} answers on their way"
    return f"stopping: {answers}, at most {grace_seconds:g} s; Ctrl+C again leaves now"


def plan_line(plan: Plan, settings_changed: bool) -> str:
    """What a resumed run is about to do, before money is spent."""
    line = f"{len(plan.reused):,} rows reused from the checkpoint, {plan.to_send:,} to send"
    if plan.reasons:
        line += " (" + ", ".join(f"{n:,} {reason}" for reason, n in plan.reasons.most_common()) + ")"
    if settings_changed and not plan.reused:
        line += "; the model or generation settings changed, so nothing can be reused"
    return line


def summary_lines(tally: Tally, seconds: float, reused: int) -> list[str]:
    """The end of a run, for people."""
    sent = tally.rows - reused
    lines = [
        f"{tally.rows:,} rows: {tally.successes:,} success, {tally.errors:,} error ({tally})",
        f"{sent:,} rows in {seconds:.1f} s"
        + (f", {reused:,} reused from the checkpoint" if reused else "")
        + f"; {tally.images:,} images sent; tokens: {tally.usage.prompt_tokens:,} prompt,"
        f" {tally.usage.answer_tokens:,} answer",
    ]
    if tally.image_notes:
        lines.append(f"images that could not be sent: {tally.image_notes:,}; error_message says why")
    if tally.timeouts:
        lines.append(f"requests that timed out and may have been billed: {tally.timeouts:,}")
    for model, rows in tally.other_models.most_common():
        lines.append(f"answered by {model}, not by the model asked for: {rows:,} rows")
    return lines


def summary_markdown(title: str, tally: Tally, rows: int, csv: Path | None, results: Iterable[RowResult]) -> str:
    """The same as a Prefect artifact, with a sample of errors; of an unfinished run, which has no CSV, as well."""
    done = f"{tally.rows:,} rows" if csv else f"{tally.rows:,} of {rows:,} rows"
    where = f"CSV: {markdown(str(csv))}" if csv else "No CSV yet: `--resume` or Retry goes on."
    table = [f"| {kind} | {n:,} | {n / tally.rows:.1%} |" for kind, n in tally.kinds.most_common()]
    failed = [r for r in results if r.status == "error"][:SAMPLE_OF_ERRORS]
    sample = [f"| {_cell(r.id)} | {_cell(r.error_message)} |" for r in failed]
    lines = [
        f"# {markdown(title)}",
        f"{done}, {tally.successes:,} success, {tally.errors:,} error. {where}",
        f"Tokens: {tally.usage.prompt_tokens:,} prompt, {tally.usage.answer_tokens:,} answer.",
        *["", "| outcome | rows | share |", "|---|---|---|", *table],
    ]
    if sample:
        lines += ["", "## Errors (the first of them)", "| id | error |", "|---|---|", *sample]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return markdown(text[:MOST_CELL_CHARS])

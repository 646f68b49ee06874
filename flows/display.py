"""Shows on a terminal how a run is going, and elsewhere says so now and then. Counts nothing: see core/reporting.

What is printed to stderr meanwhile, log lines above all, scrolls by above the display.
"""

import contextvars
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tasks.core.reporting.progress import Progress

LINE_SECONDS = 30.0
TIMES_A_SECOND = 4
MOST_BAR = 40


class Display:
    """What rich draws of a run, again and again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        progress = self._progress
        rows = Text(f"{progress.done:,} of {progress.total:,} rows, {progress.percent:.0f} %")
        bar = Table.grid(padding=(0, 2))
        width = max(8, min(MOST_BAR, options.max_width - len(rows) - 2))
        bar.add_row(ProgressBar(max(progress.total, 1), progress.done, width), rows)
        sending = Text("; ").join([Text(progress.in_flight), Text(progress.hold, "yellow")])
        if not (progress.in_flight and progress.hold):
            sending = Text(progress.in_flight)
        lines = [Text(progress.pace), _outcomes(progress), Text(progress.cost), sending]
        yield Group(bar, *filter(None, lines))


def _outcomes(progress: Progress) -> Text:
    return Text(progress.outcomes, "red" if progress.tally.errors else "")


@contextmanager
def displayed(progress: Progress, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Iterator[None]:
    """For the length of the block: a display where stderr is a terminal, a line of the log every 30 s elsewhere."""
    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with Live(
            Display(progress),
            console=console,
            refresh_per_second=TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
        ):
            yield
        return
    over = threading.Event()
    in_context = contextvars.copy_context().run  # where Prefect keeps the run whose log it is
    thread = threading.Thread(target=in_context, args=(_say_lines, progress, logger, over), name="lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _say_lines(
    progress: Progress, logger: logging.Logger | logging.LoggerAdapter[logging.Logger], over: threading.Event
) -> None:
    while not over.wait(LINE_SECONDS):
        logger.info(progress.line)

"""Shows on a terminal how a run is going, and elsewhere says so now and then. Counts nothing: see core/reporting.

What is printed to stderr meanwhile, log lines above all, scrolls by above the display.
"""

import contextvars
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.in_python.caller import caller
from flows.logs import warnings_alone
from flows.runners.signals import STDERR
from tasks.core.reporting.progress import Progress

LINE_SECONDS, SILENT_SECONDS = 30.0, 3600.0
TIMES_A_SECOND = 4
MOST_BAR = 40


class Display:
    """What rich draws of a run, again and again, where there is a terminal."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self._height = progress, 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        progress = self.progress
        rows = Text(f"{progress.rows}, {progress.percent:.0f} %")
        bar = Table.grid(padding=(0, 2))
        width = max(8, min(MOST_BAR, options.max_width - len(rows) - 2))
        bar.add_row(ProgressBar(max(progress.total, 1), progress.done, width), rows)
        sending = Text("; ").join(filter(None, [Text(progress.in_flight), Text(progress.hold, "yellow")]))
        came: list[Text] = [_outcomes(progress), Text(progress.cost)] if progress.some_came else []
        lines = [Text(progress.pace), *came, *map(Text, progress.batches), sending, _hint(progress)]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"  # the rarest kinds of errors stand last
        shown: list[RenderableType] = [bar, *filter(None, lines)]
        self._height = len(shown)
        yield Group(*shown)

    def wipe(self) -> None:
        """Off the screen, before a process that ends at once; from a handler of signals, where rich may hold a lock."""
        if self._height:
            with suppress(OSError):
                os.write(STDERR, b"\r\x1b[2K" + b"\x1b[1A\x1b[2K" * (self._height - 1))


def _outcomes(progress: Progress) -> Text:
    return Text(progress.outcomes, "red" if progress.tally.errors else "")


def _hint(progress: Progress) -> Text:
    """Most jobs end in minutes, but who looks does not know."""
    return Text("Ctrl+C leaves batch jobs at work" if progress.jobs and not progress.stopping else "", "dim")


@contextmanager
def displayed(progress: Progress, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Iterator[Display]:
    """For the length of the block: a display where stderr is a terminal, a line of the log every 30 s elsewhere.

    A notebook shows `progress` itself.
    """
    console, display = Console(stderr=True), Display(progress)
    if waiting := caller():
        waiting.progress = progress
        if waiting.watches:
            with warnings_alone():
                yield display
            return
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with Live(
            display,
            console=console,
            refresh_per_second=TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
        ):
            yield display
        return
    over = threading.Event()
    in_context = contextvars.copy_context().run  # where Prefect keeps the run whose log it is
    thread = threading.Thread(target=in_context, args=(_say_lines, progress, logger, over), name="lines", daemon=True)
    thread.start()
    try:
        yield display
    finally:
        over.set()


def _say_lines(
    progress: Progress, logger: logging.Logger | logging.LoggerAdapter[logging.Logger], over: threading.Event
) -> None:
    """Of batch jobs, which may take a day, only what is new, and once an hour that nothing is."""
    said, silent_seconds = None, 0.0
    while not over.wait(LINE_SECONDS):
        silent_seconds += LINE_SECONDS
        if progress.is_by_batches and progress.standing == said and silent_seconds < SILENT_SECONDS:
            continue
        said, silent_seconds = progress.standing, 0.0
        logger.info(progress.line)

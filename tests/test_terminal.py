"""The display on a pseudo-terminal: what a person sees of it, and that nothing of it stays."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flows import display
from flows.display import displayed
from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.batches import AtWork, BatchJob, Making, Step
from tasks.core.costs.prices import price_of
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.progress import Progress
from tests.terminal import Terminal

LOGGER = logging.getLogger("terminal")


@contextmanager
def in_the_place_of_stderr(width: int) -> Iterator[Terminal]:
    """What is displayed is drawn anew when something is printed, and not in between."""
    with (
        Terminal(width) as terminal,
        Path(terminal.path).open("w", buffering=1) as stderr,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", str(width))  # rich asks the descriptors of the process, which are pytest's
        patch.setattr(sys, "stderr", stderr)
        patch.setattr(display, "STDERR", stderr.fileno())
        patch.setattr(display, "TIMES_A_SECOND", 0.01)
        yield terminal


@pytest.fixture
def progress() -> Progress:
    """Of a million rows, with an error of each kind and all that can be said."""
    model = "gemini-2.5-flash"
    made = Progress(1_000_000, 0, model, LOGGER, price_of(model, None), lambda: 0.0, lambda: 0.0)
    answer = RowAnswer(row=0, id="", key="", kind=Kind.ANSWERED, prompt_tokens=2_000_000_000, answer_tokens=1)
    for kind in Kind:
        made.add(replace(answer, kind=kind))
        made.tally.kinds[kind] = 12_345
    made.traffic = lambda: Traffic(1_000, 1_000, Hold.SLOWED, 12_345)
    jobs = [(900_000, BatchJob(f"b/{n}", state=state, succeeded=800_000)) for n, state in enumerate(("RUNNING", "X"))]
    made.at_work = AtWork.of(jobs, next_look=299.0, deadline=171_000.0)
    made.making = Making(Step.FINDING, 5_000, 0)
    return made


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_shown_wraps_nowhere_bears_ctrl_c_and_leaves_no_trace(width: int, progress: Progress) -> None:
    said = "12:00:00 21 rows to send"
    with in_the_place_of_stderr(width) as terminal:
        with displayed(progress, LOGGER):
            print(said, file=sys.stderr)
            under_way = terminal.screen()
            terminal.press_ctrl_c()
            progress.stopping = True
            print("12:00:01 warning: stopping", file=sys.stderr)
            stopping = terminal.screen()
        over = terminal.screen()
    assert under_way.lines[0] == said
    for words in ("rows collected", "24,690 ok, ", "tokens, $", "in flight; waiting", "2 batch jobs", "next look in"):
        assert sum(words in line for line in under_way.lines) == 1, words
    assert any("; stopping" in line for line in stopping.lines)
    assert over.lines == [said, "12:00:01 warning: stopping"]
    assert over.wrapped == []


def test_a_process_that_ends_at_once_takes_its_display_along(progress: Progress) -> None:
    with in_the_place_of_stderr(80) as terminal, displayed(progress, LOGGER) as shown:
        print("12:00:00 21 rows to send", file=sys.stderr)
        before = terminal.screen()
        shown.wipe()
        after = terminal.screen()
    assert len(before.lines) > 5
    assert after.lines == ["12:00:00 21 rows to send"]

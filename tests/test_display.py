"""What a terminal shows of a run: drawn for a console of a given width, by a clock that tests turn by hand."""

import io
import logging
import sys
from dataclasses import replace

import pytest
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console

from flows.display import Display, _say_lines, displayed
from flows.in_python.caller import calling
from flows.logs import quiet_console
from flows.outcome import hearing, tell
from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.batches import AtWork, BatchJob, Making, Step
from tasks.core.costs.prices import price_of
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.batch_words import stopping_words
from tasks.core.reporting.progress import Progress

MODEL = "gemini-2.5-flash"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(progress: Progress, width: int, **terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, **terminal)  # type: ignore[arg-type]
    console.print(Display(progress))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def answer(row: int, kind: Kind = Kind.ANSWERED) -> RowAnswer:
    return RowAnswer(row=row, id="", key="", kind=kind, prompt_tokens=900, answer_tokens=100)


@pytest.fixture
def under_way() -> Progress:
    """Of 1,000 rows 600 are done, 10 a second; 100 of them were there before."""
    clock = Clock()
    progress = Progress(1000, 100, MODEL, logging.getLogger("p"), price_of(MODEL, None), clock)
    for row in range(500):
        clock.now += 0.1
        progress.add(answer(row, Kind.BLOCKED if row in (3, 4) else Kind.TIMEOUT if row == 9 else Kind.ANSWERED))
    return progress


@pytest.mark.parametrize("width", [80, 120])
def test_a_display_says_how_far_how_fast_and_what_it_costs(under_way: Progress, width: int) -> None:
    """On lines that fit; done rows with those that were there before, time left by the others."""
    under_way.traffic = lambda: Traffic(8, 10)
    lines = drawn(under_way, width)
    assert [line.rstrip() for line in lines[1:]] == [
        "10.0 rows/s, 40 s left",
        "497 ok, 3 errors (2 blocked, 1 timeout)",
        "500,000 tokens, $0.26 so far, about $0.47 in the end",
        "8 of 10 requests in flight",
    ]
    assert lines[0].rstrip().endswith("600 of 1,000 rows, 60 %")
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("traffic", "outage", "said"),
    [
        (Traffic(0, 8, Hold.RATE_LIMIT, 26.2), "", "0 of 8 requests in flight; waiting 26 s: rate limit"),
        (Traffic(1, 1, Hold.OUTAGE), "server_error: 503", "1 of 1 request in flight; API overloaded: probing"),
        (
            Traffic(3, 3, Hold.OUTAGE, 9),
            "network: no route",
            "3 of 3 requests in flight; no answers (network): probing",
        ),
        (Traffic(2, 5, Hold.OWN_LIMIT, 61), "", "2 of 5 requests in flight; waiting 1 min 1 s: --rpm or --tpm"),
        (Traffic(9, 9), "", "9 of 9 requests in flight"),
    ],
)
def test_why_it_is_slow_is_said(under_way: Progress, traffic: Traffic, outage: str, said: str) -> None:
    """On the display, and in the line that stands for it where there is no terminal."""
    under_way.traffic, under_way.outage = lambda: traffic, outage
    assert drawn(under_way, 80)[-1].rstrip() == said
    assert under_way.line.endswith(f"; {said}")


def test_a_pause_shows_in_the_rate_and_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    progress = Progress(10_000, 0, MODEL, logging.getLogger("p"), clock=clock)
    paces = []
    for seconds, rows in [(10, 100), (10, 0), (70, 1400)]:
        for row in range(rows):
            clock.now += seconds / rows
            progress.add(answer(row))
        clock.now += 0 if rows else seconds
        paces.append(progress.pace)
    assert paces == ["10.0 rows/s, 16 min 30 s left", "5.0 rows/s, 33 min 0 s left", "20.0 rows/s, 7 min 5 s left"]


def test_one_is_singular_and_nothing_is_guessed_before_the_first_answer() -> None:
    progress = Progress(2, 0, MODEL, logging.getLogger("p"), clock=Clock())
    assert progress.pace == "0.0 rows/s"
    progress.add(answer(0, Kind.BLOCKED))
    assert progress.outcomes == "0 ok, 1 error (1 blocked)"
    assert "error" in "".join(drawn(progress, 80, no_color=True, force_terminal=True))


@pytest.fixture
def by_batches() -> Progress:
    """Of 1,000 rows 600 are collected, 100 of them were there before; the others are in two jobs."""
    clock = Clock()
    progress = Progress(1000, 100, MODEL, logging.getLogger("p"), price_of(MODEL, None), clock, lambda: 5_000.0)
    for row in range(500):
        progress.add(replace(answer(row), service_tier="batch"))
    clock.now = 725.0
    jobs = [(250, BatchJob("b/1", state="RUNNING", succeeded=140, failed=10)), (150, BatchJob("b/2", state="PENDING"))]
    progress.at_work = AtWork.of(jobs, next_look=5_250.0, deadline=5_000.0 + 5.2 * 3600)
    return progress


@pytest.mark.parametrize("width", [80, 120])
def test_who_waits_for_batch_jobs_sees_how_they_are_and_when_they_are_looked_at(
    by_batches: Progress, width: int
) -> None:
    by_batches.making = Making(Step.UPLOADING, 5000, 200_000_000, 48_000_000)
    lines = drawn(by_batches, width)
    assert [line.rstrip() for line in lines[1:]] == [
        "waiting for 12 min 5 s",
        "500 ok, 0 errors",
        "500,000 tokens, $0.13 so far, about $0.23 in the end, at half price",
        "2 batch jobs: 1 running, 1 pending; 150 of 400 rows done at Google",
        "next look in 4 min 10 s; deadline in 5 h 12 min",
        "uploading a batch job: 48.0 of 200.0 MB, 5,000 rows",
        "Ctrl+C leaves batch jobs at work",
    ]
    assert lines[0].rstrip().endswith("600 of 1,000 rows collected, 60 %")
    assert max(map(len, lines)) <= width


def test_a_log_hears_of_batch_jobs_what_is_new_and_once_an_hour_that_nothing_is(
    by_batches: Progress, caplog: pytest.LogCaptureFixture
) -> None:
    """A run online says a line each half minute."""

    class Waits:
        """Of half a minute each; in the fifth a job begins to run."""

        count = 0

        def wait(self, seconds: float) -> bool:
            self.count += 1
            if self.count == 5 and by_batches.at_work:
                by_batches.at_work = replace(by_batches.at_work, states=(("RUNNING", 2),))
            return self.count > self.most

        def __init__(self, most: int) -> None:
            self.most = most

    logger = logging.getLogger("heard")
    with caplog.at_level(logging.INFO, "heard"):
        _say_lines(by_batches, logger, Waits(2 + 3 * 120))  # type: ignore[arg-type]
        assert [("2 running" in line, line.count("\n")) for line in caplog.messages] == [(False, 0), *[(True, 0)] * 3]
        caplog.clear()
        by_batches.at_work = None
        _say_lines(by_batches, logger, Waits(4))  # type: ignore[arg-type]
        assert len(caplog.messages) == 4


@pytest.mark.parametrize(
    ("step", "jobs", "said"),
    [
        (None, 2, "stopping: 2 batch jobs with 400 rows go on at Google"),
        (Step.PACKING, 1, "stopping: 1 batch job with 250 rows goes on at Google"),
        (Step.PACKING, 0, "stopping: no batch job is at work"),
        (Step.CREATING, 1, "stopping: the API has been asked for a batch job, and its word is waited for"),
        (None, 0, ""),
    ],
)
def test_a_stop_says_what_goes_on_without_the_run(step: Step | None, jobs: int, said: str) -> None:
    at_work = AtWork.of([(250, BatchJob("b/1")), (150, BatchJob("b/2"))][:jobs], 0.0, None)
    assert stopping_words(at_work, Making(step, 1, 1) if step else None).partition("; Ctrl")[0] == said


def test_log_lines_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and message; the level where it is worth a word, the library that speaks; no address that dies."""
    root, stderr, heard = logging.getLogger(), io.StringIO(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [PrefectConsoleHandler(), logging.StreamHandler(heard)])
    monkeypatch.setattr(sys, "stderr", stderr)
    quiet_console()
    for name, level, message in [
        ("prefect.flow_runs", logging.INFO, "21 rows to send"),
        ("prefect.flow_runs", logging.WARNING, "no price"),
        ("prefect.flow_runs", logging.INFO, "Beginning flow run 'x' for flow 'infer'"),
        ("urllib3", logging.WARNING, "pool is full"),
        ("tasks.core.answering.batch.submitting", logging.WARNING, "no room"),
    ]:
        record = logging.LogRecord(name, level, "", 0, message, (), None)
        for handler in root.handlers:
            handler.handle(record)
    logging.captureWarnings(False)
    assert len(heard.getvalue().splitlines()) == 5, "a handler of the user's own hears all"
    assert [line[9:] for line in stderr.getvalue().splitlines()] == [
        "21 rows to send",
        "warning: no price",
        "warning: urllib3: pool is full",
        "warning: no room",
    ]


def test_a_notebook_hears_only_warnings_while_its_widget_moves_and_only_they_look_like_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, streams = logging.getLogger(), {name: io.StringIO() for name in ("stdout", "stderr")}
    monkeypatch.setattr(root, "handlers", [PrefectConsoleHandler(level=logging.INFO)])
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    progress, logger = Progress(2, 0, MODEL, logging.getLogger("p")), logging.getLogger("prefect.flow_runs")

    def say(when: str) -> None:
        for level in (logging.INFO, logging.WARNING):
            root.callHandlers(logging.LogRecord(logger.name, level, "", 0, when, (), None))

    with calling() as waiting:
        waiting.watches = True
        quiet_console()
        say("before")
        with displayed(progress, logger):
            say("meanwhile")
        say("after")
    logging.captureWarnings(False)
    assert waiting.progress is progress
    assert [line[9:] for line in streams["stdout"].getvalue().splitlines()] == ["before", "after"]
    faults = [line[9:] for line in streams["stderr"].getvalue().splitlines()]
    assert faults == ["warning: before", "warning: meanwhile", "warning: after"]


def test_the_outcome_is_a_table_for_who_listens() -> None:
    """Its labels in one column; what the last message repeats of it is left out."""
    with hearing() as heard:
        tell([("rows", "2: 1 success, 1 error"), ("CSV", "/r/x.csv")], said="CSV: /r/x.csv. ")
    assert list(heard.table()) == ["rows  2: 1 success, 1 error", "CSV   /r/x.csv"]
    assert heard.ending("CSV: /r/x.csv. 2 rows: 2 answered", completed=True) == ""
    assert heard.ending("CSV: /r/x.csv. 1 row can be sent again: c", completed=False) == "1 row can be sent again: c"

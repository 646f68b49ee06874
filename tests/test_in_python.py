"""`infer(...)` called in Python, as in a notebook."""

import asyncio
import logging
import signal
import sys
import threading
from concurrent.futures import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.emulator import Blocked, Constant, Emulator, Rule, answer_to
from flows.in_python import apart
from flows.in_python import widget as widgets
from flows.in_python.called import LINGER_SECONDS
from flows.in_python.caller import Caller, Ended
from flows.in_python.result import Result
from flows.infer import infer
from flows.local_server import LocalServer
from flows.local_server.users import User, is_used
from tasks.core.costs.spending import Spending
from tasks.core.errors import InputError, RunIncomplete
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.progress import Progress
from tasks.core.reporting.tally import Tally
from tests.services import wait_until
from tests.support import CSV, RunFlow, numbered, write_jsonl


async def test_a_call_in_a_notebook_returns_the_result(
    run: RunFlow, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a loop runs in the thread of the cell: a table of all rows, those that failed, the files, the dollars.

    Its server is started and left where none does: Prefect's calls would be coroutines that nobody awaits.
    """
    loops: list[Any] = []
    lingering: list[float] = []

    class Server(LocalServer):
        def __init__(self, linger_seconds: float) -> None:
            lingering.append(linger_seconds)
            super().__init__(linger_seconds=linger_seconds)

        def __exit__(self, *error: Any) -> None:
            loops.append(asyncio._get_running_loop())
            super().__exit__(*error)

    monkeypatch.setattr("flows.services.LocalServer", Server)
    rows = [*numbered(2), {"id": "<b>", "input_query": "<script>alert(1)</script>"}]
    emulator.set_rules([Rule(Blocked("SAFETY"), pattern="question 1$")])

    result = infer(dataset=write_jsonl(tmp_path / "d.jsonl", rows), price="input=1,output=2")

    assert isinstance(result, Result)
    assert loops == [None]
    assert lingering == [LINGER_SECONDS]
    assert (result.state, result.csv, result.tally.rows) == ("Completed", tmp_path / CSV, 3)
    table = result.dataframe()
    assert list(table["id"]) == ["r0", "r1", "<b>"]
    assert table["response"][0] == answer_to("question 0")
    assert list(result.failed["id"]) == ["r1"]
    assert list(result.failed["kind"]) == ["blocked"]
    assert result.cost == pytest.approx(table["dollars"].sum())
    assert result.report
    shown = result._repr_html_()
    assert "2 success, 1 error" in shown
    assert str(result).startswith("rows ")
    assert str(result.csv) in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_what_is_wrong_is_raised_in_one_sentence(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Before a run, and by it; nothing is sent."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1))
    with pytest.raises(InputError, match=r"^max_concurrent 0: it must"):
        infer(dataset=data, max_concurrent=0)
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        infer(dataset="./nowhere.csv")
    with pytest.raises(InputError, match=r"^text_column 'none' is not in"):
        infer(dataset=data, text_column="none")
    assert emulator.stats.requests == 0


def test_the_stop_button_keeps_what_has_arrived(
    run: RunFlow, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell waits in the thread that is interrupted; the run ends by itself, and the next call goes on with it."""
    emulator.set_latency(Constant(0.05))
    data = write_jsonl(tmp_path / "d.jsonl", numbered(60))
    callers: list[Caller] = []

    def made() -> Caller:
        callers.append(Caller())
        return callers[-1]

    monkeypatch.setattr("flows.in_python.caller.Caller", made)

    def press() -> None:
        wait_until(lambda: emulator.stats.answers >= 4, "answers")
        callers[0].interrupt()

    presser = threading.Thread(target=press)
    presser.start()

    async def cell() -> Any:
        return infer(dataset=data, max_concurrent=2, save_every=2)

    with pytest.raises(KeyboardInterrupt, match=r"of 60 rows are saved; continue with: infer\(…, resume=True\)"):
        asyncio.run(cell())
    presser.join()
    assert emulator.stats.answers < 60
    assert infer(dataset=data, resume=True).tally.successes == 60
    assert emulator.stats.answers == 60


@pytest.mark.parametrize("later", [False, True])
def test_an_interrupt_at_a_prompt_ends_the_run_and_a_later_one_the_waiting(
    monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    """Neither ends the process that has the prompt."""
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr(apart, "ONE_SECONDS", 0)
    person = threading.get_ident()
    stopped, left, waits = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(Caller, "interrupt", lambda _: stopped.set())

    def wait_for_run(futures: Any, timeout: float) -> Any:
        waits.set()
        return wait(futures, timeout)

    monkeypatch.setattr(apart, "wait", wait_for_run)

    def run() -> str:
        for heard in (stopped, left) if later else (stopped,):
            waits.wait()
            signal.pthread_kill(person, signal.SIGINT)
            heard.wait()
            waits.clear()
        return "its own end"

    if later:
        with pytest.raises(apart.Interrupted, match="ends by itself"):
            apart.waited_for(run, Caller())
        left.set()
    else:
        assert apart.waited_for(run, Caller()) == "its own end"


def test_at_a_prompt_a_run_remains_a_user_of_the_server_for_a_while(tmp_path: Path) -> None:
    """So that the next one need not wait until another has booted."""
    user = User(tmp_path)
    assert user.join()
    user.leave_later(0.05)
    assert is_used(tmp_path)
    wait_until(lambda: not is_used(tmp_path), "the end of it")


def test_a_notebook_shows_a_mistake_in_its_own_words_without_our_frames() -> None:
    """By the method that IPython asks an exception for."""
    error: Any = InputError("--limit 0: \x1b", "ValueError", "Ask for one.")
    assert error._render_traceback_() == ["InputError: ValueError: --limit 0: \\x1b\nAsk for one."]
    unfinished: Any = RunIncomplete("api_down: \x1b")
    assert unfinished._render_traceback_() == ["RunIncomplete: api_down: \\x1b"]


def test_a_result_without_a_csv_says_how_to_go_on() -> None:
    """Its table is not there."""
    result = Result("Incomplete", "api_down: 503; continue with: …", Ended(Tally(), 9, None, Spending(attempts=[])))
    with pytest.raises(RunIncomplete, match="api_down: 503"):
        result.dataframe()
    assert "api_down: 503" in result._repr_html_()
    assert result.report is None


def test_a_notebook_shows_one_widget_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """And anything else none. The rows while they are sent, what became of them in the end; no dollars as a formula."""
    shown: list[Any] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(display=lambda bar, display_id: handle.update(bar) or handle)
    waiting = Caller()
    with widgets.watched(waiting):
        assert (shown, waiting.watches) == ([], False)
    for name, module in {"ipykernel": SimpleNamespace(), "IPython.display": display}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(widgets, "EVERY_SECONDS", 0.01)
    with widgets.watched(waiting):
        assert waiting.watches
        waiting.progress = Progress(4, 1, "gemini", logging.getLogger())
        wait_until(lambda: "1 of 4 rows" in repr(shown[-1]), "an update")
        tally = Tally()
        tally.add(RowAnswer(0, "r0", "k0", Kind.ANSWERED))
        waiting.ended = Ended(tally, 4, None, Spending(attempts=[]))
    assert "<progress" in shown[0]._repr_html_()
    assert repr(shown[-1]) == "1 of 4 rows: 1 answered"
    assert 'value="25.0"' in shown[-1]._repr_html_()
    assert "mathjax_ignore" in shown[-1]._repr_html_()

"""`infer(...)` called in Python, as in a notebook."""

import asyncio
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.emulator import Blocked, Constant, Emulator, Rule, answer_to
from flows.in_python import widget as widgets
from flows.in_python.caller import Caller, Ended
from flows.in_python.result import Result
from flows.infer import infer
from tasks.core.costs.spending import Spending
from tasks.core.errors import InputError, RunIncomplete
from tasks.core.reporting.tally import Tally
from tests.services import wait_until
from tests.support import CSV, RunFlow, numbered, write_jsonl


async def test_a_call_in_a_notebook_returns_the_result(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Where a loop runs in the thread of the cell: a table of all rows, those that failed, the files, the dollars."""
    rows = [*numbered(2), {"id": "<b>", "input_query": "<script>alert(1)</script>"}]
    emulator.set_rules([Rule(Blocked("SAFETY"), pattern="question 1$")])

    result = infer(dataset=write_jsonl(tmp_path / "d.jsonl", rows), price="input=1,output=2")

    assert isinstance(result, Result)
    assert (result.state, result.csv, result.tally.rows) == ("Completed", tmp_path / CSV, 3)
    table = result.dataframe()
    assert list(table["id"]) == ["r0", "r1", "<b>"]
    assert table["response"][0] == answer_to("question 0")
    assert list(result.failed["id"]) == ["r1"]
    assert list(result.failed["kind"]) == ["blocked"]
    assert result.cost == pytest.approx(table["dollars"].sum())
    assert result.report
    shown = result._repr_html_()
    assert "3 of 3 rows" in shown
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


def test_a_result_without_a_csv_says_how_to_go_on() -> None:
    """Its table is not there."""
    result = Result("Incomplete", "api_down: 503; continue with: …", Ended(Tally(), 9, None, Spending(attempts=[])))
    with pytest.raises(RunIncomplete, match="api_down: 503"):
        result.dataframe()
    assert "api_down: 503" in result._repr_html_()
    assert result.report is None


def test_a_notebook_shows_one_widget_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """And anything else none."""
    shown: list[Any] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(display=lambda bar, display_id: handle.update(bar) or handle)
    with widgets.widget(lambda: 1, lambda: "$0"):
        assert shown == []
    for name, module in {"ipykernel": SimpleNamespace(), "IPython.display": display}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(widgets, "EVERY_SECONDS", 0.01)
    percents = iter([0.0, *[100.0] * 1000])
    with widgets.widget(lambda: next(percents), lambda: "<$1>"):
        wait_until(lambda: len(shown) >= 2, "an update")
    assert "0 %" in repr(shown[0])
    assert 'value="100.0"' in shown[-1]._repr_html_()
    assert "&lt;$1&gt;" in shown[-1]._repr_html_()

"""`gemini-infer ui`: where the history of runs is to be seen, while somebody looks. Its server is faked here."""

import os
import signal
from types import TracebackType
from typing import Self

import pytest

from flows.commands import history
from flows.endings.exit_codes import ExitCode
from flows.local_server import LocalServerError


class Server:
    greeting = "Prefect UI: http://127.0.0.1:1"
    is_own, starts, ended = True, True, False

    def __enter__(self) -> Self:
        if not self.starts:
            raise LocalServerError("the server cannot start; its log is in x")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Server.ended = True


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    """Whoever looks presses Ctrl+C at once."""
    monkeypatch.setattr(history, "LocalServer", Server)
    monkeypatch.setattr(Server, "ended", False)
    monkeypatch.setattr(signal, "pause", lambda: os.kill(os.getpid(), signal.SIGINT))
    return Server


def test_the_history_is_open_until_ctrl_c(server: type[Server], capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main([]) == ExitCode.FINISHED
    said = capsys.readouterr()
    assert said.out == f"{Server.greeting}\nCtrl+C ends it; what runs have done is kept.\n"
    assert said.err.startswith("Opening the history of runs\n")
    assert server.ended


def test_a_server_of_somebody_else_is_named_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Server, "is_own", False)
    monkeypatch.setattr(signal, "pause", lambda: pytest.fail("nothing is to be waited for"))
    assert history.main([]) == ExitCode.FINISHED
    assert capsys.readouterr().out == f"{Server.greeting}\n"


def test_a_history_that_cannot_be_opened_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Server, "starts", False)
    assert history.main([]) == ExitCode.FAILED
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[1:]) == ("", ["the server cannot start; its log is in x"])

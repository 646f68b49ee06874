"""How far a run is, as one line of a notebook that changes. Without a notebook, nothing; its failure is nobody's."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from importlib import import_module
from typing import Any

EVERY_SECONDS = 1.0


@contextmanager
def widget(percent: Callable[[], float], words: Callable[[], str]) -> Iterator[None]:
    """Keep it current for the length of the block, from a thread of its own."""
    display = _display_of_notebook()
    if display is None:
        yield
        return
    over = threading.Event()
    handle = display(_Bar(percent(), words()), display_id=True)
    thread = threading.Thread(target=_keep_current, args=(handle, percent, words, over), name="widget", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(EVERY_SECONDS)


def _display_of_notebook() -> Callable[..., Any] | None:
    """What shows something in the notebook that this process is the kernel of."""
    if "ipykernel" not in sys.modules:
        return None
    with suppress(Exception):
        display: Callable[..., Any] = import_module("IPython.display").display  # who has a kernel has it
        return display
    return None


class _Bar:
    def __init__(self, percent: float, words: str) -> None:
        self._percent, self._words = percent, words

    def _repr_html_(self) -> str:
        return f'<progress max="100" value="{self._percent:.1f}"></progress> {self!r}'

    def __repr__(self) -> str:
        return escape(f"{self._percent:.0f} %, {self._words}")


def _keep_current(handle: Any, percent: Callable[[], float], words: Callable[[], str], over: threading.Event) -> None:
    with suppress(Exception):
        while True:
            ended = over.wait(EVERY_SECONDS)
            handle.update(_Bar(percent(), words()))
            if ended:
                return

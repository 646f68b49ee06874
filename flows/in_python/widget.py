"""How far a run is, as one place of a notebook that changes. Without a notebook, nothing; its failure is nobody's."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from importlib import import_module
from typing import Any, NamedTuple

from flows.in_python.caller import Caller
from tasks.core.reporting.cost_words import cost_range

EVERY_SECONDS = 0.5
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"  # notebooks typeset what stands between two dollars


@contextmanager
def watched(caller: Caller) -> Iterator[None]:
    """Keep it current for the length of the block, from a thread of its own."""
    display = _display_of_notebook()
    if display is None:
        yield
        return
    caller.watches = True
    over = threading.Event()
    handle = display(_shown(caller), display_id=True)
    thread = threading.Thread(target=_keep_current, args=(handle, caller, over), name="widget", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2 * EVERY_SECONDS)


def _display_of_notebook() -> Callable[..., Any] | None:
    """What shows something in the notebook that this process is the kernel of."""
    if "ipykernel" not in sys.modules:
        return None
    with suppress(Exception):
        display: Callable[..., Any] = import_module("IPython.display").display  # who has a kernel has it
        return display
    return None


class _Shown(NamedTuple):
    """`percent`: None where nobody knows yet."""

    percent: float | None
    words: str

    def _repr_html_(self) -> str:
        if not self.words:
            return ""
        value = "" if self.percent is None else f' value="{self.percent:.1f}"'
        bar = f'<progress max="100"{value} style="width: 20em"></progress>'
        return f'<div class="{NO_FORMULAS}">{bar}<br>{escape(self.words)}</div>'

    def __repr__(self) -> str:
        return self.words


def _shown(caller: Caller, is_over: bool = False) -> _Shown:
    """Of a run that has sent nothing, for it was refused or had nothing to send, no bar is left."""
    if ended := caller.ended:
        dollars = "" if ended.spent.dollars is None else f"; {cost_range(ended.spent)}"
        done = f"{ended.tally.rows:,} of {ended.rows:,} rows: {ended.tally}{dollars}"
        return _Shown(100 * ended.tally.rows / max(ended.rows, 1), done)
    if progress := caller.progress:
        return _Shown(progress.percent, progress.line)
    return _Shown(None, "" if is_over else "starting")


def _keep_current(handle: Any, caller: Caller, over: threading.Event) -> None:
    seen = None
    with suppress(Exception):
        while True:
            is_over = over.wait(EVERY_SECONDS)
            if (shown := _shown(caller, is_over)) != seen:
                handle.update(seen := shown)
            if is_over:
                return

"""What came of a run, told once: as a table by the command line that has started it, as log lines elsewhere.

Not the flow's result: that is a state, whose message stands in the Prefect UI.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from prefect import get_run_logger


@dataclass(slots=True)
class Heard:
    """`lines`: a label and what is said under it; none of a run that ended before it had a plan.

    `said`: how a last message begins that says the same once more.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    said: str = ""

    def table(self) -> Iterator[str]:
        """A line for each; long ones are left to the terminal, so that a path can be copied whole."""
        width = max((len(label) for label, _ in self.lines), default=0)
        for label, said in self.lines:
            yield f"{label:<{width}}  {said}"

    def ending(self, message: str, completed: bool) -> str:
        """What the run's last `message` adds to the table; nothing of one that is complete."""
        if completed and self.lines:
            return ""
        return message.removeprefix(self.said)


_heard: ContextVar[Heard | None] = ContextVar("heard", default=None)


@contextmanager
def hearing() -> Iterator[Heard]:
    """A flow that is called in this block tells its outcome to what this yields, and not to its log."""
    token = _heard.set(heard := Heard())
    try:
        yield heard
    finally:
        _heard.reset(token)


def tell(lines: list[tuple[str, str]], said: str = "") -> None:
    """Of the flow run in whose context this is called. `said`: see Heard."""
    if heard := _heard.get():
        heard.lines, heard.said = lines, said
        return
    for label, said in lines:
        get_run_logger().info("%s: %s", label, said)

"""Time, passed in."""

from collections.abc import Awaitable, Callable

type Clock = Callable[[], float]

type Sleep = Callable[[float], Awaitable[object]]

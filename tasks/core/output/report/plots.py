"""Figures as shapes: bars, lines and ticks in the units of an SVG. Knows no page and no row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from tasks.core.output.report.figures import Figures

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 190, 46, 22, 8
PAUSE_SECONDS = 120.0  # without an answer: the time line is cut there
_BINS, _LATENCY_BINS = 80, 36
_LEAST_SECONDS = 10.0  # of a time line: what is shorter shows the clock, not the run

type Numbers = np.ndarray[Any, np.dtype[Any]]


class Bar(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


class Tick(NamedTuple):
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """`lines`: (class, points). `cuts`: where time without an answer is left out."""

    title: str
    bars: Sequence[Bar]
    across: Sequence[Tick]
    up: Sequence[Tick]
    lines: Sequence[tuple[str, str]] = ()
    cuts: Sequence[float] = ()


def plots_of(figures: Figures) -> Iterator[Plot]:
    """Those that there is something to draw for."""
    latencies = np.asarray(figures.latencies)
    known = latencies[np.isfinite(latencies) & (latencies > 0)]
    if len(known) > 1:
        yield _histogram(known)
    if len(figures.moments) > 1:
        order = np.argsort(np.asarray(figures.moments), kind="stable")
        line = _TimeLine(np.asarray(figures.moments)[order])
        if line.length >= _LEAST_SECONDS:
            yield _rate(line, np.frombuffer(figures.good, dtype=np.uint8)[order])
            if len(known) > 1:
                yield _over_time(line, latencies[order])


def _histogram(known: Numbers) -> Plot:
    low, high = float(known.min()), max(float(known.max()), float(known.min()) * 1.05)
    edges = np.geomspace(low, high, _LATENCY_BINS + 1)
    counts, _ = np.histogram(known, edges)
    up = _scale(int(counts.max()), least=1.0)
    bars = [
        _bar(place, _LATENCY_BINS, count, up[-1], "plain", f"{_seconds(a)} to {_seconds(b)}: {count:,} rows")
        for place, (count, a, b) in enumerate(zip(counts.tolist(), edges[:-1], edges[1:], strict=True))
    ]
    across = [Tick(_x(share), _seconds(low * (high / low) ** share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    return Plot("Latency of the answering request, rows", bars, across, _ticks(up, "{:,.0f}".format))


class _TimeLine:
    """The time in which answers came, in bins; longer pauses are left out."""

    def __init__(self, moments: Numbers) -> None:
        steps = np.diff(moments, prepend=moments[0])
        pauses = steps > PAUSE_SECONDS
        self.moments = moments
        self.active = np.cumsum(np.where(pauses, 0.0, steps))
        self.length = max(float(self.active[-1]), 1.0)
        self.count = min(_BINS, int(self.length))  # a second or more each
        self.bins = np.minimum((self.active / self.length * self.count).astype(int), self.count - 1)
        self.seconds = self.length / self.count
        self.cuts = [_x(at / self.length) for at in self.active[pauses].tolist()]
        days = {datetime.fromtimestamp(m).date() for m in (moments[0], moments[-1])}
        self._form = "%H:%M:%S" if len(days) == 1 else "%m-%d %H:%M"

    def told(self, share: float) -> str:
        place = min(int(np.searchsorted(self.active, share * self.length)), len(self.moments) - 1)
        return f"{datetime.fromtimestamp(float(self.moments[place])):{self._form}}"

    def ticks(self) -> list[Tick]:
        return [Tick(_x(share), self.told(share)) for share in (0, 0.25, 0.5, 0.75, 1)]


def _rate(line: _TimeLine, good: Numbers) -> Plot:
    all_rows = np.bincount(line.bins, minlength=line.count) / line.seconds
    answered = np.bincount(line.bins, weights=good, minlength=line.count) / line.seconds
    up = _scale(float(all_rows.max()))
    bars = []
    for place, (both, ok) in enumerate(zip(all_rows.tolist(), answered.tolist(), strict=True)):
        told = f"{line.told(place / line.count)}: {both:,.3g} rows/s, {both - ok:,.3g} without an answer"
        bars.append(_bar(place, line.count, ok, up[-1], "good", told))
        if both > ok:
            bars.append(_bar(place, line.count, both - ok, up[-1], "final", told, below=ok))
    return Plot("Rows answered a second", bars, line.ticks(), _ticks(up, "{:,g}".format), cuts=line.cuts)


def _over_time(line: _TimeLine, latencies: Numbers) -> Plot:
    found = []
    for place in range(line.count):
        some = latencies[line.bins == place]
        some = some[np.isfinite(some)]
        if len(some):
            found.append((place + 0.5, *np.percentile(some, (50, 95)).tolist()))
    up = _scale(max((high for _, _, high in found), default=1.0))
    lines = [
        (name, " ".join(f"{_x(at[0] / line.count):.1f},{_y(at[which] / up[-1]):.1f}" for at in found))
        for name, which in (("", 1), ("high", 2))
    ]
    title = "Latency over time: median, and what 95 % stay below"
    return Plot(title, (), line.ticks(), _ticks(up, _seconds), lines, line.cuts)


def _scale(most: float, least: float = 1e-9) -> list[float]:
    """Ticks from 0 to what is not below `most`, four steps at most, of 1, 2 or 5; `least`: a step."""
    raw = max(most / 4, least)
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [float(step * n) for n in range(int(np.ceil(most / step * 0.999)) + 1)] if most > 0 else [0.0, 1.0]


def _ticks(scale: list[float], told: Callable[[float], str]) -> list[Tick]:
    return [Tick(_y(value / scale[-1]), told(value)) for value in scale]


def _bar(place: int, of: int, value: float, most: float, tone: str, title: str, below: float = 0.0) -> Bar:
    x, top = _x(place / of), _y((below + value) / most)
    return Bar(
        round(x, 1), round(top, 1), round(_x((place + 0.9) / of) - x, 1), round(_y(below / most) - top, 1), tone, title
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - 12), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"

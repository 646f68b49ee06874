"""What the rows of a result come to, counted as they go by: some 20 bytes a row. Draws nothing."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from tasks.core.details import Details
from tasks.core.output.report.reasons import Reasons
from tasks.core.records import RowAnswer
from tasks.core.reporting.tally import Tally


@dataclass(slots=True)
class Figures:
    """`dollars`: None where no row has a price. `moments`: when a row was answered, in seconds since 1970."""

    tally: Tally = field(default_factory=Tally)
    reasons: Reasons = field(default_factory=Reasons)
    dollars: float | None = None
    moments: "array[float]" = field(default_factory=lambda: array("d"))
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    good: bytearray = field(default_factory=bytearray)  # of each moment, whether that row has a text

    def add(self, answer: RowAnswer, details: Details, dollars: float | None) -> None:
        self.tally.add(answer)
        self.reasons.add(answer)
        if dollars is not None:
            self.dollars = (self.dollars or 0.0) + dollars
        if "answered_at" in details:
            self.moments.append(details["answered_at"])
            self.latencies.append(details.get("latency_seconds", float("nan")))
            self.good.append(answer.status == "success")

    def latency(self, percent: float) -> float | None:
        """Of the requests that were answered; None where it is not known."""
        known = np.asarray(self.latencies)
        known = known[np.isfinite(known)]
        return float(np.percentile(known, percent)) if len(known) else None

"""What a run may spend, and by which flag: the same in every process of it. Plain values."""

from dataclasses import dataclass

from tasks.core.costs.prices import Price
from tasks.core.errors import StopReason
from tasks.core.text import money

MAX_COST, MAX_COST_PER_RUN = "--max-cost", "--max-cost-per-run"


@dataclass(frozen=True, slots=True)
class Terms:
    """`left`: dollars for this attempt. `flag` and `limit`: what bounds them; `before`: what was spent of that."""

    price: Price
    left: float
    flag: str
    limit: float
    before: float

    @property
    def reason(self) -> StopReason:
        """What a run is stopped for that has spent it."""
        return StopReason.BUDGET if self.flag == MAX_COST else StopReason.RUN_BUDGET

    def shared_line(self, worst: float) -> str:
        """Why nothing more goes out, where other processes spend as well."""
        return (
            f"what is left of {self.flag} {self.limit:g} does not cover the next request, which may cost {money(worst)}"
        )

    def spent_line(self, spent: float, unsure: float, worst: float) -> str:
        """The same where this process alone spends."""
        maybe = f", {money(unsure)} of them for requests without an answer that may have been billed" if unsure else ""
        all_spent = f"{money(self.before + spent)} of {self.flag} {self.limit:g} are spent{maybe}"
        return f"{all_spent}; the next request may cost {money(worst)}"

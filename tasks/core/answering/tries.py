"""How often one row has been tried, and whether it is tried again. Pure bookkeeping; knows nothing of other rows."""

from collections import defaultdict
from dataclasses import dataclass, field

from tasks.core.config.limits import Patience
from tasks.core.details import Spent
from tasks.core.records import Kind, Outcome

BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 1.0, 60.0
AGAIN_AFTER_TIMEOUT = 1  # what was on its way is billed all the same
AGAIN_WHERE_ALL_REFUSED = 2  # for a row that was refused as if for good


@dataclass(slots=True)
class Tries:
    """Of one row of about `tokens`. `counted`: failures, each as far as it is the row's own; `most` of them end it.

    `busy_seconds`: of 429s while others are answered, which end it as well. `without_image`: why the text goes alone.
    `alone`: it goes when no other row does. `misfit`: the last answer that did not fit the schema.
    """

    most: int
    tokens: int = 0
    busy_seconds: float = Patience().busy_seconds
    made: int = 0
    counted: float = 0.0
    kinds: defaultdict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    spent: Spent = field(default_factory=Spent)
    since: float | None = None  # of the first outcome: waiting for the first slot is no try
    without_image: str = ""
    image_again: bool = False  # it was refused once, and goes again
    alone: bool = False
    misfit: Outcome | None = None

    def note(self, outcome: Outcome, weight: float, now: float) -> None:
        """`weight`: how far a failure counts against the row."""
        self.made += 1
        self.kinds[outcome.kind] += 1
        if outcome.kind is Kind.SCHEMA:
            self.tokens += len(outcome.text.encode("utf-8", "surrogatepass")) // 3
            self.misfit = outcome
        in_time = outcome.kind is not Kind.TIMEOUT or outcome.again is not None
        self.spent.failed, self.spent.usage = self.spent.usage, self.spent.usage + outcome.usage
        self.spent.timeouts += not in_time
        self.spent.lost += in_time and outcome.maybe_billed
        self.since = now if self.since is None else self.since
        if outcome.kind is not Kind.RATE_LIMIT:
            self.counted = min(self.counted + weight, self.made)

    def ended_by(self, outcome: Outcome, all_refused: bool, now: float) -> bool:
        """Whether `outcome`, noted already, is the row's last. `all_refused`: as if no row could be answered."""
        again = AGAIN_WHERE_ALL_REFUSED if all_refused else outcome.again
        if again is None and outcome.kind is Kind.TIMEOUT:
            again = AGAIN_AFTER_TIMEOUT
        if again is not None:
            return self.kinds[outcome.kind] > min(again, self.most - 1)
        if outcome.kind is Kind.RATE_LIMIT:
            return self.since is not None and now - self.since > self.busy_seconds
        return not outcome.kind.retryable or self.counted >= self.most

    def image_goes_again(self, outcome: Outcome) -> bool:
        """Once, where the API that refused the image asks for it; then the text goes alone."""
        if "retry" in outcome.detail.lower() and not self.image_again:
            self.image_again = True
        else:
            self.without_image = outcome.detail
        return not self.without_image

    @property
    def backoff_seconds(self) -> float:
        """Exponential in what counts; weather is waited for by the run as a whole."""
        return float(min(BACKOFF_SECONDS * 2.0 ** min(self.made, self.counted + 1), MOST_BACKOFF_SECONDS))

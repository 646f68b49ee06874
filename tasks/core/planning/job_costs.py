"""What a job has cost before an attempt, what the attempt may spend, and in the end what it took."""

from collections.abc import Collection
from dataclasses import dataclass

from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.prices import Price, price_of
from tasks.core.costs.spending import Ledger, Spending, add_to_ledger, read_ledger
from tasks.core.costs.taken import dollars_of, spending_of
from tasks.core.costs.terms import MAX_COST, MAX_COST_PER_RUN, Terms
from tasks.core.costs.worst import MOST_ANSWER_TOKENS


def price_for(config: RunConfig) -> Price | None:
    """What a run's model costs; None where nobody knows, or nothing is paid."""
    return None if config.demo else price_of(config.model, config.given_price)


@dataclass(frozen=True, slots=True)
class JobCosts:
    """`unrecorded`: what attempts took that were killed, or are older than any record, by attempt."""

    price: Price | None
    answer_tokens: int  # of one request, at most
    ledger: Ledger
    unrecorded: dict[str, Spending]

    @classmethod
    def read(
        cls,
        storage: Storage,
        job: str,
        table: AnswerTable,
        price: Price | None,
        answer_tokens: int = MOST_ANSWER_TOKENS,
    ) -> "JobCosts":
        """As the checkpoint has it.

        Raises:
            OSError: the storage cannot say.
        """
        costs = cls(price, answer_tokens, read_ledger(storage, job), {})
        costs.unrecorded.update(costs._taken(table, costs.ledger))
        return costs

    @property
    def before(self) -> list[Spending]:
        """What all attempts so far took."""
        return [*self.ledger.ended, *self.unrecorded.values()]

    def terms(self, config: RunConfig, own: Collection[str]) -> Terms | None:
        """What the next attempt may spend; None where nothing bounds it. `own`: earlier attempts of the same run."""
        if self.price is None:
            return None
        bounds = [(MAX_COST, config.max_cost, self.before), (MAX_COST_PER_RUN, config.max_cost_per_run, self._of(own))]
        spent = [
            (limit, flag, sum(dollars_of(each, self.price) for each in spendings))
            for flag, limit, spendings in bounds
            if limit is not None
        ]
        if not spent:
            return None
        limit, flag, before = min(spent, key=lambda bound: bound[0] - bound[2])
        return Terms(self.price, max(limit - before, 0.0), flag, limit, before)

    def with_attempt(self, spent: Spending) -> float:
        """Dollars of the job so far, the attempt that `spent` is of among them."""
        assert self.price
        return sum(dollars_of(each, self.price) for each in (*self.before, spent))

    def of_attempt(self, storage: Storage, attempt: str, table: AnswerTable) -> Spending:
        """What this one took, by its answers and its purses."""
        try:
            ledger = read_ledger(storage, self.ledger.job)
        except OSError:  # by its answers alone
            ledger = self.ledger
        found = self._taken(table, ledger)
        return found.get(attempt) or Spending(attempts=[attempt], dollars=0.0 if self.price else None)

    def record(self, storage: Storage, spent: Spending, table: AnswerTable) -> bool:
        """Put on record what all attempts took whose batch jobs have ended; returns whether those are all.

        Answers of other jobs, which were paid for there, cost nothing here.
        """
        known = {*self.ledger.attempts, *self.unrecorded, *spent.attempts}
        adopted = [name for name in table.kept.attempts() if name not in known]
        found = [Spending(attempts=adopted, dollars=0.0)] if adopted else []
        in_flight = {group.attempt for group in GroupRecords(storage, self.ledger.job).in_flight()}
        ended = [each for each in (*self.unrecorded.values(), spent, *found) if in_flight.isdisjoint(each.attempts)]
        add_to_ledger(storage, read_ledger(storage, self.ledger.job), ended)
        return not in_flight

    def _of(self, attempts: Collection[str]) -> list[Spending]:
        return [each for each in self.before if not set(attempts).isdisjoint(each.attempts)]

    def _taken(self, table: AnswerTable, ledger: Ledger) -> dict[str, Spending]:
        """Of attempts without a record. What a purse allowed and no answer tells may have been billed."""
        ended = {attempt for spending in ledger.ended for attempt in spending.attempts}
        names = self.price.modalities if self.price else []
        found = spending_of(table.taken(ended, names), self.price, self.answer_tokens)
        for attempt, at_most in ledger.killed.items():
            spending = found.setdefault(attempt, Spending(attempts=[attempt], dollars=0.0 if self.price else None))
            spending.unsure = round(max(at_most - (spending.dollars or 0.0), 0.0), 9)  # no rest of rounding
        return found

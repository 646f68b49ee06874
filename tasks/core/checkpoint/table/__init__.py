"""All answers of a job in one table, and which of them belongs to which row of the run. Knows SQL, and no storage.

A private temporary database of SQLite: in memory while the answers are few, in a file without a name once they are
many, and gone with the process either way. So a run of a million rows needs no more memory than one of a thousand, and
its rows are read in the order of the data, whatever order their answers came in. No SQL leaves this package.

database   the file and its schema
columns    an answer as columns
kept       attempts, and the answers that they have kept
matching   which answer serves which row of the run
rows       the answers that the rows of the run have
repeats    rows that ask the same, and get one answer
taken      what the answers of attempts have taken, in tokens
earlier    what earlier attempts have kept, and what of it is worth keeping
"""

from collections.abc import Collection, Sequence

from tasks.core.checkpoint.table.database import Database
from tasks.core.checkpoint.table.earlier import EarlierAnswers
from tasks.core.checkpoint.table.kept import KeptAnswers
from tasks.core.checkpoint.table.matching import Matching
from tasks.core.checkpoint.table.repeats import Repeats
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.checkpoint.table.taken import AnswerSizes, Taken, answer_sizes, taken


class AnswerTable:
    """Answers by attempt and row of that attempt; samples and their answers by row of the run.

    Not thread-safe: one thread at a time.
    """

    def __init__(self) -> None:
        self._database = database = Database()
        self.kept = KeptAnswers(database)
        self.matching = Matching(database, self.kept)
        self.rows = RunRows(database, self.kept)
        self.repeats = Repeats(database)
        self.earlier = EarlierAnswers(database, self.kept)

    def taken(self, known: Collection[str], modalities: Sequence[str] = ()) -> list[Taken]:
        """See taken.taken."""
        return list(taken(self._database, known, modalities))

    def answer_sizes(self) -> AnswerSizes:
        """See taken.answer_sizes."""
        return answer_sizes(self._database)

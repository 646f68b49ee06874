"""Opens what does not fit on the disk, a window at a time: parts come when their rows are read."""

from collections.abc import Callable, Iterable, Mapping

from datasets import Features

from tasks.core.data.formats.splits import spans_of
from tasks.core.data.remote import room
from tasks.core.data.remote.asked import Asked
from tasks.core.data.remote.text_files import TextFiles, counted, features_of, text_parts
from tasks.core.data.remote.windows import Part, Windows, windows
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import kept_numbers
from tasks.core.data.selection import Numbers, all_matches, conditional, first_of
from tasks.core.errors import InputError


def in_windows(
    asked: Asked,
    features: Features,
    parts: Callable[[int], Iterable[Part]],
    numbers: Callable[[Windows], Numbers],
) -> Rows:
    """The rows that are asked for. `parts`: all of them, for so many bytes; `numbers`: those of --where.

    Raises:
        InputError: rows in a random order are asked for.
    """
    if asked.selection.shuffle is not None:
        raise InputError(
            f"{asked.dataset} {asked.spec} does not fit on the disk, and rows in a random order need all of it; "
            "pass a smaller --limit with --shuffle, or point HF_HOME at a larger disk"
        )
    budget = room.free_bytes() // 4  # as many processes of this machine may read it as one
    table = windows(parts(budget), features, budget)
    order = None
    if asked.selection.where is not None:
        order = kept_numbers(f"{asked.digest}-where", lambda: numbers(table))
    return Rows(table.head, table, order, most=asked.selection.limit)


def text_in_windows(asked: Asked, splits: Mapping[str, TextFiles]) -> Rows:
    """The same of text files, which are all read for it.

    Raises:
        InputError: one cannot be read whole, or has other columns than the others; the condition is none.
    """
    found = {name: counted(files, f"{asked.digest_of(name, *files.how)}.json") for name, files in splits.items()}
    spans = spans_of(asked.spec, lambda name: sum(found[name].rows))
    features = features_of(found.values(), next(iter(splits.values())).declared)

    def numbers(table: Windows) -> Numbers:
        condition, columns = conditional(features, asked.selection.where or "", asked.spec)
        cells = Rows(table.head, table).only(columns)
        return first_of(all_matches(cells.read, len(table), condition, features), None)

    return in_windows(asked, features, lambda _: text_parts(splits, found, spans, features), numbers)

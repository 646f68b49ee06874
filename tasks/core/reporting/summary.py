"""Puts the end of a run into words."""

from collections.abc import Iterable

from tasks.core.reporting.sample import SampleOfRows
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, lasting, markdown

MOST_CELL_CHARS = 200


def stopping_line(on_their_way: int, grace_seconds: float, failing: bool = False) -> str:
    """What the first Ctrl+C sets going. `failing`: answers cannot be saved at the moment."""
    if failing:
        return "stopping: answers cannot be saved yet, one more try for some seconds; Ctrl+C again leaves now"
    if not on_their_way:
        return "stopping: no answer is on its way"
    answers = f"{counted(on_their_way, 'answer')} on {'its' if on_their_way == 1 else 'their'} way"
    return f"stopping: {answers}, at most {grace_seconds:g} s; Ctrl+C again leaves now"


def summary_table(tally: Tally, seconds: float, reused: int, repeats: int = 0) -> list[tuple[str, str]]:
    """What became of the rows, for people: labels, and what is said under them.

    `repeats`: rows that got the answers of others which this run has sent.
    """
    sent = tally.rows - reused - repeats
    usage, saved = tally.usage, tally.saved
    time = f"{lasting(seconds)} for {counted(sent, 'row')}" + (f"; {reused:,} reused" if reused else "")
    if not tally.rows:
        return [("rows", "none yet"), ("time", time)]
    lines = [
        ("rows", f"{tally.rows:,}: {tally.successes:,} success, {counted(tally.errors, 'error')}"),
        ("kinds", str(tally)),
        ("time", time),
        ("tokens", f"{usage.prompt_tokens:,} prompt, {usage.answer_tokens:,} answer"),
    ]
    if usage.cached_tokens:
        share = usage.cached_tokens / max(usage.prompt_tokens, 1)
        lines.append(("cached", f"{usage.cached_tokens:,} of the prompt tokens ({share:.0%}), at a cache's price"))
    if tally.repeats:
        shared = f"{counted(tally.repeats, 'row')} answered by the request of an equal one; saved tokens:"
        lines.append(("shared", f"{shared} {saved.prompt_tokens:,} prompt, {saved.answer_tokens:,} answer"))
    if tally.images or tally.image_notes:
        lost = f"; {tally.image_notes:,} could not be sent, error_message says why" if tally.image_notes else ""
        lines.append(("images", f"{tally.images:,} sent{lost}"))
    if maybe := tally.timeouts + tally.lost:
        how = f"{tally.timeouts:,} timed out, the answers of {tally.lost:,} were lost"
        lines.append(("unsure", f"{counted(maybe, 'request')} may have been billed: {how}"))
    for model, rows in tally.other_models.most_common():
        lines.append(("model", f"answered by {model}, not by the model asked for: {counted(rows, 'row')}"))
    return lines


def summary_markdown(title: str, tally: Tally, rows: int, where: str, sample: SampleOfRows, cost: str = "") -> str:
    """The same as a Prefect artifact, with some of the rows; of an unfinished run, without a CSV, as well.

    `where`: the CSV, as Markdown; empty without one. `cost`: what is said of it.
    """
    done = counted(tally.rows, "row") if where else f"{tally.rows:,} of {rows:,} rows"
    table = [f"| {kind} | {n:,} | {n / tally.rows:.1%} |" for kind, n in tally.kinds.most_common()]
    lines = [
        f"# {markdown(title)}",
        f"{done}, {tally.successes:,} success, {counted(tally.errors, 'error')}."
        f" {f'CSV: {where}' if where else 'No CSV yet: Retry, or a run with resume, goes on.'}",
        f"Tokens: {tally.usage.prompt_tokens:,} prompt, {tally.usage.answer_tokens:,} answer."
        + (f" {counted(tally.repeats, 'row')} share the answers of others." if tally.repeats else ""),
        *([f"{cost[0].upper()}{cost[1:]}."] if cost else []),
        *["", "| outcome | rows | share |", "|---|---|---|", *table],
    ]
    if failed := sample.failed:
        some = f"the first {len(failed):,} of " if len(failed) < tally.errors else ""
        cells = (f"{markdown(a.id)} | {_cell(prompt)} | {_cell(a.error_message)}" for a, prompt, _ in failed)
        lines += ["", f"## Failed: {some}{counted(tally.errors, 'row')}", *_table("id | prompt | reason", cells)]
    if answered := sample.answered:
        some = f"the first {len(answered):,} of " if len(answered) < tally.successes else ""
        cells = (f"{markdown(a.id)} | {_cell(prompt, images)} | {_cell(a.response)}" for a, prompt, images in answered)
        lines += ["", f"## Answered: {some}{counted(tally.successes, 'row')}", *_table("id | prompt | answer", cells)]
    return "\n".join(lines)


def _table(head: str, rows: Iterable[str]) -> list[str]:
    return [f"| {head} |", "|---|---|---|", *(f"| {row} |" for row in rows)]


def _cell(text: str, images: Iterable[str] = ()) -> str:
    shown = text if len(text) <= MOST_CELL_CHARS else f"{text[: MOST_CELL_CHARS - 1]}…"
    return " ".join([*(f"![](data:image/webp;base64,{image})" for image in images), markdown(shown)])

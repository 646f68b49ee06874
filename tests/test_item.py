"""A sample on its way: whatever goes wrong when it is made ready is its outcome, for any kind of answerer."""

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.answering.deadline import Deadline
from tasks.core.answering.item import Item
from tasks.core.config.command_line import checked
from tasks.core.data.reader import Reader
from tasks.core.data.sources import resolve
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.prompts.draft import Draft, plain
from tasks.core.prompts.prepare import MEDIUM_TOKENS, Preparer
from tasks.core.records import Kind, Request, Sample
from tests.samples import PREPARER, OnePerRow
from tests.support import write_jsonl

SAMPLE = Sample(7, "id", "a question")


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), Kind.SERVER_ERROR, "the image could not be read: Input/output"),
        (TimeoutError(), Kind.TIMEOUT, "the image was not read within 60 s"),
        (ZeroDivisionError("x"), Kind.SERVER_ERROR, "the row could not be handled: ZeroDivisionError: x"),
    ],
)
async def test_what_goes_wrong_when_it_is_made_ready_is_its_outcome(error: Exception, kind: Kind, detail: str) -> None:
    """Nothing is raised; its text stands for it."""

    def read(row: int) -> Any:
        raise error

    prepared = await Item(SAMPLE, PREPARER, OnePerRow(read)).prepare(Deadline(60, set()))
    assert prepared.fault
    assert prepared.fault.kind is kind
    assert prepared.fault.detail.startswith(detail)
    assert prepared.request == Request.of("a question")


async def test_it_is_read_only_when_its_turn_comes() -> None:
    """So memory follows the requests in flight, not the rows."""
    reads: list[int] = []
    item = Item(SAMPLE, PREPARER, OnePerRow(reads.append))
    assert (item.fault, reads) == (None, [])
    assert (await item.prepare(Deadline(60, set()))).fault is None
    assert reads == [7]


def test_only_what_may_have_media_is_counted_with_their_tokens(tmp_path: Path) -> None:
    """Cells that are objects bring none, where others of the column are conversations that may."""
    image = {"type": "image", "image": "a.png"}
    talks = [{"level": 1}, [{"role": "user", "content": "why?"}], [{"role": "user", "content": ["why?", image]}]]
    rows = [{"id": str(n), "input_query": talk} for n, talk in enumerate(talks)]
    config = checked({"dataset": write_jsonl(tmp_path / "test.jsonl", rows)})
    data = resolve(config)
    reader, preparer = Reader(data), Preparer(config.generation, prompting_of(config, data).draft_of)
    items = [Item(sample, preparer, reader.media) for sample in reader.samples(range(3))]
    assert [item.tokens // MEDIUM_TOKENS for item in items] == [0, 0, 1]


async def test_a_row_without_media_is_made_ready_in_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads cost as much as the request."""

    async def fail(*_: object) -> None:
        raise AssertionError("in a thread")

    monkeypatch.setattr(asyncio, "to_thread", fail)
    reader = OnePerRow(lambda row: None)
    reader.has_columns = False
    assert (await Item(SAMPLE, PREPARER, reader).prepare(Deadline(60, set()))).fault is None


async def test_its_draft_is_made_once_however_often_it_is_asked_and_tried() -> None:
    """A template is rendered over the row there."""
    made: list[str] = []

    def draft_of(sample: Sample) -> Draft:
        made.append(sample.id)
        return plain(sample.text)

    item = Item(SAMPLE, replace(PREPARER, draft_of=draft_of))
    assert (item.fault, item.tokens) == (None, 4)
    assert [(await item.prepare(Deadline(60, set()))).request.text for _ in range(2)] == ["a question"] * 2
    assert made == ["id"]


async def test_a_row_that_was_not_read_is_never_ready() -> None:
    """Whoever answers it: nothing of it goes out, and it is worth another try."""
    prepared = await Item(Sample(7, "", ""), PREPARER, unread="the Hub does not send it").prepare(Deadline(60, set()))
    assert prepared.fault
    assert prepared.fault.kind.retryable
    assert prepared.fault.detail == "the row could not be read: the Hub does not send it"

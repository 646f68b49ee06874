"""A sample on its way: whatever goes wrong when it is made ready is its outcome, for any kind of answerer."""

import errno
import os
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.answering.deadline import Deadline
from tasks.core.answering.item import Item
from tasks.core.prompts.draft import Draft, plain
from tasks.core.records import Kind, Request, Sample
from tests.samples import PREPARER, OnePerRow

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
    assert (item.is_empty, reads) == (False, [])
    assert (await item.prepare(Deadline(60, set()))).fault is None
    assert reads == [7]


async def test_its_draft_is_made_once_however_often_it_is_asked_and_tried() -> None:
    """A template is rendered over the row there."""
    made: list[str] = []

    def draft_of(sample: Sample) -> Draft:
        made.append(sample.id)
        return plain(sample.text)

    item = Item(SAMPLE, replace(PREPARER, draft_of=draft_of))
    assert (item.is_empty, item.tokens) == (False, 4)
    assert [(await item.prepare(Deadline(60, set()))).request.text for _ in range(2)] == ["a question"] * 2
    assert made == ["id"]

"""A Hub that fails in the middle: what is read waits and goes on, or its rows are sent another time."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.emulator import Emulator
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.config.command_line import checked
from tasks.core.config.limits import LimitsConfig
from tasks.core.data.hub_files import HubFiles
from tasks.core.data.reader import Reader
from tasks.core.data.remote import room
from tasks.core.data.remote.patience import PAUSES_SECONDS
from tasks.core.data.sources import DatasetRef, resolve
from tasks.core.errors import DataUnavailable, InputError, MediaError
from tasks.core.media.reading import read_media
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.records import Kind, RowAnswer, Sample
from tests.fake_hub import COMMIT, NAME, FakeHub, Fault, in_this_process
from tests.samples import PREPARER, OnePerRow
from tests.streams import texts, write_shards
from tests.support import RunFlow, read_csv

LIBRARY_TRIES = 6  # of one request, by the Hub's own library
FOR_EVER = 10_000
TAIL_BYTES = 65_536  # of a file, fetched for its footer


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, had they been."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """Two shards of 100 rows, in groups of 20."""
    with in_this_process(write_shards(tmp_path / "set", 2, 100), tmp_path / "home") as running:
        yield running


def opened(**parameters: Any) -> tuple[DatasetRef, Reader]:
    ref = resolve(checked({"dataset": NAME, "image_column": None, **parameters}))
    return ref, Reader(ref)


def rows_of(reader: Reader, span: range) -> list[list[str]]:
    return [[sample.id, sample.text] for sample in reader.samples(span)]


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault("00001", 503, LIBRARY_TRIES + 2, skip=4), 2.0),
        (Fault("00001", 429, 2, skip=4, headers={"Retry-After": "77"}), 78.0),
        (Fault("00001", 0, LIBRARY_TRIES + 2, skip=4), 2.0),
        (Fault("00000", 500, LIBRARY_TRIES + 2), 2.0),
    ],
)
def test_a_stream_goes_on_where_the_hub_failed(hub: FakeHub, slept: list[float], fault: Fault, waits: float) -> None:
    """Longer than the Hub's own library tries; nothing is lost, twice, or fetched again that was here."""
    hub.faults = [fault]
    _, reader = opened(streaming=True, image_column="image")
    assert rows_of(reader, range(200)) == texts(range(200))
    assert fault.times == 0
    assert waits in slept
    assert sum(hub.given.values()) < 1.01 * sum(len(data) + TAIL_BYTES for data in hub.files.values())


def test_a_stream_that_cannot_be_read_ends_before_anything_is_sent(hub: FakeHub, slept: list[float]) -> None:
    """In one line; what was half there is no data for the next run."""
    hub.faults = [Fault("00001", 503, FOR_EVER, skip=4)]
    with pytest.raises(InputError, match=r"some/set cannot be read: the Hub does not send .*00001.*: 503"):
        opened(streaming=True)
    assert set(PAUSES_SECONDS) <= set(slept)
    hub.faults = []
    assert rows_of(opened(streaming=True)[1], range(200)) == texts(range(200))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for a part of the data."""
    monkeypatch.setattr(room, "free_bytes", lambda: 400_000)


@pytest.mark.usefixtures("windows", "slept")
@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_window_that_does_not_come_is_no_part_of_the_key(hub: FakeHub, status: int) -> None:
    """A plan without it would pay again for what is answered; so there is none. Nor is it kept that it failed."""
    ref, reader = opened(streaming=True, image_column="image")
    hub.faults = [Fault("00001", status, FOR_EVER)]
    with pytest.raises(InputError, match="nothing was sent"):
        list(sample_keys(ref, PREPARER))
    hub.faults = []
    assert len(list(sample_keys(ref, PREPARER))) == 200
    assert rows_of(reader, range(150, 160)) == texts(range(150, 160))


def test_a_medium_that_does_not_come_leaves_its_row_without_a_key() -> None:
    """One without it would be that of another sample, which is paid for again."""

    def read(row: int) -> bytes:
        raise DataUnavailable("the Hub does not send a.png: 503")

    with pytest.raises(DataUnavailable):
        PREPARER.key_of(Sample(0, "0", "what?"), OnePerRow(read))


async def test_a_row_that_was_not_read_is_an_error_of_that_row_and_not_sent() -> None:
    """To be sent again by --resume; the limit on requests does not count it."""

    class Nobody:
        async def generate(self, request: Any) -> Any:
            raise AssertionError("sent")

        async def close(self) -> None: ...

    answerer = OnlineAnswerer(Nobody(), LimitsConfig(rpm=1, max_concurrent=1, timeout_seconds=5))  # type: ignore[arg-type]
    items = [Item(Sample(row, "", ""), PREPARER, unread="the Hub does not send it: 503") for row in range(3)]
    async with asyncio.timeout(5):
        found = [answer async for answer in answerer.answer("chunk", items) if isinstance(answer, RowAnswer)]
    assert sorted(answer.row for answer in found) == [0, 1, 2]
    assert {(answer.kind, answer.retryable) for answer in found} == {(Kind.SERVER_ERROR, True)}
    assert found[0].error_message == "server_error: the row could not be read: the Hub does not send it: 503"


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_medium_that_the_hub_does_not_send_is_none_to_go_without(tmp_path: Path, status: int) -> None:
    """A token that has expired, too. What is not in the repository is left out, as ever."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"\x89PNG\r\n")
    with in_this_process(tmp_path / "set", tmp_path / "home") as hub:
        files = HubFiles(NAME, COMMIT)
        hub.faults = [Fault("a.png", status, FOR_EVER)]
        with pytest.raises(DataUnavailable, match=f"the Hub does not send a.png: {status}"):
            read_media("a.png", [str(tmp_path / "home")], files.fetch)
        hub.faults = []
        assert read_media("a.png", [str(tmp_path / "home")], files.fetch) == b"\x89PNG\r\n"
        with pytest.raises(MediaError, match="does not exist"):
            read_media("gone.png", [str(tmp_path / "home")], files.fetch)


@pytest.mark.usefixtures("windows", "slept")
def test_a_run_whose_hub_fails_loses_no_row(hub: FakeHub, emulator: Emulator, run: RunFlow) -> None:
    """Its token expires in the middle; a resumed run sends what is missing, once, and writes all of it."""
    parameters = {"dataset": NAME, "streaming": True, "image_column": None, "max_concurrent": 2, "save_every": 20}
    hub.faults = [Fault("00001", 401, FOR_EVER, skip=3)]
    state = run(**parameters)
    assert not state.is_completed()
    assert "the Hub does not send" in str(state.message)
    sent = emulator.stats.requests
    assert 0 < sent < 200
    hub.faults = []
    assert run(**parameters, resume=True).is_completed()
    assert emulator.stats.requests == 200
    assert [[row["id"], row["input_query"]] for row in read_csv()] == texts(range(200))
    assert {row["status"] for row in read_csv()} == {"success"}

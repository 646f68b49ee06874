"""What becomes of rows whose batch jobs do not simply succeed."""

import asyncio
import re
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch import flight
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.flight import BatchLimits
from tasks.core.batches import AtWork, BatchJob, Making
from tasks.core.checkpoint.groups import GroupRecords, Phase
from tasks.core.checkpoint.layout import StorageError
from tasks.core.config.batch import Leftovers
from tasks.core.errors import ApiError, Deferred, RunStopped, StopReason
from tasks.core.records import Kind
from tests.batch_world import JOB, Process, Script, World, run

type Lines = list[dict[str, Any]]


def kinds(world: World) -> list[Kind]:
    return [answer.kind for _, answer in sorted(world.answered().items())]


def test_where_jobs_of_ours_fill_the_api_the_next_one_waits_for_their_end(tmp_path: Path) -> None:
    world = World(tmp_path, most_active=1)
    _, ended = run(world, 9, group_rows=3)
    assert (ended.error, len(world.jobs), len(world.answered())) == (None, 3, 9)
    assert sorted(len(job.lines) for job in world.jobs.values()) == [3, 3, 3]


def test_whoever_watches_hears_of_each_step_of_a_job(tmp_path: Path) -> None:
    heard: list[str] = []

    class Hears(Watcher):
        def making(self, what: Making | None) -> None:
            heard.append(f"{what.step.name} {what.rows}" if what else "made")

        def job(self, job: BatchJob) -> None:
            heard.append(f"{job.state} {job.requests}")

        def at_work(self, now: AtWork) -> None:
            heard.append(f"{now.states} {now.rows}, in {now.next_look - asyncio.get_running_loop().time():.0f} s")

    run(World(tmp_path, run_seconds=16), 2, watcher=Hears())
    assert heard == [
        *("PACKING 1", "PACKING 2", "UPLOADING 2", "CREATING 2", "made"),
        *("PENDING 2", "(('PENDING', 1),) 2, in 15 s", "(('RUNNING', 1),) 2, in 22 s", "SUCCEEDED 2", "() 0, in 15 s"),
    ]


def test_a_group_that_is_too_large_is_halved_until_it_fits(tmp_path: Path) -> None:
    """And the next ones are as small from the start; it is no attempt of its rows."""
    world = World(tmp_path, most_rows=2)
    _, ended = run(world, 16, group_rows=8)
    assert (ended.error, world.paid_twice, len(world.answered()), ended.online) == (None, {}, 16, [])
    assert max(len(job.lines) for job in world.jobs.values()) == 2
    assert world.creates == len(world.jobs) + 2


def test_where_not_even_one_row_fits_the_run_stops_with_the_api_s_own_words(tmp_path: Path) -> None:
    world = World(tmp_path, most_rows=0)
    _, ended = run(world, 4, group_rows=4)
    assert isinstance(ended.error, RunStopped)
    assert ended.error.reason is StopReason.API_DOWN
    assert "Resource has been exhausted" in ended.error.message
    assert (world.answered(), world.files) == ({}, {})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("400", StopReason.REFUSED),
        ("403", StopReason.REFUSED_KEY),
        ("401", StopReason.REFUSED_KEY),
        ("404", StopReason.REFUSED_ENDPOINT),
    ],
)
def test_what_every_create_would_meet_stops_the_run(tmp_path: Path, answer: str, reason: StopReason) -> None:
    world = World(tmp_path, Script(answer, made=False, times=9))
    _, ended = run(world, 4)
    assert isinstance(ended.error, RunStopped)
    assert ended.error.reason is reason
    assert (len(world.jobs), world.answered()) == (0, {})


@pytest.mark.parametrize("fate", ["FAILED", "EXPIRED", "CANCELLED"])
def test_rows_of_a_job_that_came_to_nothing_go_into_another(tmp_path: Path, fate: str) -> None:
    world = World(tmp_path, fate={0: fate})
    _, ended = run(world, 3)
    assert (kinds(world), ended.online, len(world.jobs)) == ([Kind.ANSWERED] * 3, [], 2)


@pytest.mark.parametrize(
    ("leftovers", "jobs", "online", "kind"),
    [
        (Leftovers.ONLINE, 2, [0, 1, 2], Kind.ANSWERED),
        (Leftovers.OPEN, 2, [], Kind.SERVER_ERROR),
        (Leftovers.BATCH, 5, [], Kind.SERVER_ERROR),
    ],
)
def test_what_two_jobs_leave_open_goes_where_it_is_asked_to(
    tmp_path: Path, leftovers: Leftovers, jobs: int, online: list[int], kind: Kind
) -> None:
    world = World(tmp_path, fate=dict.fromkeys(range(9), "EXPIRED"))
    _, ended = run(world, 3, leftovers=leftovers)
    assert (len(world.jobs), ended.online, kinds(world)) == (jobs, online, [kind] * 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[::-1],
        lambda lines: [lines[-1], *lines],
        lambda lines: [{"key": "000000.of-somebody-else", "text": "theirs"}, *lines],
        lambda lines: [{"key": lines[0]["key"], "error": 503}, *lines],
    ],
    ids=["shuffled", "doubled", "foreign", "failed first and answered then"],
)
def test_lines_are_told_by_their_keys_alone(tmp_path: Path, spoil: Any) -> None:
    world = World(tmp_path, spoil=spoil)
    run(world, 3)
    assert [answer.response for _, answer in sorted(world.answered().items())] == [
        f"answer to question {row}" for row in range(3)
    ]
    assert len(world.jobs) == 1


def test_a_line_that_is_missing_is_looked_for_again_and_its_row_goes_again(tmp_path: Path) -> None:
    """It may have been paid for, and is said to be."""
    downloads = []

    def spoil(lines: Lines) -> Lines:
        downloads.append(len(lines))
        return lines[:-1] if len(lines) == 3 else lines

    world = World(tmp_path, spoil=spoil)
    run(world, 3)
    assert (downloads, kinds(world)) == ([3, 3, 3, 1], [Kind.ANSWERED] * 3)
    assert world.answered()[2].lost == 1


def test_a_refusal_of_one_row_is_that_row_s_and_stops_nothing(tmp_path: Path) -> None:
    """Even one that would stop an online run: other rows were answered."""
    codes = {0: 400, 1: 403, 2: 404}

    def spoil(lines: Lines) -> Lines:
        return [{"key": line["key"], "error": codes[int(line["text"].split()[1])]} for line in lines]

    world = World(tmp_path, spoil=spoil)
    _, ended = run(world, 3, leftovers=Leftovers.OPEN)
    assert ended.error is None
    assert kinds(world) == [Kind.INVALID_REQUEST, Kind.SERVER_ERROR, Kind.SERVER_ERROR]


def test_a_stop_leaves_jobs_at_work_and_the_next_run_collects_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, ended = run(world, 3, stop_after=20)
    assert isinstance(ended.error, RunStopped)
    assert (len(world.jobs), world.answered(), world.cancels) == (1, {}, {})
    _, ended = run(world, 3)
    assert (ended.error, len(world.jobs), len(world.answered()), world.paid_twice) == (None, 1, 3, {})


def test_a_stop_in_the_middle_of_a_create_waits_for_its_answer(tmp_path: Path) -> None:
    """It is on record then, and nobody has to look for it."""
    world = World(tmp_path)
    run(world, 3, stop_after=0.25)  # the upload has taken 0.2 s
    assert [key.rpartition("-")[2] for key in world.records if "/batch/" in key][-1] == Phase.SUBMITTED


def test_answers_that_are_not_there_in_time_are_due_later(tmp_path: Path) -> None:
    """Their rows are in flight, and the next process sends others alone."""
    limits = BatchLimits(Bounds(rows=3), wait_seconds=900)
    world = World(tmp_path, run_seconds=5000)
    _, ended = run(world, 3, limits=limits)
    assert isinstance(ended.error, Deferred)
    assert ended.error.message == "1 batch job with 3 rows at work"
    assert 900 <= ended.seconds < 1500
    _, ended = run(world, 5, limits=limits, wait=False)
    assert [len(job.lines) for job in world.jobs.values()] == [3, 2]
    world.now += 5000
    _, ended = run(world, 5, limits=limits, wait=False)
    assert (len(world.answered()), len(world.jobs), world.paid_twice) == (5, 2, {})


def test_no_answers_are_due_later_while_there_is_something_to_send(tmp_path: Path) -> None:
    """Of rows whose media take long to read: what waits for no job is sent before the run sleeps."""
    limits = BatchLimits(Bounds(rows=3), wait_seconds=900)
    world = World(tmp_path, run_seconds=50_000)
    _, ended = run(world, 6, limits=limits, row_seconds=600)
    assert isinstance(ended.error, Deferred)
    assert ended.error.message == "2 batch jobs with 6 rows at work"


def test_at_the_deadline_jobs_are_cancelled_and_the_rest_goes_online(tmp_path: Path) -> None:
    world = World(tmp_path, run_seconds=500, fate={1: "STUCK"})
    limits = BatchLimits(Bounds(rows=3), deadline=world.now + 3600)
    _, ended = run(world, 6, limits=limits)
    assert (ended.error, ended.online, len(world.answered())) == (None, [3, 4, 5], 6)
    assert list(world.cancels) == ["batches/1"]
    assert world.paid_twice == {}


def test_a_job_that_does_not_end_when_it_is_cancelled_is_not_overtaken(tmp_path: Path) -> None:
    """It is asked again, and its rows are nobody else's until it has ended."""
    world = World(tmp_path, run_seconds=20_000, cancels_ignored=True)
    limits = BatchLimits(Bounds(rows=3), deadline=world.now + 3600)
    _, ended = run(world, 3, limits=limits)
    assert (ended.error, ended.online, len(world.answered()), world.paid_twice) == (None, [], 3, {})
    assert world.cancels["batches/0"] > 2


def test_past_the_deadline_no_group_is_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, ended = run(world, 3, limits=BatchLimits(deadline=world.now - 1))
    assert (ended.online, len(world.jobs)) == ([0, 1, 2], 0)
    _, ended = run(World(tmp_path), 3, limits=BatchLimits(deadline=0), leftovers=Leftovers.OPEN)
    assert ended.error is None


@pytest.mark.parametrize("answer", ["429", "unsent"])
def test_a_job_that_the_api_had_no_room_for_is_not_asked_for_past_the_deadline(tmp_path: Path, answer: str) -> None:
    """Its rows go on as those that were never sent."""
    world = World(tmp_path, Script(answer, made=False, times=4 if answer == "429" else 20))
    _, ended = run(world, 1, limits=BatchLimits(deadline=world.now + 400))
    assert (ended.error, ended.online, len(world.jobs), world.files) == (None, [0], 0, {})


@pytest.mark.parametrize("stop_after", [0.25, 20])
def test_jobs_of_another_project_are_not_taken_for_none(tmp_path: Path, stop_after: float) -> None:
    """The list is empty for its key, and `get` says 404."""
    world = World(tmp_path)
    run(world, 3, stop_after=stop_after)
    others, world.jobs = world.jobs, {}
    _, ended = run(world, 3, key_mark="bbbbbbbb")
    assert isinstance(ended.error, RunStopped)
    assert ended.error.reason is StopReason.REFUSED_KEY
    assert world.jobs == {}
    world.jobs = others
    run(world, 3, key_mark="bbbbbbbb")  # another key of the same project
    assert (len(world.answered()), world.paid_twice) == (3, {})


def test_a_job_that_the_api_has_forgotten_is_sent_again_after_ten_minutes(tmp_path: Path) -> None:
    world = World(tmp_path)
    run(world, 3, stop_after=20)
    world.jobs.clear()
    _, ended = run(world, 3)
    assert (ended.error, len(world.answered())) == (None, 3)
    assert ended.seconds > 600


class Few(dict[str, Any]):
    """Jobs of which there is an end."""

    def __setitem__(self, name: str, job: Any) -> None:
        assert len(self) < 9
        super().__setitem__(name, job)


class Forgotten(Few):
    """Jobs that are made, and of which the API knows nothing afterwards."""

    def get(self, name: str, default: object = None) -> Any:
        return None

    def values(self) -> Any:
        return []


def without_results(lines: Lines) -> Lines:
    raise ApiError(404, "NOT_FOUND", "Requested entity was not found.")


@pytest.mark.parametrize("job_is_gone", [True, False], ids=["the job", "its results"])
@pytest.mark.parametrize(
    ("leftovers", "jobs", "online", "kind"),
    [
        (Leftovers.ONLINE, 2, [0, 1, 2], Kind.ANSWERED),
        (Leftovers.OPEN, 2, [], Kind.SERVER_ERROR),
        (Leftovers.BATCH, 5, [], Kind.SERVER_ERROR),
    ],
)
def test_a_job_that_is_gone_counts_as_one_that_its_rows_were_in(
    tmp_path: Path, job_is_gone: bool, leftovers: Leftovers, jobs: int, online: list[int], kind: Kind
) -> None:
    """For it may have been paid for; or there would be no end of jobs."""
    world = World(tmp_path, jobs=Forgotten()) if job_is_gone else World(tmp_path, jobs=Few(), spoil=without_results)
    _, ended = run(world, 3, leftovers=leftovers)
    assert (ended.error, len(world.jobs), ended.online, kinds(world)) == (None, jobs, online, [kind] * 3)
    if kind is Kind.SERVER_ERROR:
        assert {(answer.detail, answer.lost) for answer in world.answered().values()} == {
            ("the batch job is gone: the API knows nothing of it: 404 NOT_FOUND Requested entity was not found.", jobs)
        }


def until_uploaded(folder: Path, rows: int) -> World:
    """A process was killed once its input was uploaded, before it asked for a job."""
    for step in count():
        world = World(folder)
        run(world, rows, dies_at=step)
        if max((key for key in world.records if "/batch/" in key and "rows" not in key), default="").endswith(
            "uploaded"
        ):
            return world
    raise AssertionError


def test_what_a_killed_process_has_uploaded_is_not_uploaded_again(tmp_path: Path) -> None:
    world = until_uploaded(tmp_path, 3)
    _, ended = run(world, 3)
    assert (ended.error, world.uploads_begun, len(world.jobs), world.files) == (None, 1, 1, {})
    assert len(world.answered()) == 3


def test_nor_where_the_next_process_is_killed_before_it_asks_for_a_job(tmp_path: Path) -> None:
    """In the middle of taking it over as well, twice; and no other group has the input of a job that is at work."""
    uploaded, step = until_uploaded(tmp_path, 3), 0.0
    while True:
        world = deepcopy(uploaded)
        run(world, 3, dies_at=step)
        if any(key.endswith(Phase.CREATING) for key in world.records):
            break
        run(world, 3, dies_at=3.5)
        run(world, 3, stop_after=20)
        assert [group.phase for group in GroupRecords(Process(world), JOB).under_way()] == [Phase.SUBMITTED], step
        _, ended = run(world, 3)
        assert (ended.error, world.uploads_begun, len(world.jobs), world.files) == (None, 1, 1, {}), step
        step += 0.5
    assert step > 4


def test_what_a_killed_process_has_uploaded_and_nobody_wants_is_deleted(tmp_path: Path) -> None:
    """The data are others by now, or the rows are grouped otherwise."""
    world = until_uploaded(tmp_path, 3)
    _, ended = run(world, 2)
    assert (ended.error, world.uploads_begun, len(world.jobs), world.files) == (None, 2, 1, {})
    assert [key for key in world.records if "/batch/" in key and not key.endswith(("collected", "gone"))] == []


def test_inputs_that_are_stored_at_the_api_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one goes up when one is collected."""
    monkeypatch.setattr(flight, "MOST_STORED_BYTES", 1)
    world = World(tmp_path)
    _, ended = run(world, 12)
    assert (ended.error, len(world.answered()), len(world.jobs), world.most_files) == (None, 12, 4, 1)


def test_a_record_that_cannot_be_read_does_not_make_a_second_job(tmp_path: Path) -> None:
    """The name of the group is enough to find it."""
    world = World(tmp_path)
    run(world, 3, stop_after=20)
    [last] = [key for key in world.records if key.startswith(f"{JOB}/batch/") and key.endswith(Phase.SUBMITTED)]
    world.records[last] = "{}"
    run(world, 3)
    assert (len(world.jobs), len(world.answered()), world.paid_twice) == (1, 3, {})


def test_what_a_budget_does_not_cover_waits_for_jobs_to_settle_and_then_the_run_stops(tmp_path: Path) -> None:
    """Jobs are as large as is covered; each frees what it has not taken."""
    world = World(tmp_path, limit=0.0012)  # for some five rows at their worst
    _, ended = run(world, 30, group_rows=30)
    assert isinstance(ended.error, RunStopped)
    assert ended.error.reason is StopReason.BUDGET
    assert re.fullmatch(r"\$0.0011 of --max-cost 0.0012 are spent; the next request .*", ended.error.message)
    assert [len(job.lines) for job in world.jobs.values()] == [5, 3, 2, 1]
    assert world.spent(Process(world)) == pytest.approx(world.billed)
    assert world.billed < 0.0012
    world.limit = 1.0
    _, ended = run(world, 30, group_rows=30)
    assert (ended.error, world.paid_twice, len(world.answered())) == (None, {}, 30)


def test_rows_that_have_nothing_to_send_leave_nobody_waiting_for_the_budget(tmp_path: Path) -> None:
    """Of two chunks, one of which is in the middle of a job when it meets such a row."""
    world = World(tmp_path, limit=0.0004)
    _, ended = run(world, 12, blank=[1, 7])
    assert isinstance(ended.error, RunStopped)
    assert (ended.error.reason, len(world.jobs) > 1) == (StopReason.BUDGET, True)
    world.limit = 1.0
    run(world, 12, blank=[1, 7])
    assert [row for row, kind in enumerate(kinds(world)) if kind is Kind.INPUT] == [1, 7]


def test_rows_that_go_online_spend_of_the_same_budget(tmp_path: Path) -> None:
    """Of which jobs without results have taken all that was set aside."""
    world = World(tmp_path, fate=dict.fromkeys(range(9), "EXPIRED"), limit=0.0021)
    _, ended = run(world, 3)
    assert isinstance(ended.error, RunStopped)
    assert (ended.error.reason, len(world.jobs), ended.online) == (StopReason.BUDGET, 2, [0, 1])
    assert "$0.0014 of them for requests without an answer that may have been billed" in ended.error.message


def test_a_storage_that_fails_once_answers_are_saved_leaves_nobody_waiting_for_the_budget(tmp_path: Path) -> None:
    """What a job has taken is known then, whether it is on record or not."""

    class Fails(dict[str, str]):
        def __setitem__(self, key: str, value: str) -> None:
            if key.endswith(Phase.COLLECTED):
                raise StorageError("the disk is full")
            super().__setitem__(key, value)

    world = World(tmp_path, limit=0.0012, records=Fails())
    _, ended = run(world, 30, group_rows=30)
    assert isinstance(ended.error, RunStopped)
    assert (ended.error.reason, len(world.jobs) > 1) == (StopReason.BUDGET, True)


def test_a_run_that_is_put_off_leaves_nobody_waiting_for_the_budget(tmp_path: Path) -> None:
    """Which a job at work holds, while rows of another are to go online."""
    world = World(tmp_path, fate={number: "STUCK" if number == 1 else "EXPIRED" for number in range(9)}, limit=0.004)
    _, ended = run(world, 9, limits=BatchLimits(Bounds(rows=3), wait_seconds=900))
    assert isinstance(ended.error, Deferred)
    assert (ended.online, len(world.jobs)) == ([], 5)


def test_a_run_that_is_put_off_while_a_job_waits_for_the_budget_does_not_end_as_without_one(tmp_path: Path) -> None:
    """A job at work holds all of it: there is more when it has ended, and the run is woken for that."""
    world = World(tmp_path, fate={0: "STUCK"}, limit=0.0012)
    _, ended = run(world, 30, limits=BatchLimits(Bounds(rows=30), wait_seconds=900))
    assert isinstance(ended.error, Deferred)
    assert (ended.error.message, len(world.jobs)) == ("1 batch job with 5 rows at work", 1)


def test_jobs_that_outlive_their_run_count_as_what_was_set_aside_until_they_are_collected(tmp_path: Path) -> None:
    """And as what they have taken from then on."""
    world = World(tmp_path, limit=0.01)
    run(world, 6, stop_after=50)
    in_flight = GroupRecords(Process(world), JOB).in_flight()
    reserved = sum(group.at_most for group in in_flight)
    assert len(in_flight) == 2
    assert world.spent(Process(world)) == pytest.approx(reserved)
    assert 2 * world.billed < reserved < 0.01
    run(world, 6)
    assert world.spent(Process(world)) == pytest.approx(world.billed)

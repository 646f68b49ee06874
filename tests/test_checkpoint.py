"""What survives: the answers of every attempt, on a storage that loses and tears what it likes."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.checkpoint import compaction
from tasks.core.checkpoint import pool as pools
from tasks.core.checkpoint.attempts import close_attempt_record, latest_manifest, open_attempt_record, summary_of
from tasks.core.checkpoint.compaction import MOST_LOOSE_RECORDS, adopt, compact
from tasks.core.checkpoint.contents import Manifest, pack, unpack
from tasks.core.checkpoint.elsewhere import pools_with
from tasks.core.checkpoint.groups import GroupRecords, Phase, PlannedRow
from tasks.core.checkpoint.layout import (
    ROOT,
    Damaged,
    StorageError,
    answers_key,
    chunk_key,
    job_key,
    jobs,
    manifest_key,
    pool_key,
)
from tasks.core.checkpoint.pool import Pool, read_pool
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.spending import Spending
from tasks.core.keys import sample_key
from tasks.core.planning.attempt import Attempt
from tasks.core.planning.job_costs import JobCosts
from tasks.core.planning.resume import plan_fresh
from tasks.core.records import Kind, RowAnswer
from tests.memory import TORN, Memory, Unreachable

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy

JOB = f"{ROOT}/data-test-m-0123456789ab"
OTHER = f"{ROOT}/moved-test-m-ba9876543210"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def manifest(attempt: str, hour: int = 0, job: str = JOB, settings: str = "s") -> Manifest:
    return Manifest(
        job=job, name="n", attempt=attempt, created=NOON + timedelta(hours=hour), settings=settings, rows=2, chunks=1
    )


def results(*keys: str, first: int = 0, kind: Kind = Kind.ANSWERED) -> list[RowAnswer]:
    return [
        RowAnswer(row=n, id=f"id-{key}", key=key, kind=kind, response=f"to {key}") for n, key in enumerate(keys, first)
    ]


def answers(*keys: str, first: int = 0, done: Sequence[int] = ()) -> dict[str, Any]:
    return pack(results(*keys, first=first)) | {"done": list(done)}


def keys_of(storage: Memory, job: str = JOB) -> list[str]:
    return [result.key for result in read_pool(storage, job).results()]


def test_results_survive_the_storage() -> None:
    """What goes in comes out, as plain JSON."""
    kept = [RowAnswer(row=3, id="a", key="k", kind=Kind.BLOCKED, detail="d", has_image=True, prompt_tokens=7)]
    assert unpack(pack(kept)) == kept


def test_what_any_attempt_has_kept_is_one_pool_newest_first() -> None:
    """Whatever their order and end; answers of chunks, of the journal and of 0.1's partial chunks alike."""
    storage = Memory()
    for hour, attempt in enumerate(("a-1", "b-1", "c-1")):
        open_attempt_record(storage, manifest(attempt, hour))
    storage[chunk_key(JOB, "a-1", 0)] = pack(results("old"))
    storage[answers_key(JOB, "b-1", "w", 0)] = answers("limited")
    storage[f"{chunk_key(JOB, 'c-1', 3)}-partial"] = pack(results("part"))
    assert keys_of(storage) == ["part", "limited", "old"]


def test_an_answer_that_stands_in_several_records_counts_once() -> None:
    """In the journal, in its chunk, in the pool."""
    storage = Memory()
    storage[answers_key(JOB, "a-1", "w", 0)] = answers("x")
    storage[chunk_key(JOB, "a-1", 0)] = pack(results("x", "y"))
    storage[pool_key(JOB, "w", 0)] = {"attempts": [{"attempt": "a-1", **pack(results("x"))}]}
    assert sorted(keys_of(storage)) == ["x", "y"]


def test_a_record_that_cannot_be_read_costs_no_other_and_is_named() -> None:
    """A manifest that is empty after a power cut, a torn answer, a thing that is no record."""
    storage = Memory()
    open_attempt_record(storage, manifest("a-1"))
    storage[answers_key(JOB, "a-1", "w", 0)] = answers("x")
    storage[manifest_key(JOB, "b-1")] = TORN
    storage[answers_key(JOB, "b-1", "w", 0)] = answers("y")
    storage[answers_key(JOB, "b-1", "w", 1)] = TORN
    storage[chunk_key(JOB, "b-1", 2)] = {"rows": [{"row": "not a number"}]}
    storage[pool_key(JOB, "w", 0)] = {"attempts": 10**9}
    pool = read_pool(storage, JOB)
    assert sorted(result.key for result in pool.results()) == ["x", "y"]
    assert sorted(pool.damaged) == sorted(
        [manifest_key(JOB, "b-1"), answers_key(JOB, "b-1", "w", 1), chunk_key(JOB, "b-1", 2), pool_key(JOB, "w", 0)]
    )


def test_no_number_in_a_record_makes_a_reader_loop() -> None:
    """A manifest that plans a billion chunks is read in no time, for only what is there is read."""
    storage = Memory()
    storage[manifest_key(JOB, "a-1")] = manifest("a-1").model_dump(mode="json") | {"chunks": 10**9, "rows": 10**12}
    storage[answers_key(JOB, "a-1", "w", 999_999_999_999)] = answers("x", done=[10**15])
    storage[chunk_key(JOB, "a-1", 10**11)] = pack(results("y", first=10**30))
    pool = read_pool(storage, JOB)
    assert [answer.key for answer in pool.results()] == ["x"]
    assert pool.damaged == [chunk_key(JOB, "a-1", 10**11)]


def test_chunks_whose_answers_were_all_read_are_not_read_again() -> None:
    """But for those of a writer of whom a record is missing or torn."""

    class Counting(Memory):
        def read(self, key: str) -> Any | None:
            read.append(key)
            return super().read(key)

    read: list[str] = []
    storage = Counting()
    storage[answers_key(JOB, "a-1", "w", 0)] = answers("x")
    storage[answers_key(JOB, "a-1", "w", 1)] = answers("y", first=1, done=[0])
    storage[chunk_key(JOB, "a-1", 0)] = pack(results("x", "y"))
    assert sorted(keys_of(storage)) == ["x", "y"]
    assert chunk_key(JOB, "a-1", 0) not in read
    storage.delete([answers_key(JOB, "a-1", "w", 0)])
    assert sorted(keys_of(storage)) == ["x", "y"]
    storage[answers_key(JOB, "a-1", "w", 0)] = TORN
    assert sorted(keys_of(storage)) == ["x", "y"]


def test_within_an_attempt_an_answer_outlives_a_failure_whichever_is_read_last() -> None:
    """Two machines that were given the same chunk, one after the other was lost."""
    for first, second in (("aaa", "zzz"), ("zzz", "aaa")):
        storage = Memory()
        storage[answers_key(JOB, "a-1", first, 0)] = pack(results("x"))
        storage[answers_key(JOB, "a-1", second, 0)] = pack(results("x", kind=Kind.TIMEOUT))
        assert [result.kind for result in read_pool(storage, JOB).results()] == [Kind.ANSWERED]


def test_who_reads_while_records_are_put_together_sees_all_answers() -> None:
    """A record that was listed and is gone makes the reader look again; if that never ends, it is an error."""

    class Moving(Memory):
        moves = 1

        def keys(self, prefix: str = "") -> list[str]:  # type: ignore[override]
            found = super().keys(prefix)
            if self.moves:
                self.moves -= 1
                [old] = found
                self[pool_key(JOB, f"w{self.moves}", 0)] = {"attempts": [{"attempt": "a-1", **pack(results("x"))}]}
                del self[old]
            return found

    storage = Moving()
    storage[answers_key(JOB, "a-1", "w", 0)] = pack(results("x"))
    assert keys_of(storage) == ["x"]
    storage.moves = 10**6
    with pytest.raises(StorageError, match="change faster than they can be read"):
        keys_of(storage)


def test_while_batch_jobs_are_at_work_no_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt is put on record once its jobs have ended; till then its answers alone say what it took."""
    monkeypatch.setattr(compaction, "MOST_LOOSE_RECORDS", 0)
    storage = Memory()
    groups = GroupRecords(storage, JOB)
    for attempt in ("a-1", "b-1"):
        storage.write(answers_key(JOB, attempt, "w", 0), pack(results("x")))
    group = groups.plan("g", "a-1", [PlannedRow(0, "0", "x", False, "", 0.0)], 1.0)
    submitted = groups.note(groups.note(group, Phase.CREATING, 2.0), Phase.SUBMITTED, 3.0, batch="batches/1")

    def put_together() -> int:
        pool = read_pool(storage, JOB)
        costs = JobCosts.read(storage, JOB, pool.table, None)
        run: Any = SimpleNamespace(job=JOB)
        lock: Any = SimpleNamespace(confirm=lambda: None)
        attempt = Attempt(run, plan_fresh(1, 1), storage, pool, costs, whole=True)
        pool.table.matching.ask([("x", "id-x")])
        attempt.put_together(lock, False, Spending(attempts=["b-1"]))
        return len(read_pool(storage, JOB).table.kept)

    assert put_together() == 2
    groups.note(submitted, Phase.COLLECTED, 4.0)
    assert put_together() == 1


def test_a_storage_that_cannot_say_is_not_taken_for_an_empty_one() -> None:
    """A network that fails must not make a run pay for everything again."""
    with pytest.raises(OSError, match="no route"):
        read_pool(Unreachable(), JOB)


def test_a_flow_run_s_next_attempt_takes_no_number_twice() -> None:
    """Whatever is left of the earlier ones: a torn manifest, an answer, a record of the pool."""
    storage = Memory()
    assert read_pool(storage, JOB).next_attempt("run") == "run-1"
    storage[manifest_key(JOB, "run-1")] = TORN
    assert read_pool(storage, JOB).next_attempt("run") == "run-2"
    storage[answers_key(JOB, "run-2", "w", 0)] = TORN
    assert read_pool(storage, JOB).next_attempt("run") == "run-3"
    storage[pool_key(JOB, "w", 0)] = {"attempts": [{"attempt": "run-7", **pack(results("x"))}]}
    pool = read_pool(storage, JOB)
    assert pool.next_attempt("run") == "run-8"
    assert pool.next_attempt("other") == "other-1"
    assert [result.key for result in pool.results(pool.attempts_of("run"))] == ["x"]


def asked(storage: Memory, wanted: Counter[tuple[str, str]]) -> Pool:
    """The pool of a run over data that has each sample as often as `wanted` says."""
    pool = read_pool(storage, JOB)
    pool.table.matching.ask(wanted.elements())
    return pool


def nightly(storage: Memory, night: int, wanted: Counter[tuple[str, str]], *keys: str) -> None:
    """One run that is answered `keys`, a record each, and puts together what is there when it ends."""
    pool = read_pool(storage, JOB)
    attempt = f"night{night}-1"
    open_attempt_record(storage, manifest(attempt, 24 * night))
    for number, key in enumerate(keys):
        storage.write(answers_key(JOB, attempt, "w", number), answers(key, first=number, done=[number]))
        storage.write(chunk_key(JOB, attempt, number), pack(results(key, first=number)))
    close_attempt_record(storage, JOB, attempt, len(keys), 0)
    pool.table.matching.ask(wanted.elements())
    compact(storage, pool, whole=True)


def test_after_a_year_of_nights_a_job_has_few_records_and_every_answer() -> None:
    """A data set that grows by three rows a night."""
    storage = Memory()
    every = [f"k{n}" for n in range(3 * 365)]
    for night in range(365):
        wanted = Counter((key, f"id-{key}") for key in every[: 3 * night + 3])
        nightly(storage, night, wanted, *every[3 * night : 3 * night + 3])
    assert len(storage.keys(JOB)) < 3 * MOST_LOOSE_RECORDS
    pool = read_pool(storage, JOB)
    assert pool.size == len(every)
    assert sorted(keys_of(storage)) == sorted(every)
    assert keys_of(storage)[:3] == every[-3:]


def test_asked_anew_every_night_a_job_keeps_a_few_answers_a_row_and_the_newest_counts() -> None:
    """Runs without --resume, a hundred nights: what is old is dropped when records are put together."""
    storage = Memory()
    every = [f"k{n}" for n in range(20)]
    wanted = Counter((key, f"id-{key}") for key in every)
    for night in range(100):
        nightly(storage, night, wanted, *every)
    pool = read_pool(storage, JOB)
    assert pool.size <= 4 * len(every)
    newest = {result.key: attempt for attempt, result in reversed(list(pool.table.kept.by_attempt()))}
    assert set(newest.values()) == {"night99-1"}


def test_putting_together_keeps_an_error_that_a_newer_failure_does_not_replace() -> None:
    """A blocked row whose later try timed out is still a blocked row; a success outlives both."""
    storage = Memory()
    wanted = Counter((key, f"id-{key}") for key in ("x", "y"))
    kinds = [("a-1", Kind.ANSWERED, "y"), ("b-1", Kind.BLOCKED, "x"), ("c-1", Kind.BLOCKED, "y")]
    for hour, (attempt, kind, key) in enumerate([*kinds, ("d-1", Kind.TIMEOUT, "x"), ("e-1", Kind.TIMEOUT, "x")]):
        open_attempt_record(storage, manifest(attempt, hour))
        storage[answers_key(JOB, attempt, "w", 0)] = pack(results(key, kind=kind))
    for n in range(MOST_LOOSE_RECORDS):
        storage[answers_key(JOB, "z-1", "v", n)] = answers(f"k{n}", first=n)
    compact(storage, asked(storage, wanted), whole=True)
    kept = Counter((result.key, result.kind) for result in read_pool(storage, JOB).results() if result.key in "xy")
    assert kept == {("x", Kind.BLOCKED): 1, ("x", Kind.TIMEOUT): 1, ("y", Kind.ANSWERED): 1, ("y", Kind.BLOCKED): 1}


def test_putting_together_keeps_what_the_data_at_hand_does_not_ask() -> None:
    """What is not in it may come back; equal rows need as many answers as they are."""
    storage = Memory()
    pairs = Counter({("twice", "id-twice"): 2, ("once", "id-once"): 1})
    for hour, attempt in enumerate(("a-1", "b-1", "c-1")):
        open_attempt_record(storage, manifest(attempt, hour))
        storage[answers_key(JOB, attempt, "w", 0)] = answers("twice", "once", "unknown")
    for n in range(MOST_LOOSE_RECORDS):
        storage[answers_key(JOB, "c-1", "v", n)] = answers(f"k{n}", first=10 + n)
    assert compact(storage, asked(storage, pairs), whole=True) > MOST_LOOSE_RECORDS
    kept = Counter(keys_of(storage))
    assert (kept["twice"], kept["once"], kept["unknown"]) == (2, 1, 3)
    assert all(kept[f"k{n}"] == 1 for n in range(MOST_LOOSE_RECORDS))


@pytest.mark.parametrize("anew", [False, True], ids=["loose records", "full ones as well"])
def test_putting_together_may_end_anywhere(anew: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any write or delete, no answer is gone and none counts twice."""

    class Mortal(Memory):
        left = 10**9

        def _live(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

        def write(self, key: str, value: Any) -> None:
            self._live()
            super().write(key, value)

        def delete(self, keys: Sequence[str]) -> None:
            for key in keys:
                self._live()
                super().delete([key])

    monkeypatch.setattr(pools, "PART_ROWS", 20)
    monkeypatch.setattr(compaction, "PART_ROWS", 20)
    monkeypatch.setattr(compaction, "LEAST_WORTH", 2.0 if anew else 0.0)
    storage = Mortal()
    for n in range(3):
        part = {"attempt": f"o{n}-1", **pack(results(*"abcdefghijklmnopqrst"))}
        storage.write(pool_key(JOB, "old", n), {"attempts": [part]})
    for n in range(MOST_LOOSE_RECORDS + 1):
        storage.write(answers_key(JOB, "a-1", "w", n), answers(f"k{n}", first=n))
    expected, whole = sorted(keys_of(storage)), dict(storage)
    steps, ended = 0, False
    while not ended:
        storage.clear()
        storage.update(whole)
        storage.left = steps
        try:
            compact(storage, read_pool(storage, JOB), whole=False)
            ended = True
        except KeyboardInterrupt:
            steps += 1
        assert sorted(keys_of(storage)) == expected
    assert steps > MOST_LOOSE_RECORDS


def test_nothing_is_removed_before_what_replaces_it_can_be_read() -> None:
    """A storage that swallows what it is given keeps the old records."""

    class Swallowing(Memory):
        def write(self, key: str, value: Any) -> None:
            super().write(key, {"attempts": []})

    storage = Swallowing()
    for n in range(MOST_LOOSE_RECORDS + 1):
        storage[answers_key(JOB, "a-1", "w", n)] = answers(f"k{n}", first=n)
    with pytest.raises(OSError, match="something else than was written"):
        compact(storage, read_pool(storage, JOB), whole=False)
    assert len(keys_of(storage)) == MOST_LOOSE_RECORDS + 1


def test_answers_of_moved_data_are_found_by_what_its_rows_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any attempt of another job of the same model; then they are this job's own."""
    storage = Memory()
    open_attempt_record(storage, manifest("a-1", job=OTHER))
    for n in range(50):
        storage[chunk_key(OTHER, "a-1", n)] = pack(results(f"k{n}", first=n))
    storage[chunk_key(f"{ROOT}/x-test-n-000000000000", "a-1", 0)] = pack(results("k49"))
    wanted = {"k49", "k7"}
    for n in range(9):
        storage[answers_key(OTHER, f"b{n}-1", "w", 0)] = pack(results(f"b{n}"))
    assert [pool.job for pool in pools_with(storage, JOB, "m", {"b4"}.__contains__)] == [OTHER]
    [pool] = pools_with(storage, JOB, "m", wanted.__contains__)
    assert pool.job == OTHER
    table = AnswerTable()
    assert adopt(storage, JOB, table, pool, wanted.__contains__) == 2
    assert {answer.key for answer in table.kept.newest_first()} == wanted
    storage.delete(storage.keys(OTHER))
    assert set(keys_of(storage)) == wanted
    assert list(pools_with(storage, JOB, "m", {"unknown"}.__contains__)) == []


def test_jobs_are_what_is_there() -> None:
    """No list of them can be lost."""
    storage = Memory()
    for job in (JOB, OTHER):
        open_attempt_record(storage, manifest("a-1", job=job))
    storage[f"{ROOT}/jobs"] = ["a list of version 0.1"]
    assert jobs(storage) == sorted([JOB, OTHER])


def test_the_latest_manifest_is_the_newest_that_can_be_read() -> None:
    """For those who look at checkpoints."""
    storage = Memory()
    assert latest_manifest(storage, JOB) is None
    for hour, attempt in enumerate(("a-1", "b-1", "c-1")):
        open_attempt_record(storage, manifest(attempt, hour))
    storage[manifest_key(JOB, "c-1")] = TORN
    latest = latest_manifest(storage, JOB)
    assert latest
    assert latest.attempt == "b-1"


def test_a_summary_says_how_an_attempt_ended() -> None:
    """And a torn one says nothing."""
    storage = Memory()
    assert summary_of(storage, JOB, "one") is None
    close_attempt_record(storage, JOB, "one", 10, 2)
    summary = summary_of(storage, JOB, "one")
    assert summary
    assert (summary.rows, summary.open) == (10, 2)
    storage[f"{JOB}/one/summary"] = TORN
    assert summary_of(storage, JOB, "one") is None


def test_a_job_is_what_fills_one_csv() -> None:
    """Any of the four makes another job; the key can be read."""
    keys = {
        job_key(*parts)
        for parts in [
            ("d", None, "test", "m"),
            ("e", None, "test", "m"),
            ("d", "c", "test", "m"),
            ("d", None, "dev", "m"),
        ]
    } | {job_key("d", None, "test", "n")}
    assert len(keys) == 5
    assert "my-org-set-test-gemini" in job_key("my-org/set", None, "test", "gemini")


def test_a_sample_key_depends_on_all_that_shapes_the_answer_and_on_nothing_else() -> None:
    """Text, image, settings; no two ways of cutting them give the same key."""
    plain = GenerateConfig(model="m").fingerprint
    hot = GenerateConfig(model="m", generation_config={"temperature": 1}).fingerprint
    x, y = (b"bytes:", b"x"), (b"bytes:", b"y")
    asked: list[tuple[str, str, list[tuple[bytes, bytes]]]] = [
        (plain, "a", []),
        (plain, "b", []),
        (plain, "a", [(b"bytes:", b"")]),
        (plain, "a", [x]),
        (plain, "a", [(b"note:", b"x")]),
        (plain, "a", [(b"uri:", b"x")]),
        (plain, "a", [x, y]),
        (plain, "a", [y, x]),
        (plain, "a", [x, x]),
        (plain, "a", [(b"bytes:", b"xx")]),
        (plain, "ax", []),
        (hot, "a", []),
    ]
    assert len({sample_key(settings, text, *media) for settings, text, media in asked}) == len(asked)
    assert sample_key(plain, "a", x) == sample_key(GenerateConfig(model="m").fingerprint, "a", x)


def test_a_sample_key_is_the_same_in_every_version() -> None:
    """Another one would pay for all answers of an older checkpoint again."""
    keys: dict[tuple[bytes, bytes] | None, str] = {
        None: "39f46442bf38a08bd527630bde984b02",
        (b"bytes:", b""): "b780c9d8205e692bd884169e74456073",
        (b"bytes:", b"\xff\xd8image"): "6495af2308b6cd5f4a2ed754626fe514",
        (b"note:", b"does not exist"): "4e943599ff64a2db8ae1979bb40e49e0",
    }
    assert {image: sample_key("settings", "text 예 \ud800", *filter(None, [image])) for image in keys} == keys


RESULTS = st.builds(
    RowAnswer,
    row=st.integers(0, 10**6),
    id=st.text(max_size=9),
    key=st.text("0123456789abcdef", max_size=9),
    kind=st.sampled_from(Kind),
    has_image=st.booleans(),
    response=st.text(),
    detail=st.text(),
    image_note=st.text(max_size=9),
    prompt_tokens=st.integers(0, 10**6),
    answer_tokens=st.integers(0, 10**6),
)


@PATIENT
@given(st.lists(RESULTS, max_size=5))
def test_any_result_survives_as_json_text(kept: list[RowAnswer]) -> None:
    """Whatever the model said."""
    assert unpack(json.loads(json.dumps(pack(kept)))) == kept


@pytest.mark.parametrize("value", [None, 7, "rows", [], {}, {"rows": None}, {"rows": [{}]}, ValueError("lost")])
def test_what_is_no_chunk_is_damaged(value: Any) -> None:
    """Not an error of another kind, which would end the run."""
    with pytest.raises(Damaged):
        unpack(value)

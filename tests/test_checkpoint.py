"""What survives: pointers, manifests and chunks on a storage that loses and tears what it likes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.checkpoint import (
    JOBS,
    AttemptRef,
    Checkpoints,
    Damaged,
    Manifest,
    chunk_key,
    job_key,
    pack,
    registered,
    sample_key,
    unpack,
    unregister,
)
from tasks.core.config import GenerateConfig
from tasks.core.records import Kind, RowResult

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy

JOB = "job"
TORN = object()


class Memory(dict[str, Any]):
    """A storage; a TORN value cannot be read."""

    def read(self, key: str) -> Any | None:
        value = self.get(key)
        if value is TORN:
            raise Damaged(key)
        return value

    def write(self, key: str, value: Any) -> None:
        self[key] = value


def manifest(attempt: str, chunks: int = 1, earlier: list[AttemptRef] | None = None) -> Manifest:
    return Manifest(
        job=JOB,
        name="n",
        attempt=attempt,
        created=datetime.now(UTC),
        settings="s",
        rows=2,
        chunks=chunks,
        earlier=earlier or [],
    )


def results(*keys: str) -> list[RowResult]:
    return [
        RowResult(row=n, id=str(n), key=key, kind=Kind.ANSWERED, response=f"to {key}") for n, key in enumerate(keys)
    ]


def test_results_survive_the_storage() -> None:
    """What goes in comes out, as plain JSON."""
    kept = [RowResult(row=3, id="a", key="k", kind=Kind.BLOCKED, detail="d", has_image=True, prompt_tokens=7)]
    assert unpack(pack(kept)) == kept


def test_the_latest_attempt_is_found_and_the_one_before_where_its_record_is_torn() -> None:
    """A crash while the pointer was written costs nothing but that attempt."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    assert checkpoints.latest() is None
    for attempt in ("one", "two", "three"):
        checkpoints.open(manifest(attempt))
        latest = checkpoints.latest()
        assert latest
        assert latest.attempt == attempt
    newest = max(("latest-0", "latest-1"), key=lambda slot: storage[f"{JOB}/{slot}"]["sequence"])
    storage[f"{JOB}/{newest}"] = TORN
    latest = checkpoints.latest()
    assert latest
    assert latest.attempt == "two"
    checkpoints.open(manifest("four"))
    latest = checkpoints.latest()
    assert latest
    assert latest.attempt == "four"


def test_a_torn_manifest_is_not_pointed_at() -> None:
    """The manifest is whole before anything points at it; should it be lost, the one before counts."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    checkpoints.open(manifest("one"))
    checkpoints.open(manifest("two"))
    storage[f"{JOB}/two/manifest"] = TORN
    latest = checkpoints.latest()
    assert latest
    assert latest.attempt == "one"


def test_a_checkpoint_is_read_newest_first_whole_chunks_before_partial_ones() -> None:
    """And what cannot be read is named, not fatal."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    storage[chunk_key(JOB, "old", 0)] = pack(results("a"))
    storage[chunk_key(JOB, "new", 0)] = pack(results("b", "c"))
    storage[chunk_key(JOB, "new", 0, partial=True)] = pack(results("b"))
    storage[chunk_key(JOB, "new", 1)] = TORN
    storage[chunk_key(JOB, "new", 1, partial=True)] = pack(results("d"))
    storage[chunk_key(JOB, "new", 2)] = {"rows": [{"row": "not a number"}]}
    found = checkpoints.read(manifest("new", 4, [AttemptRef(attempt="old", chunks=1)]))
    assert [result.key for result in found.results] == ["b", "c", "d", "a"]
    assert found.damaged == [chunk_key(JOB, "new", 1), chunk_key(JOB, "new", 2)]


def test_two_runs_of_one_job_do_not_spoil_each_other() -> None:
    """The second, begun while the first runs, sees what the first saves later as well."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    checkpoints.open(manifest("first", 2))
    storage[chunk_key(JOB, "first", 0)] = pack(results("a"))
    checkpoints.open(manifest("second", 1, [AttemptRef(attempt="first", chunks=2)]))
    storage[chunk_key(JOB, "second", 0)] = pack(results("b"))
    storage[chunk_key(JOB, "first", 1)] = pack(results("c"))
    latest = checkpoints.latest()
    assert latest
    assert {result.key for result in checkpoints.read(latest).results} == {"a", "b", "c"}


def test_a_flow_run_finds_its_own_attempts() -> None:
    """The next one is new, the last one is where it goes on."""
    checkpoints = Checkpoints(Memory(), JOB)
    assert checkpoints.attempts_of("run") == ("run-1", None)
    checkpoints.open(manifest("run-1"))
    checkpoints.open(manifest("run-2"))
    checkpoints.open(manifest("other-1"))
    attempt, last = checkpoints.attempts_of("run")
    assert attempt == "run-3"
    assert last
    assert last.attempt == "run-2"


def test_jobs_are_registered_once() -> None:
    """So that they can be listed without listing a folder."""
    storage = Memory()
    for attempt in ("one", "two"):
        Checkpoints(storage, JOB).open(manifest(attempt))
    Checkpoints(storage, "another").open(manifest("one"))
    assert registered(storage) == [JOB, "another"]


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
    plain = GenerateConfig(model="m")
    hot = GenerateConfig(model="m", generation_config={"temperature": 1})
    asked: list[tuple[GenerateConfig, str, bytes | str | None]] = [
        (plain, "a", None),
        (plain, "b", None),
        (plain, "a", b""),
        (plain, "a", b"x"),
        (plain, "a", "x"),
        (plain, "ax", None),
        (hot, "a", None),
    ]
    assert len({sample_key(*question) for question in asked}) == len(asked)
    assert sample_key(plain, "a", b"x") == sample_key(GenerateConfig(model="m"), "a", b"x")


RESULTS = st.builds(
    RowResult,
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
def test_any_result_survives_as_json_text(kept: list[RowResult]) -> None:
    """Whatever the model said."""
    assert unpack(json.loads(json.dumps(pack(kept)))) == kept


@pytest.mark.parametrize("value", [None, 7, "rows", [], {}, {"rows": None}, {"rows": [{}]}, ValueError("lost")])
def test_what_is_no_chunk_is_damaged(value: Any) -> None:
    """Not an error of another kind, which would end the run."""
    with pytest.raises(Damaged):
        unpack(value)


def test_with_both_pointers_torn_there_is_nothing_to_resume_and_the_next_run_starts_a_new_one() -> None:
    """Damage is not a crash."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    checkpoints.open(manifest("one"))
    checkpoints.open(manifest("two"))
    storage[f"{JOB}/latest-0"] = TORN
    storage[f"{JOB}/latest-1"] = {"sequence": "many"}
    assert checkpoints.latest() is None
    checkpoints.open(manifest("three"))
    latest = checkpoints.latest()
    assert latest
    assert latest.attempt == "three"


def test_a_storage_that_cannot_say_is_not_taken_for_an_empty_one() -> None:
    """A network that fails must not make a run pay for everything again."""

    class Unreachable(Memory):
        def read(self, key: str) -> Any | None:
            raise OSError("no route to host")

    checkpoints = Checkpoints(Unreachable(), JOB)
    for ask in (checkpoints.latest, lambda: checkpoints.attempts_of("run"), lambda: checkpoints.read(manifest("a"))):
        with pytest.raises(OSError, match="no route"):
            ask()


def test_a_torn_manifest_neither_hides_later_attempts_nor_gives_its_number_away() -> None:
    """A second attempt of the same name would find the chunks of the first under its own keys."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    for number in (1, 2):
        checkpoints.open(manifest(f"run-{number}"))
    storage[f"{JOB}/run-1/manifest"] = TORN
    attempt, last = checkpoints.attempts_of("run")
    assert attempt == "run-3"
    assert last
    assert last.attempt == "run-2"
    storage[f"{JOB}/run-2/manifest"] = {"job": JOB}
    assert checkpoints.attempts_of("run") == ("run-3", None)


def test_a_torn_pointer_or_manifest_of_one_run_leaves_the_other_running() -> None:
    """What a run writes next stands under keys of its own."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    checkpoints.open(manifest("first"))
    checkpoints.open(manifest("second"))
    storage[f"{JOB}/second/manifest"] = TORN
    storage[chunk_key(JOB, "first", 0)] = pack(results("a"))
    storage[chunk_key(JOB, "second", 0)] = pack(results("b"))
    latest = checkpoints.latest()
    assert latest
    assert [result.key for result in checkpoints.read(latest).results] == ["a"]


def test_a_summary_says_how_an_attempt_ended() -> None:
    """And a torn one says nothing."""
    storage = Memory()
    checkpoints = Checkpoints(storage, JOB)
    assert checkpoints.summary("one") is None
    checkpoints.close("one", 10, 2)
    summary = checkpoints.summary("one")
    assert summary
    assert (summary.rows, summary.open) == (10, 2)
    storage[f"{JOB}/one/summary"] = TORN
    assert checkpoints.summary("one") is None


def test_a_torn_list_of_jobs_begins_again() -> None:
    """It is for people to look at; what it forgets still resumes."""
    storage = Memory()
    Checkpoints(storage, "lost").open(manifest("one"))
    storage[JOBS] = TORN
    Checkpoints(storage, JOB).open(manifest("one"))
    assert registered(storage) == [JOB]
    unregister(storage, JOB)
    assert registered(storage) == []
    assert Checkpoints(storage, "lost").latest()

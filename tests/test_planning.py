"""Planning: any finished set, any chunk size, any edit."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.checkpoint.table import AnswerTable
from tasks.core.planning import resume
from tasks.core.planning.resume import Plan, Reason, cut, plan_as_read, plan_fresh
from tasks.core.records import Chunk, Kind, RowAnswer

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy

KINDS = st.sampled_from([Kind.ANSWERED, Kind.BLOCKED, Kind.TRUNCATED, Kind.TIMEOUT, Kind.SERVER_ERROR])
KEYS = st.sampled_from("abcdefgh")  # few, so that samples repeat
EDITS = st.lists(st.tuples(st.sampled_from(["insert", "delete", "edit", "move", "copy"]), st.integers(0, 99), KEYS))
SAMPLES = st.lists(st.tuples(KEYS, st.sampled_from(["1", "2", "3", "4"])), max_size=30)
RESULTS = st.lists(st.builds(RowAnswer, row=st.integers(0, 30), id=KEYS, key=KEYS, kind=KINDS), max_size=40)


@dataclass
class Planned:
    chunks: list[Chunk]
    reused: dict[int, RowAnswer]
    reasons: Counter[Reason]
    to_send: int


def plan_resume(
    samples: Sequence[tuple[str, str]],
    kept: Sequence[RowAnswer],
    save_every: int,
    retry: Collection[Kind] = (),
    dedupe: bool = False,
) -> Planned:
    """`kept` come newest first."""
    table = AnswerTable()
    table.kept.add("earlier-1", [replace(answer, row=place) for place, answer in enumerate(kept)])
    table.matching.ask(samples)
    plan = resume.plan_resume(table, save_every, retry_kinds=retry, dedupe=dedupe)
    assert plan.rows == len(samples)
    reused = table.rows.of_rows(range(len(samples)))
    assert len(reused) == plan.reused
    return Planned(list(plan.chunks), reused, plan.reasons, plan.to_send)


def rows_of(plan: Plan | Planned) -> list[int]:
    return [row for chunk in plan.chunks for span in chunk.spans for row in span]


@PATIENT
@given(SAMPLES, RESULTS, st.integers(1, 12), st.sets(KINDS))
def test_every_row_is_reused_or_sent_and_no_result_serves_twice(
    samples: list[tuple[str, str]], results: list[RowAnswer], save_every: int, retry: set[Kind]
) -> None:
    """Rows with a finished result of their own are never sent; all others are, once, in order."""
    plan = plan_resume(samples, results, save_every, list(retry))

    sent = rows_of(plan)
    assert sorted([*sent, *plan.reused]) == list(range(len(samples)))
    assert sent == sorted(sent)
    assert all(len(chunk) <= save_every for chunk in plan.chunks)
    assert all(len(chunk) == save_every for chunk in plan.chunks[:-1])
    assert plan.reasons.total() == plan.to_send == len(sent)

    finished = Counter(r.key for r in results if not r.retryable and r.kind not in retry)
    wanted = Counter(key for key, _ in samples)
    reused = Counter(result.key for result in plan.reused.values())
    assert reused == finished & wanted
    for row, result in plan.reused.items():
        assert (result.row, result.id, result.key) == (row, samples[row][1], samples[row][0])
        assert not result.retryable
        assert result.kind not in retry


@PATIENT
@given(SAMPLES, RESULTS, st.integers(1, 12), st.sets(KINDS))
def test_of_rows_that_ask_the_same_one_is_sent_and_none_where_there_is_an_answer(
    samples: list[tuple[str, str]], results: list[RowAnswer], save_every: int, retry: set[Kind]
) -> None:
    """A finished result serves all rows of its key."""
    plan = plan_resume(samples, results, save_every, list(retry), dedupe=True)

    finished = {r.key for r in results if not r.retryable and r.kind not in retry}
    assert plan.reused.keys() == {row for row, (key, _) in enumerate(samples) if key in finished}
    sent = [samples[row][0] for row in rows_of(plan)]
    assert sorted(sent) == sorted({key for key, _ in samples} - finished)
    assert plan.to_send == plan.reasons.total() == len(sent)


@PATIENT
@given(st.lists(KEYS, max_size=40), st.integers(1, 12), st.integers(0, 40))
def test_rows_that_nobody_has_looked_at_are_looked_at_as_they_are_sent(
    keys: list[str], save_every: int, broken_at: int
) -> None:
    """Of each key the first; where the data cannot be read, each row is left to its chunk, which says why."""
    looked_at: list[str] = []

    def samples() -> Iterator[tuple[str, str]]:
        for row, key in enumerate(keys):
            if row == broken_at:
                raise OSError("no such file")
            looked_at.append(key)
            yield key, str(row)

    table = AnswerTable()
    plan = plan_as_read(len(keys), save_every, samples(), table.repeats)
    assert looked_at == []
    known = keys[:broken_at]
    assert rows_of(plan) == [row for row in range(len(keys)) if row >= broken_at or keys[row] not in keys[:row]]
    assert len(table.repeats) == len(known) - len(set(known))


@PATIENT
@given(st.integers(0, 200), st.integers(1, 50))
def test_a_fresh_plan_sends_every_row_once(rows: int, save_every: int) -> None:
    """In order, `save_every` to a chunk."""
    plan = plan_fresh(rows, save_every)
    assert rows_of(plan) == list(range(rows))
    assert [chunk.number for chunk in plan.chunks] == list(range(-(-rows // save_every)))


@PATIENT
@given(st.sets(st.integers(0, 100)), st.integers(1, 20))
def test_spans_say_exactly_the_rows(rows: set[int], save_every: int) -> None:
    """Gaps are kept, neighbours are joined."""
    chunks = cut(sorted(rows), save_every)
    assert [row for chunk in chunks for span in chunk.spans for row in span] == sorted(rows)
    assert all(a.stop < b.start for chunk in chunks for a, b in zip(chunk.spans, chunk.spans[1:], strict=False))


def result(key: str, kind: Kind = Kind.ANSWERED, sample_id: str = "1", response: str = "") -> RowAnswer:
    return RowAnswer(row=0, id=sample_id, key=key, kind=kind, response=response)


def test_the_newer_of_two_answers_to_one_sample_counts() -> None:
    """A blocked row that was asked again and answered is answered."""
    plan = plan_resume([("a", "1")], [result("a", response="new"), result("a", Kind.BLOCKED)], 10)
    assert plan.reused[0].response == "new"


def test_identical_samples_keep_the_answer_of_their_id() -> None:
    """Whatever order the results come in."""
    kept = [result("a", sample_id="2", response="two"), result("a", sample_id="1", response="one")]
    plan = plan_resume([("a", "1"), ("a", "2")], kept, 10)
    assert [plan.reused[row].response for row in (0, 1)] == ["one", "two"]


def test_the_plan_says_why_rows_are_sent() -> None:
    """New, changed, failed before, asked for."""
    samples = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]
    kept = [result("x", sample_id="2"), result("c", Kind.TIMEOUT, "3"), result("d", Kind.BLOCKED, "4")]
    plan = plan_resume(samples, kept, 10, [Kind.BLOCKED])
    assert plan.reasons == Counter([Reason.NEW, Reason.CHANGED, Reason.FAILED, Reason.ASKED])


def test_a_chunk_says_where_its_rows_are() -> None:
    """In the words of the UI."""
    assert Chunk(0, (range(120, 130),)).label == "rows 120-129"
    assert Chunk(0, (range(3, 4),)).label == "row 3"
    assert Chunk(0, (range(3, 5), range(9, 10))).label == "rows 3-9, 3 of them"


def edited(data: list[str], edits: list[tuple[str, int, str]]) -> list[str]:
    """The keys of a data set after rows were inserted, deleted, edited, moved and copied."""
    data = list(data)
    for edit, at, key in edits:
        place = at % (len(data) + 1)
        match edit:
            case "insert":
                data.insert(place, key)
            case "copy" if data:
                data.insert(place, data[at % len(data)])
            case "delete" if data:
                del data[at % len(data)]
            case "edit" if data:
                data[at % len(data)] = key
            case "move" if data:
                data.insert(place, data.pop(at % len(data)))
    return data


@PATIENT
@given(
    st.lists(KEYS, max_size=20),
    st.lists(st.tuples(EDITS, st.integers(1, 7), st.integers(0, 9), st.sets(st.integers(0, 30))), max_size=6),
)
def test_no_answer_is_paid_for_twice_over_any_history(
    data: list[str], history: list[tuple[list[tuple[str, int, str]], int, int, set[int]]]
) -> None:
    """Runs that end early, fail rows, change `save_every`, on data that is edited in between.

    A key is answered as often as it ever stood in the data at once, and not once more.
    """
    results: list[RowAnswer] = []  # newest first
    paid: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for edits, save_every, chunks_done, failing in history:
        data = edited(data, edits)
        most |= Counter(data)
        plan = plan_resume([(key, str(row)) for row, key in enumerate(data)], results, save_every)
        for chunk in plan.chunks[:chunks_done]:
            rows = [row for span in chunk.spans for row in span]
            arrived = [
                RowAnswer(row=row, id="", key=data[row], kind=Kind.TIMEOUT if row in failing else Kind.ANSWERED)
                for row in rows
            ]
            paid.update(result.key for result in arrived if not result.retryable)
            results = [*arrived, *results]
        assert paid <= most
    last = plan_resume([(key, str(row)) for row, key in enumerate(data)], results, 5)
    assert len(last.reused) == (Counter(data) & paid).total()


@PATIENT
@given(RESULTS)
def test_the_order_of_the_data_does_not_change_how_much_is_reused(results: list[RowAnswer]) -> None:
    """Rows are recognised by what they ask, not by where they stand."""
    samples = [(key, str(row)) for row, key in enumerate("aabbccdd")]
    there, back = (plan_resume(order, results, 3) for order in (samples, samples[::-1]))
    assert len(there.reused) == len(back.reused)
    assert there.to_send == back.to_send


def test_an_answer_keeps_what_it_said_under_its_new_row() -> None:
    """Only row and id are those of the sample as it stands now."""
    kept = RowAnswer(row=5, id="old", key="a", kind=Kind.TRUNCATED, response="r", detail="d", image_note="n")
    plan = plan_resume([("x", "0"), ("a", "new")], [kept], 10)
    assert plan.reused == {1: replace(kept, row=1, id="new")}
    assert rows_of(plan) == [0]


def test_a_kind_that_is_asked_for_again_does_not_touch_the_others() -> None:
    """`--retry-errors blocked` sends what was blocked, and nothing that was truncated or answered."""
    kept = [result("a"), result("b", Kind.BLOCKED), result("c", Kind.TRUNCATED), result("d", Kind.EMPTY)]
    plan = plan_resume([(key, key) for key in "abcd"], kept, 10, [Kind.BLOCKED])
    assert rows_of(plan) == [1]
    assert plan.reasons == Counter([Reason.ASKED])

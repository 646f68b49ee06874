"""What is known of an answer beside its text is read, summed and kept, and costs no answer where it cannot be."""

import json
from typing import Any

import pytest

from tasks.core.answering.outcomes import outcome_of, outcome_of_error
from tasks.core.answering.tries import Tries
from tasks.core.checkpoint.contents import pack, unpack
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.details import Details, Source, Spent, Usage, packed, unpacked
from tasks.core.errors import ApiError, ConnectionLost, MalformedAnswer
from tasks.core.gemini.wire import read_answer
from tasks.core.records import Kind, ModelOutput, RowAnswer
from tasks.core.reporting.tally import Tally

ANSWER: dict[str, Any] = {
    "candidates": [
        {
            "content": {"parts": [{"text": "yes"}]},
            "finishReason": "STOP",
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}],
            "groundingMetadata": {
                "webSearchQueries": ["a", "b"],
                "groundingChunks": [
                    {"web": {"uri": "https://a.example/1", "title": "one"}},
                    {"web": {"uri": "https://a.example/1", "title": "one"}},
                    {"retrievedContext": {"uri": "gs://b/2", "title": "two", "text": "…"}},
                ],
            },
            "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://c.example", "urlRetrievalStatus": "OK"}]},
            "citationMetadata": {"citationSources": [{"startIndex": 0, "uri": "https://d.example", "license": "mit"}]},
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 300,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 7,
        "cachedContentTokenCount": 100,
        "toolUsePromptTokenCount": 50,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}, {"modality": "IMAGE", "tokenCount": 258}],
        "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
        "serviceTier": "flex",
    },
    "modelVersion": "m-001",
    "responseId": "abc",
}
USAGE = Usage(350, 27, 100, 7, {"prompt_text": 92, "prompt_image": 258, "answer_text": 20})


def test_everything_that_an_answer_tells_is_read() -> None:
    output = read_answer(json.dumps(ANSWER), "m")
    assert output.usage == USAGE
    assert (output.service_tier, output.model_version) == ("flex", "")
    assert output.details == Details(
        finish_reason="STOP",
        model_version="m-001",
        response_id="abc",
        safety_ratings="HARM_CATEGORY_HARASSMENT=LOW",
        sources=[
            Source("grounding", "https://a.example/1", "one"),
            Source("grounding", "gs://b/2", "two"),
            Source("url_context", "https://c.example", "OK"),
            Source("citation", "https://d.example", "mit"),
        ],
        searches=2,
    )
    blocked = read_answer(json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}), "m")
    assert blocked.details == {"finish_reason": "SAFETY"}


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [1], {"a": 1}, [[]], True])
@pytest.mark.parametrize("within", ["candidates", "usageMetadata", "groundingMetadata"])
def test_no_side_field_costs_the_text(junk: Any, within: str) -> None:
    """Each in turn is of another type than documented."""
    candidate = ANSWER["candidates"][0]
    parts = {"candidates": candidate, "usageMetadata": ANSWER["usageMetadata"], "groundingMetadata": {}}
    fields = {**parts[within], **candidate["groundingMetadata"]} if within == "groundingMetadata" else parts[within]
    for name in fields.keys() - {"content"}:
        broken = {**fields, name: junk}
        root = ANSWER | {"usageMetadata": broken} if within == "usageMetadata" else ANSWER
        if within == "groundingMetadata":
            root = ANSWER | {"candidates": [candidate | {"groundingMetadata": broken}]}
        elif within == "candidates":
            root = ANSWER | {"candidates": [broken]}
        assert read_answer(json.dumps(root), "m").text == "yes", name


def test_tokens_of_all_requests_are_summed_and_those_of_failed_ones_are_known() -> None:
    tries = Tries(5)
    for text in ("", "", "yes"):
        tries.note(outcome_of(ModelOutput(text, "STOP", usage=USAGE)), 1.0, 0.0)
    tries.spent.requests = 3
    assert tries.spent.usage == USAGE + USAGE + USAGE
    assert tries.spent.usage.by_modality["prompt_image"] == 3 * 258
    details = unpacked(packed({}, tries.spent))
    assert (details["attempts"], details["failed_prompt_tokens"], details["failed_answer_tokens"]) == (3, 700, 54)


@pytest.mark.parametrize(
    ("error", "timeouts", "lost"),
    [
        (TimeoutError(), 1, 0),
        (ConnectionLost("cut"), 0, 1),
        (MalformedAnswer("<html>"), 0, 1),
        (ConnectionError("refused"), 0, 0),
        (ApiError(503, "UNAVAILABLE", "busy"), 0, 0),
    ],
)
def test_a_request_whose_answer_nobody_knows_may_have_been_billed(error: Exception, timeouts: int, lost: int) -> None:
    """What the API refuses, and what never went out, is not."""
    tries = Tries(5)
    outcome = outcome_of_error(error, 60)
    tries.note(outcome, 1.0, 0.0)
    assert (tries.spent.timeouts, tries.spent.lost) == (timeouts, lost)
    assert outcome.maybe_billed is bool(timeouts + lost)


def test_details_come_back_from_a_record_and_from_the_table() -> None:
    """Sources and half a surrogate pair among them; an answer without details takes no room for them."""
    said = read_answer(json.dumps(ANSWER | {"responseId": "\ud800"}), "m").details
    text = packed(said, Spent(USAGE, requests=2, latency_seconds=1.23456, answered_at=1789000000.12345))
    full = RowAnswer(0, "a", "k", Kind.ANSWERED, cached_tokens=5, thought_tokens=2, lost=1, service_tier="flex")
    answers = [RowAnswer(**{**_fields(full), "details": text}), RowAnswer(1, "b", "k2", Kind.ANSWERED)]
    assert unpack(json.loads(json.dumps(pack(answers)).encode())) == answers
    assert pack(answers)["rows"][1] == {"row": 1, "id": "b", "key": "k2", "kind": "answered"}
    table = AnswerTable()
    table.rows.answer("run-1", answers)
    assert list(table.rows.of_rows(range(2)).values()) == answers
    details = unpacked(table.rows.of_rows(range(1))[0].details)
    assert (details["latency_seconds"], details["answered_at"], details["attempts"]) == (1.235, 1789000000.123, 2)
    assert details["sources"] == said["sources"]
    tally = Tally.of_groups(table.rows.groups())
    assert (tally.usage.cached_tokens, tally.usage.thought_tokens, tally.lost) == (5, 2, 1)


@pytest.mark.parametrize("damaged", ["{", "[]", '{"attempts": "x"}', '{"sources": 3}'])
def test_details_that_cannot_be_read_cost_no_answer(damaged: str) -> None:
    assert unpacked(damaged) == {}


def _fields(answer: RowAnswer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in RowAnswer.__slots__}

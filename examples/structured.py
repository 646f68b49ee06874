"""Typed answers from reviews on the Hub, for no more than a dollar; what is there already is not paid for again."""

import json

from flows.infer import infer

SCHEMA = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "negative", "mixed"]},
        "complaints": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["sentiment", "complaints"],
}

result = infer(
    dataset="stanfordnlp/imdb",
    text_column="text",
    limit=100,
    shuffle=1,
    system_instruction="What does this review say of the film?",
    response_schema=json.dumps(SCHEMA),
    columns=True,
    max_cost=1.0,
    resume=True,
)
print(f"{result}\ncost: {result.cost}")
if result.csv:
    print(result.dataframe()["parsed"].head().to_string())
    print(result.failed[["id", "kind", "error_message"]])

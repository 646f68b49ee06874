"""Reads what the API tells beside an answer: tokens, sources, ratings, who answered. Must not judge what it reads."""

from collections.abc import Iterator

from tasks.core.details import Details, Source, Usage
from tasks.core.gemini.lenient import Json, first_object, objects, tokens, word

MOST_SOURCES = 100
_MOST_URI_CHARS, _MOST_TITLE_CHARS = 2000, 300
# By what is billed as what: what tools have read is billed as prompt.
_BY_MODALITY = (
    ("prompt", "promptTokensDetails"),
    ("prompt", "toolUsePromptTokensDetails"),
    ("cached", "cacheTokensDetails"),
    ("answer", "candidatesTokensDetails"),
)
_WITH_SOURCES = ("groundingMetadata", "urlContextMetadata", "citationMetadata")


def read_usage(usage: Json) -> Usage:
    """The `usageMetadata` of an answer. Thoughts count as answer, what tools have read as prompt."""
    thoughts = tokens(usage.get("thoughtsTokenCount"))
    return Usage(
        tokens(usage.get("promptTokenCount")) + tokens(usage.get("toolUsePromptTokenCount")),
        tokens(usage.get("candidatesTokenCount")) + thoughts,
        tokens(usage.get("cachedContentTokenCount")),
        thoughts,
        _by_modality(usage),
    )


def read_tier(usage: Json, asked: str) -> str:
    """The service tier that the API tells, or else the one that was asked for."""
    return word(usage.get("serviceTier")).lower().removeprefix("service_tier_") or asked


def read_details(root: Json, candidate: Json, feedback: Json) -> Details:
    """What an answer tells of itself."""
    found = Details()
    if reason := word(candidate.get("finishReason")) or word(feedback.get("blockReason")):
        found["finish_reason"] = reason
    if version := word(root.get("modelVersion")):
        found["model_version"] = version
    if response_id := word(root.get("responseId")):
        found["response_id"] = response_id
    if ratings := read_ratings((candidate or feedback).get("safetyRatings")):
        found["safety_ratings"] = ratings
    if not candidate.keys().isdisjoint(_WITH_SOURCES):
        found["sources"] = list(dict.fromkeys(_sources(candidate)))[:MOST_SOURCES]
        found["searches"] = _searches(candidate)
    return found


def read_ratings(value: object) -> str:
    """Safety ratings as words: `HARM_CATEGORY_HARASSMENT=LOW`."""
    return ", ".join(f"{word(r.get('category'))}={word(r.get('probability'))}" for r in objects(value))


def _by_modality(usage: Json) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, details in _BY_MODALITY:
        for each in objects(usage.get(details, [])):
            if modality := word(each.get("modality")).lower():
                key = f"{name}_{modality}"
                found[key] = found.get(key, 0) + tokens(each.get("tokenCount"))
    return found


def _searches(candidate: Json) -> int:
    queries = first_object(candidate.get("groundingMetadata")).get("webSearchQueries")
    return len(queries) if isinstance(queries, list) else 0


def _sources(candidate: Json) -> Iterator[Source]:
    for chunk in objects(first_object(candidate.get("groundingMetadata")).get("groundingChunks")):
        for where in objects(list(chunk.values())):  # `web`, `retrievedContext`, `maps`, `image`
            yield _source("grounding", where.get("uri") or where.get("sourceUri"), where.get("title"))
    for fetched in objects(first_object(candidate.get("urlContextMetadata")).get("urlMetadata")):
        yield _source("url_context", fetched.get("retrievedUrl"), fetched.get("urlRetrievalStatus"))
    cited = first_object(candidate.get("citationMetadata"))
    for citation in objects(cited.get("citationSources") or cited.get("citations")):
        yield _source("citation", citation.get("uri"), citation.get("title") or citation.get("license"))


def _source(kind: str, uri: object, title: object) -> Source:
    return Source(kind, word(uri, _MOST_URI_CHARS), word(title, _MOST_TITLE_CHARS))

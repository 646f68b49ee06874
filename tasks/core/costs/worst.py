"""What a request may cost at most, before it goes out. Nothing is sent on the word of a likely price."""

import json

from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.medium_tokens import CONTEXT_TOKENS, most_tokens
from tasks.core.costs.prices import Price
from tasks.core.records import Media, MediaUri, Request

MOST_ANSWER_TOKENS = 65_536  # of any Gemini model; thoughts are among them
PART_TOKENS = 16  # around a part: its role, its place
UNKNOWN_LENGTH = frozenset({"tools", "cachedContent"})  # of a body: what they add to the prompt, only the answer tells


class Worst:
    """Of the requests of a run, by the price of `tier`."""

    def __init__(self, price: Price, generation: GenerateConfig, tier: str) -> None:
        self._generation, self._rates = generation, price.of(tier)
        self._answer_tokens = most_answer_tokens(generation)
        body, schema = generation.request_body, generation.response_schema
        same = [generation.generation_config, body, schema.document if schema else None]
        self._same_bytes = _size(json.dumps(same, ensure_ascii=False))
        self._unknown = bool(UNKNOWN_LENGTH & body.keys())

    def dollars(self, request: Request) -> float:
        """A token of text has at least one byte, and no request has more than a model takes."""
        media = CONTEXT_TOKENS if self._unknown else sum(map(self._tokens, request.media))
        prompt = min(self._text_bytes(request) + PART_TOKENS * (len(request.parts) + 1) + media, CONTEXT_TOKENS)
        return self._rates.most(prompt, min(media, prompt), self._answer_tokens)

    def _text_bytes(self, request: Request) -> int:
        own = request.system_instruction
        system = self._generation.system_instruction if own is None else own
        return self._same_bytes + _size(system or "") + sum(_size(p) for p in request.parts if isinstance(p, str))

    def _tokens(self, medium: Media | MediaUri) -> int:
        return most_tokens(medium, self._generation.model, self._generation.media_resolution)


def most_answer_tokens(generation: GenerateConfig) -> int:
    """`maxOutputTokens`, or what the model stops at by itself."""
    config = generation.generation_config
    asked = config.get("maxOutputTokens", config.get("max_output_tokens"))
    return min(asked, MOST_ANSWER_TOKENS) if isinstance(asked, int) and asked > 0 else MOST_ANSWER_TOKENS


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))

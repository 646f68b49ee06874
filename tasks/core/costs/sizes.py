"""How many tokens a prompt takes, by its length: a range, for where nobody has counted them."""

from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.estimate import Size
from tasks.core.costs.medium_tokens import most_tokens
from tasks.core.records import Request

# Characters of a token: most words of English have 4 to 6, of Korean 1 to 3; digits have one each.
MOST_CHARS, LIKELY_CHARS, LEAST_BYTES = 6.0, 4.0, 2.0
LEAST_MEDIUM, LIKELY_MEDIUM = 64, 258


def size_of(request: Request, generation: GenerateConfig, counted: int | None = None) -> Size:
    """Of one request. `counted`: by the API."""
    own = request.system_instruction
    system = generation.system_instruction if own is None else own
    text = "\n".join(filter(None, (request.text, system)))
    size, media = len(text.encode("utf-8", "surrogatepass")), request.media
    most = sum(most_tokens(medium, generation.model, generation.media_resolution) for medium in media)
    return Size(
        len(text) / MOST_CHARS + LEAST_MEDIUM * len(media),
        len(text) / LIKELY_CHARS + LIKELY_MEDIUM * len(media),
        size / LEAST_BYTES + 1 + most,
        counted,
    )

"""How finely Gemini is asked to look at media."""

import pytest

from deployments.emulator import Emulator
from tasks.core.config.generation import GenerateConfig, MediaResolution
from tasks.core.config.parameters import RunConfig
from tasks.core.gemini.client import GeminiClient
from tasks.core.records import Media, MediaUri, Request
from tests.media_samples import IMAGES

MODEL = "gemini-2.5-flash"
REQUEST = Request.of(Media(IMAGES["image/png"], "image/png"), MediaUri("gs://b/a.mp4", "video/mp4"), "text")


@pytest.mark.parametrize(
    ("asked", "of_all", "of_each"),
    [
        (None, None, ""),
        (MediaResolution.LOW, "MEDIA_RESOLUTION_LOW", ""),
        (MediaResolution.MEDIUM, "MEDIA_RESOLUTION_MEDIUM", ""),
        (MediaResolution.HIGH, "MEDIA_RESOLUTION_HIGH", ""),
        (MediaResolution.ULTRA_HIGH, None, "MEDIA_RESOLUTION_ULTRA_HIGH"),
    ],
)
async def test_it_goes_out_where_gemini_looks_for_it(
    emulator: Emulator, asked: MediaResolution | None, of_all: str | None, of_each: str
) -> None:
    """The finest stands with each medium, the others once for the request."""
    async with GeminiClient(GenerateConfig(model=MODEL, media_resolution=asked)) as client:
        await client.generate(REQUEST)
    [seen] = emulator.last_requests
    assert seen.config.get("mediaResolution") == of_all
    assert [medium.resolution for medium in seen.media] == [of_each] * 2


def test_it_shapes_answers_and_is_no_part_of_a_key_that_was_made_without_it() -> None:
    """Checkpoints of runs that could not ask for it stay what they are."""
    assert GenerateConfig(model="m").fingerprint == "6bea1f2953c5a70c"
    asked = [RunConfig(media_resolution=each).generation.fingerprint for each in (None, *MediaResolution)]
    assert len(set(asked)) == 5

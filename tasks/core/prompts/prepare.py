"""Makes a sample ready to send: text and image become a Request with its key. Sends nothing, knows no limits."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.config.parameters import GenerateConfig
from tasks.core.errors import ImageError
from tasks.core.keys import sample_key
from tasks.core.media.conversion import to_image
from tasks.core.records import Image, Kind, Outcome, Request, Sample

type ReadImage = Callable[[int], bytes | None]

IMAGE_TOKENS = 1120  # the most a Gemini model bills for an image; the answer corrects it
NOTHING_TO_SEND = Outcome(Kind.INPUT, detail="neither text nor image")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample made ready to send. `image_note`: why it goes without its image. `fault`: why it cannot go at all."""

    request: Request
    key: str
    image_note: str = ""
    fault: Outcome | None = None


def prepare(
    generation: GenerateConfig, sample: Sample, read_image: ReadImage | None, without_image: str = ""
) -> Prepared:
    """The request of a sample, with its key; the text alone where the image cannot be sent, or may not be."""
    data, unreadable = _look(sample.row, read_image)
    image: Image | None = None
    note = unreadable
    try:
        image = to_image(data) if data is not None and not without_image else None
    except ImageError as error:
        note = str(error)
    fault = None if image or sample.text.strip() else NOTHING_TO_SEND
    key = _key(generation, sample, data, unreadable)
    return Prepared(Request(sample.text, image), key, without_image or note, fault)


def key_of(generation: GenerateConfig, sample: Sample, read_image: ReadImage | None) -> str:
    """The key that `prepare` gives, without making the image ready."""
    try:
        data, unreadable = _look(sample.row, read_image)
    except Exception as error:  # the row meets it again when it is to be sent, and it is that row's
        data, unreadable = None, f"cannot be read: {error}"
    return _key(generation, sample, data, unreadable)


def estimate_tokens(sample: Sample, with_image: bool) -> int:
    """On the high side: a token is rarely shorter than 3 bytes of UTF-8."""
    return len(sample.text.encode("utf-8", "surrogatepass")) // 3 + 1 + (IMAGE_TOKENS if with_image else 0)


def _key(generation: GenerateConfig, sample: Sample, data: bytes | None, unreadable: str) -> str:
    return sample_key(generation.fingerprint, sample.text, data if data is not None else unreadable or None)


def _look(row: int, read_image: ReadImage | None) -> tuple[bytes | None, str]:
    """An image's bytes, or why there are none (empty: there is no image)."""
    try:
        return read_image(row) if read_image else None, ""
    except ImageError as error:
        return None, str(error)

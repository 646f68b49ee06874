"""What a sample and a job are known by: hashes of all that makes them what they are, and of nothing else."""

import hashlib
import re


def sample_key(settings: str, text: str, *media: tuple[bytes, bytes]) -> str:
    """A hash of all that shapes the answer.

    `settings`: their fingerprint. `text`: all of a prompt whose media stand before it, or how text and media stand.
    `media`: what each is (`bytes:`, `note:`, `uri:`), and its content or why there is none.
    """
    digest = hashlib.blake2b(digest_size=16)
    for parts in ((settings.encode(),), (text.encode("utf-8", "surrogatepass"),), *(media or ((),))):
        digest.update(sum(map(len, parts)).to_bytes(8))
        for part in parts:  # apart, so that an image is not copied
            digest.update(part)
    return digest.hexdigest()


def fingerprint(text: str) -> str:
    """16 hex digits; equal for equal texts."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def job_name(dataset: str, dataset_config: str | None, split: str, model: str) -> str:
    """What fills one CSV, as a readable name, unique by its digest."""
    identity = "\0".join((dataset, dataset_config or "", split, model))
    digest = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
    return "-".join([*(slug(part) for part in (dataset, split, model)), digest])


def slug(text: str) -> str:
    """The end of `text`, in characters that any storage takes in a key."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[-40:]

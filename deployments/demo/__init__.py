"""A run without key or network: bundled samples, and the Gemini emulator for as long as the run lasts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.emulator import AnswerStyle, Blocked, Emulator, LogNormal, Rule

DATASET = str(Path(__file__).parent / "test.jsonl")
RULES = [Rule(Blocked("PROHIBITED_CONTENT"), pattern="pipe bomb")]


@contextmanager
def demo() -> Iterator[None]:
    """Point the SDK at an emulator; the data set too, where none is named."""
    emulator = Emulator(RULES, latency=LogNormal(0.3, 0.6), style=AnswerStyle.DESCRIBE)
    before = dict(os.environ)
    with emulator.in_thread() as running:
        os.environ |= {"GOOGLE_API_KEY": "demo", "GOOGLE_GEMINI_BASE_URL": running.url}
        os.environ["GOOGLE_GENAI_USE_VERTEXAI"] = os.environ["GOOGLE_GENAI_USE_ENTERPRISE"] = "false"
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

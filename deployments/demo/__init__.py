"""A run without key or network: bundled samples, and the Gemini emulator for as long as the run lasts."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DATASET = str(Path(__file__).parent / "test.jsonl")


@contextmanager
def demo() -> Iterator[None]:
    """Point the SDK at an emulator."""
    from deployments.emulator import AnswerStyle, Blocked, Emulator, LogNormal, Rule  # no run but a demo waits for it

    rules = [Rule(Blocked("PROHIBITED_CONTENT"), pattern="pipe bomb")]
    emulator = Emulator(rules, latency=LogNormal(0.3, 0.6), style=AnswerStyle.DESCRIBE)
    with (
        emulator.in_thread() as running,
        _environment(
            {
                "GOOGLE_API_KEY": "demo",
                "GEMINI_API_KEY": None,
                "GOOGLE_GEMINI_BASE_URL": running.url,
                "GOOGLE_GENAI_API_VERSION": None,
                "GOOGLE_GENAI_USE_VERTEXAI": "false",
                "GOOGLE_GENAI_USE_ENTERPRISE": "false",
            }
        ),
    ):
        yield


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """The environment with `variables`, and without those that are None. Whatever else changes meanwhile stays."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

"""A local stand-in for the Gemini API: `generateContent`, `models`, `files`, `batches`, on the real wire format.

For tests, for a demo without a key and for load tests. It must not import the flow or Prefect, must not
know the SDK, and must never call out: whoever talks to it does so over HTTP on this machine.

    async with Emulator(rules=[Rule(RateLimited(retry_delay_seconds=0.2), times=3)]) as emulator:
        client = genai.Client(api_key="any", http_options=HttpOptions(base_url=emulator.url))

As a process of its own: `python -m deployments.emulator --help`.
"""

from deployments.emulator.answers import AnswerStyle, answer_to, describe, digest_of
from deployments.emulator.batch_faults import BatchFault, FaultKind
from deployments.emulator.batch_jobs import BatchLimits, JobState
from deployments.emulator.behaviours import (
    BAD_IMAGE,
    BILLING_DISABLED,
    FUNCTION_PART,
    IMAGE_PART,
    INVALID_KEY,
    NO_CREDITS,
    NO_QUOTA,
    PERMISSION_DENIED,
    SPENDING_CAP,
    UNAVAILABLE,
    UNKNOWN_MODEL,
    WRONG_PLACE,
    Answer,
    Behaviour,
    Blocked,
    Breakage,
    Broken,
    Finish,
    HttpError,
    Quota,
    RateLimited,
    Redirect,
    Told,
    with_parts,
)
from deployments.emulator.latency import Constant, Latency, LogNormal, Uniform, parse_latency
from deployments.emulator.ledger import Seen, Stats, Timing
from deployments.emulator.limits import ApiLimits
from deployments.emulator.rules import Rule
from deployments.emulator.server import Emulator
from deployments.emulator.state import DEFAULT_MODELS

__all__ = [
    "BAD_IMAGE",
    "BILLING_DISABLED",
    "DEFAULT_MODELS",
    "FUNCTION_PART",
    "IMAGE_PART",
    "INVALID_KEY",
    "NO_CREDITS",
    "NO_QUOTA",
    "PERMISSION_DENIED",
    "SPENDING_CAP",
    "UNAVAILABLE",
    "UNKNOWN_MODEL",
    "WRONG_PLACE",
    "Answer",
    "AnswerStyle",
    "ApiLimits",
    "BatchFault",
    "BatchLimits",
    "Behaviour",
    "Blocked",
    "Breakage",
    "Broken",
    "Constant",
    "Emulator",
    "FaultKind",
    "Finish",
    "HttpError",
    "JobState",
    "Latency",
    "LogNormal",
    "Quota",
    "RateLimited",
    "Redirect",
    "Rule",
    "Seen",
    "Stats",
    "Timing",
    "Told",
    "Uniform",
    "answer_to",
    "describe",
    "digest_of",
    "parse_latency",
    "with_parts",
]

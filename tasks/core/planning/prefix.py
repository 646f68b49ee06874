"""Decides whether what all requests of a run begin with is worth caching, and names it. Makes nothing."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.data.sources import DatasetRef
from tasks.core.prefix import CACHED_FIELDS, Prefix
from tasks.core.prompts.prompting import Prompting
from tasks.core.prompts.template import ALL_MEDIA
from tasks.core.text import counted

# To make one costs as much as to send it once, and its use a tenth of that. An hour of its life costs as much as to
# send it 10 times to Flash-Lite, less with dearer models: https://ai.google.dev/gemini-api/docs/pricing.
LEAST_ROWS = 20
LEAST_TOKENS = 1024  # that any model caches; one that wants more says so when it is made
_BYTES_PER_TOKEN = 3  # rarely fewer


@dataclass(frozen=True, slots=True)
class PrefixPlan:
    """`prefix`: None where there is none worth it, and `why_not` says why."""

    prefix: Prefix | None = None
    why_not: str = ""


def prefix_of(
    config: RunConfig,
    data: DatasetRef,
    job: str,
    prompting: Prompting,
    to_send: int,
    tell: Callable[[str], object],
) -> Prefix | None:
    """What a run caches of its requests, where it is asked to; `tell` hears why that is nothing."""
    if not config.cache_prefix or not to_send:
        return None
    planned = plan_prefix(job, config.generation, prompting, bool(data.columns.all_media), to_send)
    if planned.why_not:
        tell(f"--cache-prefix: nothing is cached: {planned.why_not}")
    return planned.prefix


def plan_prefix(job: str, generation: GenerateConfig, prompting: Prompting, media: bool, to_send: int) -> PrefixPlan:
    """What the requests of a job begin with, where `to_send` of them make it worth it. `media`: rows may have some.

    The name is of job, model and content: a run finds what another run of the job has left, and deletes nobody else's.
    """
    if prompting.system:
        return PrefixPlan(why_not="the system instruction is another one for each row")
    system, text = generation.system_instruction or "", _shared_text(prompting, media)
    tokens = len((system + text).encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 1
    if tokens < LEAST_TOKENS:
        return PrefixPlan(why_not=f"rows share about {tokens:,} tokens, and {LEAST_TOKENS:,} are the least")
    if to_send < LEAST_ROWS:
        return PrefixPlan(why_not=f"it does not pay for {counted(to_send, 'row')}, but from {LEAST_ROWS} on")
    body = {name: value for name, value in generation.request_body.items() if name in CACHED_FIELDS}
    content = json.dumps([job, generation.model, system, text, body], sort_keys=True)
    name = f"gi-{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"
    return PrefixPlan(Prefix(name, system, text, body))


def _shared_text(prompting: Prompting, media: bool) -> str:
    """Media that a template does not place stand before its text."""
    template = prompting.template
    if template is None or (media and template.names.isdisjoint((*ALL_MEDIA, *template.media))):
        return ""
    return template.opening

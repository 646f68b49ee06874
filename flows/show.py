"""Prints the first requests of a run as they would go out, and sends nothing: it needs no key and no server."""

import json
from collections.abc import Iterator
from itertools import islice

from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.gemini.body import BodyWriter
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.prompts.prepare import Prepared, Preparer
from tasks.core.records import Sample
from tasks.core.text import counted, visible


def shown(config: RunConfig, count: int) -> Iterator[str]:
    """Lines about the first `count` samples: who they are, what stays behind and why, and the body of the request.

    Raises:
        InputError: see sources.resolve.
    """
    data = resolve(config)
    yield from data.columns.notices
    reader, body = open_reader(data), BodyWriter(config.generation)
    preparer = Preparer(config.generation, prompting_of(config, data).draft_of)
    samples = (sample for span in reader.spans() for sample in reader.samples(span))
    for sample in islice(samples, count):
        prepared = preparer.prepare(sample, reader.media)
        yield _title(sample, prepared, config.model)
        if prepared.fault is None:
            yield _body(body, prepared)
    yield f"{counted(data.rows, 'row')} in all; nothing was sent."


def _title(sample: Sample, prepared: Prepared, model: str) -> str:
    left = [prepared.fault.detail] if prepared.fault else []
    left += [f"left out: {prepared.media_note}"] if prepared.media_note else []
    return f"row {sample.row}, id {sample.id!r}, to {model}" + "".join(f"; {why}" for why in left)


def _body(writer: BodyWriter, prepared: Prepared) -> str:
    """The JSON of the request, with each medium by its name and size in place of its bytes."""
    told = iter([f"<{len(medium.data):,} bytes of {medium.name}>" for medium in prepared.request.inline])
    body = json.loads(writer.body(prepared.request))
    for turn in body["contents"]:
        for part in turn["parts"]:
            if "inlineData" in part:
                part["inlineData"]["data"] = next(told)
    return visible(json.dumps(body, ensure_ascii=False, indent=2))

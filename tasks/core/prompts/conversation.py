"""A cell that holds a conversation, `[{"role": …, "content": …}]`, as turns. Must not read media.

Roles as OpenAI, Hugging Face and Gemini name them; content is text, or a list of parts in any of their forms.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.core.data.formats.json_values import DECODER
from tasks.core.media.cell import cells_of
from tasks.core.prompts.draft import Draft, DraftPart, DraftTurn, Place, Slot

ROLES = {"user": "user", "human": "user", "assistant": "model", "model": "model", "gpt": "model"}
SYSTEM = ("system", "developer")
_IMAGE_KEYS = ("image_url", "image", "input_image")
_MEDIA_KEYS = (*_IMAGE_KEYS, "audio", "input_audio", "video", "video_url", "file", "document")
_INLINE = ("inlineData", "inline_data", "fileData", "file_data")
_WHO, _WHAT = ("role", "from"), ("content", "parts", "value")  # as OpenAI, Gemini and ShareGPT call them
# Beside its content, and more than a note about it.
_NOT_SENT = ("tool_calls", "function_call", "images", "videos", "audios", "files", "attachments", *_MEDIA_KEYS)


def messages_in(value: Any) -> list[Mapping[str, Any]] | None:
    """The messages of a cell, which may be JSON; None where it is anything else, a list of other things too."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = DECODER.decode(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    found = [item for item in value if item is not None]
    say_who = all(isinstance(item, Mapping) and any(key in item for key in _WHO) for item in found)
    return found if say_who and any(key in item for item in found for key in _WHAT) else None


def draft_of(messages: Sequence[Mapping[str, Any]], system_instruction: str | None, column: str) -> Draft:
    """Turns with their roles kept; what the system says goes behind the run's own `system_instruction`.

    Media columns that no part stands for come first in the last turn of the user's. `column`: where the cell is from.
    """
    system, turns, faults = list[str](), list[DraftTurn](), list[str]()
    for message in messages:
        name = next((str(message[key]) for key in _WHO if message.get(key) is not None), "")
        role = name.strip().lower()
        content = next((message[key] for key in _WHAT if message.get(key) is not None), None)
        found = tuple(_parts(content, column, faults))
        faults.extend(f"a message has {key!r}, which is not sent" for key in _NOT_SENT if message.get(key))
        if role in SYSTEM:
            system.extend(part for part in found if isinstance(part, str))
            if any(not isinstance(part, str) for part in found):
                faults.append(f"role {name!r} has media; a system instruction is text")
        elif role not in ROLES:
            faults.append(f"role {name!r} is none that Gemini knows; user, assistant and system are")
        elif found:
            turns.append(DraftTurn(ROLES[role], found))
    if not turns and not faults:
        faults.append("the conversation says nothing")
    own = "\n\n".join(filter(None, [system_instruction, *system])) if system else None
    return Draft(_with_columns(turns), own, "; ".join(faults))


def _with_columns(turns: Sequence[DraftTurn]) -> tuple[DraftTurn, ...]:
    """The row's media where their places are: all in a single one, of several one in each; else in the last words."""
    places = sum(isinstance(part, Slot) for turn in turns for part in turn.parts)
    if places:
        return tuple(turns) if places > 1 else tuple(replace(turn, parts=_all_in(turn.parts)) for turn in turns)
    last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=None)
    return tuple(DraftTurn(turn.role, (Slot(), *turn.parts)) if n == last else turn for n, turn in enumerate(turns))


def _all_in(parts: Sequence[DraftPart]) -> tuple[DraftPart, ...]:
    return tuple(Slot(place=Place.ALL) if isinstance(part, Slot) else part for part in parts)


def _parts(content: Any, column: str, faults: list[str]) -> Iterator[DraftPart]:
    if content is None:
        return
    if isinstance(content, str):
        yield content
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
        elif not isinstance(part, Mapping):
            faults.append(f"a part is a {type(part).__name__}, no text")
        else:
            yield from _part({key: value for key, value in part.items() if _is_there(value)}, column, faults)


def _is_there(value: Any) -> bool:
    """A column with types has every key in every row."""
    return any(map(_is_there, value.values())) if isinstance(value, Mapping) else value is not None


def _part(part: Mapping[str, Any], column: str, faults: list[str]) -> Iterator[DraftPart]:
    """Its text and its media, or a place for those of the row where it says only that it is one."""
    text, kind = part.get("text"), part.get("type")
    media = [cell for key in (*_INLINE, *_MEDIA_KEYS) if key in part for cell in cells_of(column, part[key], False)]
    is_place = kind in _MEDIA_KEYS and not media
    if isinstance(text, str) and (text or not (media or is_place)):
        yield text
    elif not media and not is_place:
        faults.append(f"a part of type {kind!r} is neither text nor media")
    yield from media
    if is_place:
        yield Slot(place=Place.IMAGE if kind in _IMAGE_KEYS else Place.OTHER)

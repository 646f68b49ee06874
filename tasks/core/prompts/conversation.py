"""A cell that holds a conversation, `[{"role": …, "content": …}]`, as turns. Must not read media.

Roles as OpenAI, Hugging Face and Gemini name them; content is text, or a list of parts in any of their forms.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.core.media.cell import Cell
from tasks.core.prompts.draft import Draft, DraftPart, DraftTurn, Slot

ROLES = {"user": "user", "human": "user", "assistant": "model", "model": "model", "gpt": "model"}
SYSTEM = ("system", "developer")
_MEDIA_KEYS = ("image_url", "image", "input_image", "audio", "input_audio", "video", "video_url", "file", "document")
_INLINE = ("inlineData", "inline_data", "fileData", "file_data")


def is_conversation(value: Any) -> bool:
    """Whether each of its items says who speaks and what; a list of anything else is text."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(item, Mapping) and "role" in item and ("content" in item or "parts" in item) for item in value
        )
    )


def draft_of(messages: Sequence[Mapping[str, Any]], system_instruction: str | None, column: str) -> Draft:
    """Turns with their roles kept; what the system says goes behind the run's own `system_instruction`.

    Media columns that no part stands for come first in the last turn of the user's. `column`: where the cell is from.
    """
    system, turns, faults = list[str](), list[DraftTurn](), list[str]()
    for message in messages:
        role, content = str(message["role"]), message.get("content")
        found = tuple(_parts(content if content is not None else message.get("parts"), column, faults))
        if role in SYSTEM:
            system.extend(part for part in found if isinstance(part, str))
            if any(not isinstance(part, str) for part in found):
                faults.append(f"role {role!r} has media; a system instruction is text")
        elif role not in ROLES:
            faults.append(f"role {role!r} is none that Gemini knows; user, assistant and system are")
        elif found:
            turns.append(DraftTurn(ROLES[role], found))
    if not turns and not faults:
        faults.append("the conversation says nothing")
    own = "\n\n".join(filter(None, [system_instruction, *system])) if system else None
    return Draft(_with_columns(turns), own, "; ".join(faults))


def _with_columns(turns: Sequence[DraftTurn]) -> tuple[DraftTurn, ...]:
    """Media of the row's columns that stand nowhere go before the user's last words."""
    if any(isinstance(part, Slot) for turn in turns for part in turn.parts):
        return tuple(turns)
    last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=None)
    return tuple(DraftTurn(turn.role, (Slot(), *turn.parts)) if n == last else turn for n, turn in enumerate(turns))


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
            yield from _part({key: value for key, value in part.items() if value is not None}, column, faults)


def _part(part: Mapping[str, Any], column: str, faults: list[str]) -> Iterator[DraftPart]:
    if isinstance(text := part.get("text"), str):
        yield text
    elif found := next((part[key] for key in (*_INLINE, *_MEDIA_KEYS) if key in part), None):
        yield Cell(column, found, images_only=False)
    elif part.get("type") in _MEDIA_KEYS:  # as Hugging Face writes it: the row's own media stand here
        yield Slot()
    else:
        faults.append(f"a part of type {part.get('type')!r} is neither text nor media")

"""How rows that went wrong are sent again: the flags for them, and the whole command. Sends nothing."""

import shlex
from pathlib import Path
from typing import NamedTuple

from tasks.core.config.command_line import resume_command
from tasks.core.config.parameters import RunConfig
from tasks.core.records import Kind


class Again(NamedTuple):
    flags: str
    command: str


def again(kind: Kind, config: RunConfig, folder: Path | None) -> Again:
    """For rows of one kind. `folder`: where the command is true; None: wherever it is typed."""
    kinds = [] if kind.retryable else [kind]
    command = resume_command(config.model_copy(update={"retry_errors": kinds}))
    flags = "--resume" + "".join(f" --retry-errors {each}" for each in kinds)
    return Again(flags, f"cd {shlex.quote(str(folder))} && {command}" if folder else command)

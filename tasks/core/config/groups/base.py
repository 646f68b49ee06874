"""What all groups of parameters share: their base, and values that a command line or a form has as text."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


class Parameters(BaseModel):
    """A group of parameters. Its docstring is its heading in `--help`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _blank_is_none(value: str | None) -> str | None:
    return value or None


def split_at_commas(value: Any) -> Any:
    """The words of `a, b`; whatever is no text, as it is."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Text = Annotated[str | None, AfterValidator(_blank_is_none)]

"""What is sent of a row: its columns, and the texts around them, which may stand in files."""

from functools import cached_property

from pydantic import Field

from tasks.core.config.groups.base import Parameters, Text
from tasks.core.config.text_file import text_or_file


class PromptParameters(Parameters):
    """prompt"""

    text_column: str = Field("input_query", min_length=1, description="Column with the text of the prompt.")
    prompt_template: Text = Field(
        None, description="Prompt as a Jinja template over the row's columns; @FILE reads it from a file."
    )
    system_instruction: str | None = Field(
        None, description="System instruction sent with every sample; a Jinja template as well, or @FILE."
    )
    image_column: Text = Field("image_path", description="Column with the image of the prompt, or a,b for several.")
    media_column: Text = Field(
        None, description="Columns with PDF, audio, video or images of the prompt, a,b for several."
    )
    fetch_urls: bool = Field(False, description="Fetch media that cells name by an https:// address.")
    id_column: Text = Field("id", description="Column with the sample id; the row number without it.")

    @cached_property
    def system_text(self) -> str | None:
        """The system instruction, read from its file where it is one.

        Raises:
            InputError: the file cannot be read.
        """
        return text_or_file("--system-instruction", self.system_instruction)

    @cached_property
    def template_text(self) -> str | None:
        """The prompt template, read from its file where it is one; raises as `system_text`."""
        return text_or_file("--prompt-template", self.prompt_template)

"""What is sent of each sample of a run: the text column, a conversation in it, or a template over the row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.core.config.parameters import RunConfig
from tasks.core.prompts.conversation import draft_of as conversation_of
from tasks.core.prompts.conversation import messages_in
from tasks.core.prompts.draft import Draft, DraftTurn, plain
from tasks.core.prompts.template import Template, parts, text_of
from tasks.core.records import Sample

PROMPT, SYSTEM = "--prompt-template", "--system-instruction"


def templates_of(config: RunConfig, media: tuple[str, ...]) -> Iterator[Template]:
    """The prompt's template, and the system instruction where it says something of the row.

    Raises:
        InputError: one is no template.
    """
    if (source := config.template_text) is not None:
        yield Template(source, PROMPT, config.split, media)
    if "{{" in (system := config.system_text or "") or "{%" in system:
        yield Template(system, SYSTEM, config.split, media, places=False)


@dataclass(frozen=True, slots=True)
class Prompting:
    """`template`: of the prompt; None: the text column is it. `system`: a system instruction that is a template."""

    text_column: str  # empty: none
    system_instruction: str | None = None
    template: Template | None = None
    system: Template | None = None

    @classmethod
    def of(cls, config: RunConfig, text_column: str | None, media: tuple[str, ...] = ()) -> "Prompting":
        """As `config` asks for it. `media`: columns of media, which a template may place."""
        found = {template.flag: template for template in templates_of(config, media)}
        return cls(text_column or "", config.system_text, found.get(PROMPT), found.get(SYSTEM))

    def draft_of(self, sample: Sample) -> Draft:
        """See Draft; what cannot be rendered is its fault."""
        try:
            system = self.system.render(sample.values) if self.system else None
            if self.template:
                return Draft((DraftTurn("user", tuple(parts(self.template.render(sample.values)))),), system)
        except ValueError as error:
            return Draft((DraftTurn("user", (sample.text,)),), fault=str(error))
        if (messages := messages_in(sample.values.get(self.text_column))) is not None:
            found = conversation_of(messages, self.system_instruction if system is None else system, self.text_column)
            return replace(found, turns=plain(sample.text).turns) if found.fault else found
        return Draft(plain(sample.text).turns, system)

    def text_of(self, sample: Sample) -> str:
        """The `input_query` of the CSV: the text column, or what the template makes of the row."""
        if self.template is None:
            return sample.text
        try:
            return text_of(self.template.render(sample.values))
        except ValueError:
            return sample.text

"""Which columns of a data set a run reads, and that they hold what is sent. Reads no cell but a few of the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
from datasets import Dataset, Features, Json, LargeList, List, Value

from tasks.core.config.parameters import RunConfig
from tasks.core.config.setting_names import flag_of
from tasks.core.data.formats.text_lines import COLUMN
from tasks.core.data.looks import holds_conversations, looks_like_images
from tasks.core.data.media_columns import media_of
from tasks.core.errors import InputError
from tasks.core.prompts.prompting import templates_of
from tasks.core.text import closest


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the data a run reads.

    `text`: None where a template stands for it. `images`: sends nothing else than images; `media`: whatever Gemini
    takes. `values`: read as values, for a template or a conversation. `notices`: what a user should read.
    """

    text: str | None
    images: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    id: str | None = None
    values: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def all_media(self) -> tuple[str, ...]:
        return (*self.images, *self.media)

    @property
    def has_media(self) -> bool:
        """Whether rows may have media: conversations bring theirs along."""
        return bool(self.images or self.media or (self.text and self.text in self.values))


def find_columns(config: RunConfig, table: Dataset) -> Columns:
    """Those that `config` names and `table` has; of images, the one that can only be meant where none is named.

    Raises:
        InputError: one does not exist, or holds what its flag does not send.
    """
    there, where = table.column_names, f"{config.dataset or ''} ({config.split})"
    images = _several("image_column", config.image_column, there, where)
    media = _several("media_column", config.media_column, there, where)
    text = _text_column(config, there, where)
    columns = Columns(text, images, media, _optional("id_column", config.id_column, there, where))
    _check_media(columns, table.features)
    notices: list[str] = []
    if not images and not media and config.image_column == RunConfig.model_fields["image_column"].default:
        images, notices = _unnamed_images(columns, table)
    values = _values(config, columns, table, {*images, *media})
    return Columns(text, images, media, columns.id, values, tuple(notices))


def _values(config: RunConfig, columns: Columns, table: Dataset, media: set[str]) -> tuple[str, ...]:
    """What templates name, or all there is where they go through the row; a text column that holds conversations."""
    names, features = set[str](), table.features
    for template in templates_of(config, tuple(media)):
        template.check(list(features))
        names |= set(features) if "row" in template.names else template.names
    if columns.text and config.prompt_template is None and _may_converse(table, columns.text):
        names.add(columns.text)
    return tuple(name for name in features if name in names and name not in media and not media_of(features[name]))


def _may_converse(table: Dataset, name: str) -> bool:
    feature = table.features.get(name)
    return isinstance(feature, Json | List | LargeList) or (feature is not None and holds_conversations(table, name))


def _unnamed_images(columns: Columns, table: Dataset) -> tuple[tuple[str, ...], list[str]]:
    """The one column of images, and that it is sent; else a line on what is not."""
    others = [name for name in table.column_names if name not in (columns.text, columns.id)]
    typed = [name for name in others if media_of(table.features[name]) == datasets.Image.__name__]
    if len(typed) == 1:
        return (typed[0],), [f"Images are sent from column {typed[0]!r}; --image-column '' sends none"]
    looks = typed or [name for name in others if looks_like_images(table, name)]
    if not looks:
        return (), []
    what = f"Column {looks[0]!r} looks" if len(looks) == 1 else f"Columns {', '.join(map(repr, looks))} look"
    return (), [f"{what} like images and nothing of it is sent; --image-column {','.join(looks)} does"]


def _text_column(config: RunConfig, columns: list[str], where: str) -> str | None:
    """`name`; where it is only the default, the one column that lines of text have, or none where a template is."""
    name, default = config.text_column, RunConfig.model_fields["text_column"].default
    if columns == [COLUMN] and name == default:
        return COLUMN
    if config.prompt_template is not None and name == default and name not in columns:
        return None
    return _required("text_column", name, columns, where)


def _required(parameter: str, name: str, columns: Sequence[str], where: str) -> str:
    if columns and name not in columns:
        way_out = closest(name, columns)
        if len(columns) == 1 and name in columns[0]:
            way_out = "; if those are several, name what stands between them with --delimiter"
        default = ", the default," if name == RunConfig.model_fields[parameter].default else ""
        raise InputError(
            f"{flag_of(parameter)} {name!r}{default} is not in {where}; columns: {', '.join(columns)}{way_out}"
        )
    return name


def _optional(parameter: str, name: str | None, columns: list[str], where: str) -> str | None:
    """`name`, or None where it is only the default of a column that the data set does not have."""
    if name is None or (name not in columns and name == RunConfig.model_fields[parameter].default):
        return None
    return _required(parameter, name, columns, where)


def _several(parameter: str, names: str | None, columns: list[str], where: str) -> tuple[str, ...]:
    """Names between commas, in their order, unless a column is called like all of it."""
    if names is None or names in columns or "," not in names:
        name = _optional(parameter, names, columns, where)
        return (name,) if name else ()
    split = [name.strip() for name in names.split(",") if name.strip()]
    return tuple(dict.fromkeys(_required(parameter, name, columns, where) for name in split))


def _check_media(columns: Columns, features: Features) -> None:
    """Raises InputError where a column holds what its flag does not send.

    datasets would open the file, pipe or URL that such a cell names as soon as the row is read as text.
    """
    for flag, name in (("--text-column", columns.text), ("--id-column", columns.id)):
        if kind := media_of(features.get(name)):
            way_out = _way_out(features[name], name)
            raise InputError(f"{flag} {name} {_holds(features[name], kind)}, which is no text; {way_out}")
        if isinstance(feature := features.get(name), Value) and "binary" in feature.dtype:
            raise InputError(f"{flag} {name} holds bytes, which are no text; write it anew as text")
    for name in columns.images:
        kind = media_of(features.get(name))
        if kind not in (None, datasets.Image.__name__):
            holds = _holds(features[name], kind)
            raise InputError(f"--image-column {name} {holds}, and only images are sent; --media-column {name} sends it")
    for name in {*columns.images, *columns.media} & {columns.text, columns.id}:
        raise InputError(
            f"column {name} cannot be sent as text and as media; name another --text-column or --id-column"
        )


def _way_out(feature: Any, name: str | None) -> str:
    """The flag that sends a column of media, or of lists of them."""
    while isinstance(feature, List | LargeList):
        feature = feature.feature
    if isinstance(feature, datasets.Image):
        return f"--image-column {name} sends it"
    if isinstance(feature, datasets.Audio | datasets.Video | datasets.Pdf):
        return f"--media-column {name} sends it"
    return "name another column"


def _holds(feature: Any, kind: str | None) -> str:
    """`is an Image`, `holds a Video`: alone in its cell or deeper in it."""
    verb = "is" if type(feature).__name__ == kind else "holds"
    return f"{verb} {'an' if str(kind)[0] in 'AEIOU' else 'a'} {kind}"
